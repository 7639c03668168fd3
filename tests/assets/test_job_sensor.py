"""The job status sensor, tick by tick, against a sandbox with any number of jobs in any status."""

import json
import sqlite3
import time
import uuid
from contextlib import closing
from random import Random
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from requests.adapters import HTTPAdapter

from up42_pipelines.api import JobStatus, Transport
from up42_pipelines.assets import Pipeline
from up42_pipelines.assets.workflow import ProcessingPipeline
from up42_pipelines.partitions import date_by_aoi
from up42_pipelines.processing import watching
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.templates import Pansharpening, TrueColorConversion
from up42_pipelines.processing.watching import JobCursor
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.resources import Up42Resource
from up42_pipelines.sensors import job_status_sensor
from up42_pipelines.sensors import jobs as jobs_module

PARTITIONS = date_by_aoi(["berlin", "hamburg"], start_date="2026-06-01")
KEYS = PARTITIONS.get_partition_keys()
DAY, NEXT_DAY = "berlin|2026-06-01", "berlin|2026-06-02"
MINUTE, HOUR, WEEK = 60, 3600, 7 * 24 * 3600
PROCESSES = {"sharp": "pansharpening", "colour": "true-color-conversion"}
RANDOM = Random(42)


class JobTable:
    """The jobs at UP42, written into a sandbox's state: thousands at once, of any age, in any status."""

    def __init__(self, sandbox) -> None:
        self._file = sandbox.state / "sandbox.sqlite"
        self._write("DELETE FROM job_events", [()])
        self._write("DELETE FROM jobs", [()])

    def add(self, *statuses, ages=None, step="sharp", partition=DAY, partitions=None, workflow="enhance", title=None):
        """Jobs with these statuses, so many seconds old; their ids."""
        ages = ages or [HOUR - number / 1000 for number in range(len(statuses))]
        partitions = partitions or [partition] * len(statuses)
        ids = [str(uuid.UUID(int=RANDOM.getrandbits(128), version=4)) for _ in statuses]
        made = [self._micros(age) for age in ages]
        titles = [
            title
            or str(JobTitle(workflow=workflow, step=step, partition=where, key=job_id.replace("-", ""), credits=3))
            for job_id, where in zip(ids, partitions, strict=True)
        ]
        process = PROCESSES.get(step, "pansharpening")
        self._write(
            "INSERT INTO jobs (id, process_id, inputs, items, credits, created_at) VALUES (?, ?, ?, '[]', 3, ?)",
            [
                (job_id, process, json.dumps({"title": name}), at)
                for job_id, name, at in zip(ids, titles, made, strict=True)
            ],
        )
        self._write("INSERT INTO job_events VALUES (?, ?, 0, ?)", list(zip(ids, made, map(str, statuses), strict=True)))
        return ids

    def become(self, status, *ids) -> None:
        now = self._micros(0)
        self._write("INSERT INTO job_events VALUES (?, ?, 1, ?)", [(job_id, now, str(status)) for job_id in ids])

    def remove(self, *ids) -> None:
        for table, column in (("job_events", "job_id"), ("jobs", "id")):
            self._write(f"DELETE FROM {table} WHERE {column} = ?", [(job_id,) for job_id in ids])

    @staticmethod
    def _micros(age) -> int:
        return round((time.time() - age) * 1e6)

    def _write(self, sql, rows) -> None:
        with closing(sqlite3.connect(self._file, timeout=30)) as connection, connection:
            connection.executemany(sql, rows)


class Watch:
    """A workflow's sensor on an instance of its own."""

    def __init__(self, url) -> None:
        workflow = Workflow(
            name="enhance",
            steps=[
                Step(name="sharp", template=Pansharpening()),
                Step(name="colour", template=TrueColorConversion(), of="sharp"),
            ],
        )
        source = Pipeline(
            name="images", aois={}, partitions=PARTITIONS, collection="sandbox-optical", data_product="bundle"
        )
        self.pipeline = ProcessingPipeline(workflow=workflow, source=source)
        self.up42 = Up42Resource(username="sandbox@example.com", password="sandbox", api_url=url)
        self.instance = dg.DagsterInstance.ephemeral()

        @dg.op
        def collect() -> None: ...

        self.jobs = [
            dg.GraphDefinition(name=self.pipeline.collect_job(step.name), node_defs=[collect]).to_job(
                partitions_def=PARTITIONS
            )
            for step in workflow.steps
        ]
        self.sensor = job_status_sensor(self.pipeline, self.jobs, interval_s=30)
        self.defs = dg.Definitions(jobs=self.jobs, sensors=[self.sensor], resources={"up42": self.up42})

    def tick(self, cursor=None):
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=self.defs, resources={"up42": self.up42}
        ) as context:
            return self.sensor.evaluate_tick(context)

    def ticks(self, count, cursor=None):
        done = []
        for _ in range(count):
            done.append(self.tick(done[-1].cursor if done else cursor))
        return done


@pytest.fixture(scope="module")
def job_sandbox(start_sandbox):
    return start_sandbox()


@pytest.fixture
def table(job_sandbox):
    return JobTable(job_sandbox)


@pytest.fixture
def watch(job_sandbox):
    made = Watch(job_sandbox.url)
    yield made
    made.instance.dispose()


@pytest.fixture
def sent(monkeypatch):
    """Method, path and query of every HTTP request from now on, those for a token included."""
    seen = []
    send = HTTPAdapter.send

    def recorded(self, request, *args, **options):
        url = urlsplit(request.url)
        seen.append((request.method, url.path, parse_qs(url.query)))
        return send(self, request, *args, **options)

    monkeypatch.setattr(HTTPAdapter, "send", recorded)
    return seen


def observed(*ticks):
    """What was observed: job, status, partition and asset."""
    return [
        (event.metadata["job"].value, event.metadata["status"].value, event.partition, event.asset_key.path)
        for tick in ticks
        for event in tick.asset_events
    ]


def asked(*ticks):
    """The runs asked for: job, partition and key."""
    return [(run.job_name, run.partition_key, run.run_key) for tick in ticks for run in tick.run_requests]


def spread(count):
    """So many partitions, none much more often than another."""
    return [KEYS[number % len(KEYS)] for number in range(count)]


END = {status: "success" if status.is_success else "failure" for status in JobStatus if status.is_terminal}
GOING_ON = [status for status in JobStatus if not status.is_terminal]


@pytest.mark.parametrize("status", END)
def test_every_end_is_observed_and_asks_for_a_run(watch, table, status):
    [job] = table.add("running")
    before = watch.tick()
    table.become(status, job)
    tick = watch.tick(before.cursor)
    assert observed(tick) == [(job, status, DAY, ["sharp", "processing_jobs"])]
    assert asked(tick) == [("enhance_sharp_collect", DAY, f"{job}:{END[status]}")]
    assert dict(tick.run_requests[0].tags).items() >= {
        "up42/pipeline": "enhance", "up42/step": "sharp", "up42/jobs": "1"
    }.items()  # fmt: skip
    assert observed(before) == asked(before) == []
    after = watch.tick(tick.cursor)
    assert observed(after) == asked(after) == []
    assert after.skip_message == "0 job(s) changed, 0 go on, 0 ended and wait for a run"


@pytest.mark.parametrize("status", END)
def test_so_is_one_that_was_there_at_first_sight(watch, table, status):
    [job] = table.add(status)
    tick = watch.tick()
    assert observed(tick) == [(job, status, DAY, ["sharp", "processing_jobs"])]
    assert asked(tick) == [("enhance_sharp_collect", DAY, f"{job}:{END[status]}")]


def test_that_a_job_goes_on_is_told_when_it_changes(watch, table):
    jobs = table.add(*GOING_ON)
    first = watch.tick()
    assert observed(first) == asked(first) == []
    table.become("running", jobs[0])
    second = watch.tick(first.cursor)
    assert observed(second) == [(jobs[0], "running", DAY, ["sharp", "processing_jobs"])]
    assert not second.run_requests
    assert second.skip_message == f"1 job(s) changed, {len(jobs)} go on, 0 ended and wait for a run"
    assert observed(watch.tick(second.cursor)) == []


def test_a_status_that_nobody_knows_is_told_once_and_waited_for(watch, table):
    seen_so, become_so = table.add("quarantined", "running", partitions=[DAY, NEXT_DAY])
    first = watch.tick()
    assert observed(first) == [(seen_so, "quarantined", DAY, ["sharp", "processing_jobs"])]
    table.become("quarantined", become_so)
    second = watch.tick(first.cursor)
    assert observed(second) == [(become_so, "quarantined", NEXT_DAY, ["sharp", "processing_jobs"])]
    third = watch.tick(second.cursor)
    assert observed(third) == asked(first, second, third) == []
    table.become("successful", seen_so)
    assert asked(watch.tick(third.cursor)) == [("enhance_sharp_collect", DAY, f"{seen_so}:success")]


def test_one_run_per_step_and_partition(watch, table):
    good, bad, slow = table.add("successful", "failed", "running")
    [other_day] = table.add("captured", partition=NEXT_DAY, ages=[HOUR - 1])
    [other_step] = table.add("released", step="colour", ages=[HOUR - 2])
    tick = watch.tick()
    key = ",".join(sorted([f"{good}:success", f"{bad}:failure"]))
    assert asked(tick) == [
        ("enhance_sharp_collect", DAY, key),
        ("enhance_sharp_collect", NEXT_DAY, f"{other_day}:success"),
        ("enhance_colour_collect", DAY, f"{other_step}:failure"),
    ]
    assert [run.tags["up42/jobs"] for run in tick.run_requests] == ["2", "1", "1"]
    table.become("successful", slow)
    assert asked(watch.tick(tick.cursor)) == [("enhance_sharp_collect", DAY, f"{slow}:success")]


def test_the_key_of_a_run_for_many_jobs_fits_into_an_index(watch, table):
    table.add(*["successful"] * 70)
    table.add(*["failed"] * 70, partition=NEXT_DAY)
    (_, _, one_key), (_, _, other_key) = asked(watch.tick())
    assert max(len(one_key), len(other_key)) < 2704  # bytes that PostgreSQL's index takes
    assert one_key != other_key
    assert [key for *_, key in asked(watch.tick())] == [one_key, other_key]


def test_jobs_of_others_are_none_of_its_business(watch, table):
    table.add("successful", workflow="other")
    table.add("successful", step="dropped")
    table.add("successful", partition="munich|2026-06-01")
    table.add("successful", partition="berlin|2025-06-01")
    table.add("running", partition="berlin|2025-06-01")
    table.add("running", step="dropped")
    table.add("successful", title="By hand")
    ticks = watch.ticks(2)
    assert observed(*ticks) == asked(*ticks) == []
    assert not JobCursor.parse(ticks[-1].cursor).jobs


def test_a_partition_that_exists_no_longer_does_not_stop_it(watch, table, monkeypatch):
    gone, there = table.add("running", "running", partitions=["hamburg|2026-06-01", DAY])
    cursor = watch.tick().cursor
    table.become("successful", gone, there)
    monkeypatch.setattr(
        ProcessingPipeline, "partitions", property(lambda _: date_by_aoi(["berlin"], start_date="2026-06-01"))
    )
    tick = watch.tick(cursor)
    assert [job for job, *_ in observed(tick)] == [there]
    assert asked(tick) == [("enhance_sharp_collect", DAY, f"{there}:success")]
    assert not JobCursor.parse(tick.cursor).jobs


@pytest.mark.parametrize("name", ["enhance_colour_collect", IMPLICIT_ASSET_JOB_NAME])
def test_no_second_run_beside_one_on_its_way(watch, table, name):
    """Be it of a job of the workflow, or launched from an asset's page."""
    jobs = table.add("successful", "failed", partitions=[DAY, NEXT_DAY])
    job = dg.GraphDefinition(name=name).to_job()
    on_its_way = watch.instance.create_run_for_job(
        job, tags={"dagster/partition": DAY}, status=dg.DagsterRunStatus.STARTED
    )
    first = watch.tick()
    assert asked(first) == [("enhance_sharp_collect", NEXT_DAY, f"{jobs[1]}:failure")]
    assert len(observed(first)) == 2
    second = watch.tick(first.cursor)
    assert not second.run_requests
    assert second.skip_message == "0 job(s) changed, 0 go on, 1 ended and wait for a run"
    watch.instance.delete_run(on_its_way.run_id)
    assert asked(watch.tick(second.cursor)) == [("enhance_sharp_collect", DAY, f"{jobs[0]}:success")]


def test_what_does_not_fit_into_a_tick_comes_in_the_next_the_oldest_first(watch, table, monkeypatch):
    monkeypatch.setattr(jobs_module, "MAX_EVENTS", 5)
    monkeypatch.setattr(jobs_module, "MAX_RUN_REQUESTS", 2)
    jobs = table.add(*["successful"] * 8, partitions=spread(8))
    ticks = watch.ticks(5)
    assert [len(tick.asset_events) for tick in ticks] == [5, 3, 0, 0, 0]
    assert [len(tick.run_requests) for tick in ticks] == [2, 2, 2, 2, 0]
    assert [job for job, *_ in observed(*ticks)] == jobs
    assert [key for *_, key in asked(*ticks)] == [f"{job}:success" for job in jobs]


def test_a_job_that_up42_forgets_is_given_up(watch, table):
    gone, hidden = table.add("running", "running", partitions=[DAY, NEXT_DAY])
    cursor = watch.tick().cursor
    table.remove(gone)
    ticks = watch.ticks(watching.GONE_AFTER, cursor)
    assert observed(*ticks[:-1]) == asked(*ticks[:-1]) == []
    assert observed(ticks[-1]) == [(gone, watching.GONE, DAY, ["sharp", "processing_jobs"])]
    assert asked(ticks[-1]) == [("enhance_sharp_collect", DAY, f"{gone}:gone")]
    assert list(JobCursor.parse(ticks[-1].cursor).jobs) == [hidden]


@pytest.mark.parametrize("cursor", [None, "", "{}", "not one"])
def test_without_its_cursor_it_asks_for_the_same_runs(watch, table, cursor):
    table.add("successful", "failed", "running", partitions=[DAY, NEXT_DAY, DAY])
    assert asked(watch.tick(cursor)) == asked(watch.tick())
    assert len(asked(watch.tick())) == 2


def test_without_its_cursor_a_week_is_looked_at_and_whatever_goes_on(watch, table):
    [recent] = table.add("successful", ages=[WEEK - HOUR])
    table.add("successful", ages=[WEEK + HOUR])
    [endless] = table.add("running", ages=[9 * WEEK])
    tick = watch.tick()
    assert [job for job, *_ in observed(tick)] == [recent]
    table.become("failed", endless)
    assert asked(watch.tick(tick.cursor)) == [("enhance_sharp_collect", DAY, f"{endless}:failure")]


def test_a_job_that_becomes_visible_late_is_found(watch, table, monkeypatch):
    table.add("running", ages=[MINUTE])
    cursor = watch.tick().cursor
    [late] = table.add("successful", ages=[2 * MINUTE])
    tick = watch.tick(cursor)
    assert not asked(tick)
    monkeypatch.setattr(watching, "OVERLAP", watching.OVERLAP * 0)  # as if it had passed
    assert asked(watch.tick(tick.cursor)) == [("enhance_sharp_collect", DAY, f"{late}:success")]


@pytest.mark.parametrize("is_first", [True, False])
def test_more_new_jobs_than_it_has_time_to_read_do_not_stop_it(watch, table, monkeypatch, capfd, is_first):
    """It says so, and those that go on are found all the same."""
    cursor = None if is_first else watch.tick().cursor
    monkeypatch.setattr(jobs_module, "READING_BUDGET_S", -1)
    [job] = table.add("running", ages=[MINUTE])
    table.add("successful", ages=[MINUTE])
    tick = watch.tick(cursor)
    assert not asked(tick)
    assert [one.id for one in JobCursor.parse(tick.cursor).open] == [job]
    assert "Materialize their partitions of processed_items" in capfd.readouterr().err


class TestRequests:
    def of_jobs(self, sent):
        return [query for _, path, query in sent if path == "/v2/processing/jobs"]

    def test_it_only_reads(self, watch, table, sent):
        table.add("running", "successful")
        watch.ticks(2)
        assert {path for method, path, _ in sent if method != "GET"} == {"/realms/public/protocol/openid-connect/token"}
        assert len(self.of_jobs(sent)) == 2 + 1 + 1 + 1  # the first tick also lists all that goes on

    def test_twenty_of_two_thousand(self, watch, table, sent):
        """Two thousand go on, three thousand ended before: a tick that finds twenty changed takes five requests."""
        table.add(*["captured"] * 3000, ages=[2 * WEEK + number for number in range(3000)], partitions=spread(3000))
        jobs = table.add(*["running"] * 2000, ages=[HOUR - number for number in range(2000)], partitions=spread(2000))
        cursor = watch.tick().cursor
        assert len(JobCursor.parse(cursor).open) == 2000
        assert len(cursor) < 100_000
        took = []
        for _ in range(3):
            changed = [jobs.pop(RANDOM.randrange(len(jobs))) for _ in range(20)]
            table.become("successful", *changed)
            sent.clear()
            began = time.perf_counter()
            tick = watch.tick(cursor)
            took.append(time.perf_counter() - began)
            cursor = tick.cursor
            assert len(sent) <= 5
            assert sorted(job for job, *_ in observed(tick)) == sorted(changed)
            keys = {part for *_, key in asked(tick) for part in key.split(",")}
            assert keys == {f"{job}:success" for job in changed}
        assert min(took) < 2, took

    def test_those_that_ended_behind_many_others_are_found_in_turn(self, watch, table, sent):
        """More than a page ended after them: the list of ended jobs does not reach them, their ids do."""
        open_jobs = table.add(*["running"] * 450, ages=[HOUR - number for number in range(450)])
        cursor = watch.tick().cursor
        table.add(*["captured"] * 200, ages=[MINUTE - number / 10 for number in range(200)], workflow="other")
        cursor = watch.tick(cursor).cursor
        ended = open_jobs[::90]
        table.become("failed", *ended)
        sent.clear()
        ticks = watch.ticks(-(-450 // watching.PAGE), cursor)
        assert sorted(job for job, *_ in observed(*ticks)) == sorted(ended)
        assert len(self.of_jobs(sent)) == 3 * len(ticks)

    def test_more_is_asked_while_most_of_it_is_news(self, watch, table, sent):
        """First down the list of those that ended; then, when its top is known, by their ids."""
        jobs = table.add(*["running"] * 500, ages=[HOUR - number for number in range(500)], partitions=spread(500))
        cursor = watch.tick().cursor
        table.become("successful", *jobs[-160:])
        sent.clear()
        first = watch.tick(cursor)
        assert len(first.asset_events) == 160
        assert ["status" in query for query in self.of_jobs(sent)] == [False, True, True, False]
        table.become("successful", *jobs[:-160])
        sent.clear()
        second = watch.tick(first.cursor)
        assert ["ids" in query for query in self.of_jobs(sent)] == [False, False, True, True]
        third = watch.tick(second.cursor)
        assert [len(tick.asset_events) for tick in (second, third)] == [jobs_module.MAX_EVENTS, 140]

    def test_new_jobs_are_read_once(self, watch, table, sent):
        cursor = watch.tick().cursor
        table.add(*["running"] * 350, ages=[number / 1000 + 1 for number in range(350)])
        sent.clear()
        cursor = watch.tick(cursor).cursor
        assert len(self.of_jobs(sent)) == 4 + 2
        sent.clear()
        watch.tick(cursor)
        assert len(self.of_jobs(sent)) == 1 + 2

    def test_a_few_are_asked_for_every_time_by_their_ids(self, watch, table, sent):
        table.add(*["running"] * watching.FEW)
        cursor = watch.tick().cursor
        sent.clear()
        watch.tick(cursor)
        everything, *turns = self.of_jobs(sent)
        assert "ids" not in everything
        assert [len(query["ids"][0].split(",")) for query in turns] == [watching.PAGE, watching.PAGE]


def test_an_unreachable_up42_fails_the_tick_and_no_connection_stays(monkeypatch):
    closed = []
    monkeypatch.setattr(Transport, "close", lambda transport: closed.append(transport.hosts.api))
    watch = Watch("http://127.0.0.1:9")
    with pytest.raises(Exception, match="cannot be reached"):
        watch.tick()
    assert closed == ["http://127.0.0.1:9"]
    watch.instance.dispose()
