"""The order status sensor, tick by tick, against a sandbox."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from up42_pipelines.ordering.watching import WatchCursor

DAY, NEXT_DAY = "berlin|2026-06-01", "berlin|2026-06-04"


def tick_until_request(graph, wait_for, cursor=None):
    """Ticks as a daemon would, until one asks for a run; returns the ticks."""
    ticks = []

    def request():
        ticks.append(graph.tick(ticks[-1].cursor if ticks else cursor))
        return ticks[-1].run_requests

    wait_for(request)
    return ticks


@pytest.fixture
def ordered(make_graph, sandbox):
    graph = make_graph(sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    assert len(graph.orders()) == 1
    return graph


def test_it_asks_for_one_run_with_the_orders_key(ordered, wait_for):
    ticks = tick_until_request(ordered, wait_for)
    [request] = ticks[-1].run_requests
    assert request.partition_key == DAY
    assert request.run_key.startswith(ordered.orders()[0]["id"])
    assert request.tags["up42/pipeline"] == ordered.pipeline.name
    observed = [event for tick in ticks for event in tick.asset_events]
    assert observed
    assert {event.asset_key for event in observed} == {ordered.pipeline.key("orders")}
    assert {event.partition for event in observed} == {DAY}
    assert all(event.metadata["order"].value == ordered.orders()[0]["id"] for event in observed)


def test_when_everything_has_been_asked_for_it_is_quiet(ordered, wait_for):
    ticks = tick_until_request(ordered, wait_for)

    def settled():
        ticks.append(ordered.tick(ticks[-1].cursor))
        return not WatchCursor.parse(ticks[-1].cursor).awaited

    wait_for(settled)
    keys = [request.run_key for tick in ticks for request in tick.run_requests]
    assert len(keys) == len(set(keys))
    for _ in range(3):
        quiet = ordered.tick(ticks[-1].cursor)
        assert not quiet.run_requests
        assert not quiet.asset_events
        assert "0 order(s) changed, 0 looked at, 0 still awaited" in quiet.skip_message


def test_a_lost_cursor_asks_with_the_same_run_key(ordered, wait_for):
    ticks = tick_until_request(ordered, wait_for)
    complete = tick_until_request(ordered, wait_for, cursor=None)[-1].run_requests[0].run_key
    again = tick_until_request(ordered, wait_for, cursor="{not json")[-1].run_requests[0].run_key
    assert again == complete
    assert complete.split(":")[0] == ticks[-1].run_requests[0].run_key.split(":")[0]


def test_what_it_asks_for_is_what_the_job_needs(ordered, wait_for):
    [request] = tick_until_request(ordered, wait_for)[-1].run_requests
    job = ordered.defs.get_repository_def().get_job(ordered.pipeline.deliver_job)
    result = job.execute_in_process(partition_key=request.partition_key, instance=ordered.instance)
    assert result.success
    assert ordered.is_materialized("cogs", DAY)


def test_it_never_writes_to_up42(ordered, wait_for, sent):
    tick_until_request(ordered, wait_for)
    assert sent
    assert all(method == "GET" or url.endswith("/search") for method, url in sent)


def test_requests_follow_what_changed_not_what_exists(make_graph, sandbox, wait_for, sent):
    graph = make_graph(sandbox)
    days = [f"berlin|2026-06-{day:02d}" for day in range(1, 13)]
    for day in days:
        assert graph.run(day, "scenes", "orders").success
    ticks = [graph.tick()]

    def settled():
        ticks.append(graph.tick(ticks[-1].cursor))
        return not WatchCursor.parse(ticks[-1].cursor).awaited

    wait_for(settled)
    assert len(graph.orders()) > 5
    sent.clear()
    graph.tick(ticks[-1].cursor)
    assert len([url for _, url in sent if url.startswith("/v2/orders")]) == 1
    assert len(sent) <= 2  # and once who we are


def test_no_second_run_beside_one_on_its_way(ordered, wait_for):
    first = tick_until_request(ordered, wait_for)[-1]
    tags = {"dagster/partition": DAY}
    for name in (ordered.pipeline.ingest_job, ordered.pipeline.approve_job, ordered.pipeline.deliver_job):
        job = ordered.defs.get_repository_def().get_job(name)
        run = ordered.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert not ordered.tick(None).run_requests, name
        ordered.instance.delete_run(run.run_id)
    assert ordered.tick(None).run_requests[0].partition_key == first.run_requests[0].partition_key


def test_orders_of_partitions_that_no_longer_exist_do_not_stop_it(ordered, wait_for, make_graph, sandbox, aoi_folder):
    (aoi_folder / "berlin.geojson").rename(aoi_folder / "hamburg.geojson")
    renamed = make_graph(sandbox, name=ordered.pipeline.name)
    assert renamed.run("hamburg|2026-06-01", "scenes", "orders").success
    ticks = tick_until_request(renamed, wait_for)
    assert {request.partition_key for tick in ticks for request in tick.run_requests} == {"hamburg|2026-06-01"}


def test_an_unreachable_up42_fails_the_tick_and_keeps_the_cursor(make_graph, sandbox):
    class Nowhere:
        url = "http://127.0.0.1:9"

    graph = make_graph(Nowhere())
    with pytest.raises(Exception, match="cannot be reached"):
        graph.tick()


def test_a_tick_asks_for_at_most_fifty_runs_and_carries_on(make_graph, sandbox, monkeypatch, wait_for):
    from up42_pipelines.sensors import orders as sensors

    monkeypatch.setattr(sensors, "MAX_RUN_REQUESTS", 2)
    graph = make_graph(sandbox)
    days = [f"berlin|2026-06-{day:02d}" for day in range(1, 11)]
    for day in days:
        assert graph.run(day, "scenes", "orders").success
    expected = {partition for partition in days if graph.metadata("orders", partition)["orders"].value}
    ticks, asked = [], []

    def all_asked():
        ticks.append(graph.tick(ticks[-1].cursor if ticks else None))
        asked.extend(request.partition_key for request in ticks[-1].run_requests)
        return expected <= set(asked)

    wait_for(all_asked)
    assert max(len(tick.run_requests) for tick in ticks) == 2


def test_more_changes_than_it_has_time_to_read_do_not_stop_it(make_graph, slow_sandbox, monkeypatch, capfd):
    """After a lost instance these are all orders that there ever were; reading on, no tick would ever end."""
    from up42_pipelines.sensors import orders as sensors

    graph = make_graph(slow_sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    with monkeypatch.context() as busy:
        busy.setattr(sensors, "READING_BUDGET_S", -1)
        tick = graph.tick()
    assert not tick.asset_events
    assert f"Launch {graph.pipeline.deliver_job} for their partitions" in capfd.readouterr().err
    assert [event.partition for event in graph.tick(tick.cursor).asset_events] == [DAY]


def test_looks_get_rarer_while_nothing_comes(make_graph, slow_sandbox):
    graph = make_graph(slow_sandbox)
    assert graph.run(DAY, "scenes", "orders").success
    tick = graph.tick()
    assert not tick.run_requests  # CREATED: nothing can have been delivered
    assert not WatchCursor.parse(tick.cursor).awaited
    assert WatchCursor.parse(tick.cursor).until > datetime.now(UTC) - timedelta(minutes=5)


class TestWithoutAnAssetList:
    """UP42's own client has dropped the asset list; a UP42 without it is watched all the same."""

    @pytest.fixture(autouse=True)
    def no_asset_list(self, monkeypatch):
        from up42_pipelines.api import Transport

        json_of = Transport.json

        def answer(self, method, target, **options):
            target = "/v2/no-such-path" if target == "/v2/assets" else target
            return json_of(self, method, target, **options)

        monkeypatch.setattr(Transport, "json", answer)

    def test_what_arrives_is_asked_for_and_more_is_waited_for(self, ordered, wait_for):
        tick = tick_until_request(ordered, wait_for)[-1]
        [request] = tick.run_requests
        assert ":partial:" in request.run_key
        assert list(WatchCursor.parse(tick.cursor).awaited) == [ordered.orders()[0]["id"]]
        assert ordered.run(DAY, "stac_items", "cogs").success
        assert ordered.is_materialized("cogs", DAY)

    def test_until_it_has_not_changed_for_a_week(self, ordered, wait_for, monkeypatch):
        from up42_pipelines.sensors import orders as sensors

        tick_until_request(ordered, wait_for)
        monkeypatch.setattr(sensors, "FORGET_AFTER", timedelta(0))
        tick = tick_until_request(ordered, wait_for)[-1]
        assert not WatchCursor.parse(tick.cursor).awaited
