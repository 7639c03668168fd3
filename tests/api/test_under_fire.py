"""An UP42 that limits, stumbles and hangs up: what is safe completes all the same, what spends is never repeated."""

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac
import pytest
import requests
from shapely.geometry import box, mapping

from up42_pipelines.api import Decision, OrderInput, OrderStatus, Patience, Up42Client, equals
from up42_pipelines.errors import AnswerLost, RateLimited, ServerProblem, Unreachable

AREA = box(12.48, 41.88, 12.49, 41.89)
PATIENT = Patience(connect_s=2, read_s=10, retries=9, backoff_s=0.001, longest_pause_s=0.005)
PROCESS = "true-color-conversion"
STRANGE = "NEVER_HEARD_OF"


@dataclass
class Stock:
    """What the safe calls are about. What a call uses up is taken from `deliveries` and `webhook_ids`."""

    order: OrderInput
    order_ids: list[str]
    task_id: str
    quotation_id: str
    item: pystac.Item
    asset_id: str
    job_id: str
    webhook_id: str
    budget_id: str
    inputs: dict[str, Any]
    deliveries: list[list[str]]
    webhook_ids: list[str]


def ids(found):
    return [one.id for one in found]


def scenes(up42, **options):
    first, last = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 20, tzinfo=UTC)
    where = {"collections": ["sandbox-optical"], "intersects": mapping(AREA)}
    return up42.catalog.search("sandbox-host", **where, start=first, end=last, **options)


def hook(name):
    return {"name": name, "url": "http://127.0.0.1:9/nobody", "events": ["order.status"]}


SAFE: dict[str, Callable[[Up42Client, Stock], Any]] = {
    "account.balance": lambda up42, _: up42.account.balance().available.unit,
    "account.budget": lambda up42, stock: up42.account.budget(stock.budget_id, include_usage=True),
    "account.budget_settings": lambda up42, _: up42.account.budget_settings(),
    "account.budget_usage": lambda up42, stock: up42.account.budget_usage(stock.budget_id),
    "account.budgets": lambda up42, _: list(up42.account.budgets()),
    "catalog.collection": lambda up42, _: up42.catalog.collection("sandbox-optical"),
    "catalog.collections": lambda up42, _: list(up42.catalog.collections()),
    "catalog.order_form": lambda up42, stock: up42.catalog.order_form(stock.order.data_product).is_clipped,
    "catalog.quicklook": lambda up42, stock: up42.catalog.quicklook("sandbox-host", stock.order.params["id"]),
    "catalog.search": lambda up42, _: ids(scenes(up42, limit=5)),
    "catalog.stac": lambda up42, _: ids(up42.catalog.stac.get_collections()),
    "catalog.thumbnail": lambda up42, stock: up42.catalog.thumbnail("sandbox-host", stock.order.params["id"]),
    "orders.estimate": lambda up42, stock: up42.orders.estimate(stock.order),
    "orders.get": lambda up42, stock: up42.orders.get(stock.order_ids[0]).id,
    "orders.list": lambda up42, stock: ids(up42.orders.list(order_ids=stock.order_ids, page_size=3)),
    "orders.update": lambda up42, stock: up42.orders.update(stock.order_ids[0], tags=["kept"]).tags,
    "processing.cost": lambda up42, stock: up42.processing.cost(PROCESS, stock.inputs),
    "processing.eula": lambda up42, _: up42.processing.eula(up42.processing.process(PROCESS).eula_id),
    "processing.job": lambda up42, stock: up42.processing.job(stock.job_id).id,
    "processing.jobs": lambda up42, stock: ids(up42.processing.jobs(job_ids=[stock.job_id], page_size=1)),
    "processing.process": lambda up42, _: up42.processing.process(PROCESS),
    "processing.processes": lambda up42, _: ids(up42.processing.processes()),
    "processing.validate": lambda up42, stock: up42.processing.validate(PROCESS, stock.inputs),
    "storage.delete_items": lambda up42, stock: len(up42.storage.delete_items(stock.deliveries.pop())),
    "storage.item": lambda up42, stock: up42.storage.item(stock.item.self_href).id,
    "storage.items_of_collection": lambda up42, stock: ids(up42.storage.items_of_collection(stock.item.collection_id)),
    "storage.items_of_job": lambda up42, stock: ids(up42.storage.items_of_job(stock.job_id)),
    "storage.items_of_order": lambda up42, stock: ids(up42.storage.items_of_order(stock.order_ids[0])),
    "storage.queryables": lambda up42, _: "order_id" in up42.storage.queryables(),
    "storage.search": lambda up42, stock: ids(up42.storage.search(equals("order_id", stock.order_ids[0]), limit=1)),
    "storage.stac": lambda up42, _: up42.storage.stac.id,
    "storage.update_item": lambda up42, stock: up42.storage.update_item(stock.item, title="T", tags=["t"]).id,
    "storage.assets.download_url": lambda up42, stock: (
        stock.asset_id in up42.storage.assets.download_url(stock.asset_id)
    ),
    "storage.assets.href": lambda up42, stock: up42.storage.assets.href(stock.asset_id),
    "storage.assets.get": lambda up42, stock: up42.storage.assets.get(stock.asset_id).id,
    "storage.assets.list": lambda up42, stock: ids(up42.storage.assets.list(search=stock.order_ids[0], page_size=1)),
    "storage.assets.of_order": lambda up42, stock: ids(up42.storage.assets.of_order(stock.order_ids[0])),
    "storage.assets.update": lambda up42, stock: up42.storage.assets.update(stock.asset_id, title="T").title,
    "tasking.coverage": lambda up42, stock: up42.tasking.coverage(stock.order_ids[0]),
    "tasking.quotations": lambda up42, stock: ids(up42.tasking.quotations(order_id=stock.task_id)),
    "tasking.studies": lambda up42, stock: ids(up42.tasking.studies(order_id=stock.task_id)),
    "webhooks.delete": lambda up42, stock: up42.webhooks.delete(stock.webhook_ids.pop()),
    "webhooks.events": lambda up42, _: up42.webhooks.events(),
    "webhooks.get": lambda up42, stock: up42.webhooks.get(stock.webhook_id).id,
    "webhooks.list": lambda up42, stock: stock.webhook_id in ids(up42.webhooks.list()),
    "webhooks.replace": lambda up42, stock: up42.webhooks.replace(stock.webhook_id, **hook("replaced")).name,
    "webhooks.test": lambda up42, stock: up42.webhooks.test(stock.webhook_id).tests_run,
}
"""Calls that can be repeated at will; each answers the same every time."""

MADE_OF_SAFE = {"orders.follow", "processing.follow"}
"""They send nothing of their own, and go on for as long as a status is unknown: tests/api/test_following.py."""

USES_UP = {"storage.delete_items", "webhooks.delete"}
ROUNDS = 3
"""How often each safe call is made among random failures."""
OTHER_KINDS = {
    "extra_fields": [{"kind": "extra_fields", "times": None}],
    "unknown_status": [{"kind": "unknown_status", "times": None}],
    "delay": [{"kind": "delay", "seconds": 0.005, "times": None}],
    "slow": [{"kind": "slow", "bytes_per_second": 50_000, "path": "/v2/*", "times": None, "probability": 0.3}],
    "truncate": [{"kind": "truncate", "bytes": length, "times": None, "probability": 0.1} for length in (0, 1, 100)],
    "drop": [{"kind": f"drop_{when}", "times": None, "probability": 0.1} for when in ("before", "after")],
}
CHANGING = {"extra_fields", "unknown_status"}
"""Kinds after which an answer may say something else."""


# --- the sandbox of this module; nothing happens there until a fixture lets time pass ---------------------------------


@pytest.fixture(scope="module")
def calm(paused):
    """A client for what comes before and after."""
    client = paused.client()
    yield client
    client.transport.close()


@pytest.fixture
def connect(paused):
    """Makes clients that know nothing yet: no token, no workspace, no connection."""
    made = []

    def connect(patience=PATIENT):
        made.append(paused.client(patience=patience))
        return made[-1]

    yield connect
    for client in made:
        client.transport.close()


class Fire:
    """Faults of the sandbox."""

    def __init__(self, url):
        self._url = f"{url}/sandbox/faults"

    def open(self, *faults, seed=0):
        requests.post(self._url, json={"faults": list(faults), "seed": seed}, timeout=10).raise_for_status()

    def cease(self):
        requests.delete(self._url, timeout=10).raise_for_status()

    def hits(self, path=""):
        """How often a fault hit a request to this path, or at all."""
        log = requests.get(self._url, timeout=10).json()["log"]
        return sum(path in ("", entry["path"]) for entry in log)


@pytest.fixture
def fire(paused):
    fire = Fire(paused.url)
    yield fire
    fire.cease()


@pytest.fixture(scope="module")
def order(calm, scenes_at, order_input):
    return order_input(calm, AREA, scene=scenes_at(calm, AREA)[0])


@pytest.fixture(scope="module")
def place(calm, steer, order):
    """`place(fate, count)`: places archive orders and lets them go as far as they will."""

    def place(fate, count=1):
        steer("fates", kind="order", fate=fate, times=count)
        placed = [calm.orders.place(order).results[0].id for _ in range(count)]
        steer("clock", advance=1000)
        return placed

    return place


@pytest.fixture(scope="module")
def offer(calm, steer, order_input):
    """`offer()`: the feasibility study of a new tasking order. `offer(priced=True)`: the quotation of one."""
    start = datetime.now(UTC) + timedelta(days=3)
    dates = {"acquisitionStart": start.isoformat(), "acquisitionEnd": (start + timedelta(days=9)).isoformat()}
    wanted = order_input(calm, AREA, scene=None, collection="sandbox-tasking", params=dates)

    def offer(*, priced=False):
        order_id = calm.orders.place(wanted).results[0].id
        steer("clock", advance=180)
        [study] = calm.tasking.studies(order_id=order_id)
        if not priced:
            return study
        calm.tasking.choose_option(study.id, study.options[0].id)
        steer("clock", advance=180)
        [quotation] = calm.tasking.quotations(order_id=order_id)
        return quotation

    return offer


@pytest.fixture(scope="module")
def stock(calm, steer, order, place, offer):
    placed = [*place("in_parts"), *place("fulfilled", ROUNDS + len(OTHER_KINDS) + 1)]
    item, _ = calm.storage.items_of_order(placed[0])
    asset, _ = calm.storage.assets.of_order(placed[0])
    inputs = {"title": "stock", "item": item.self_href}
    steer("fates", kind="job", fate="captured")
    job = calm.processing.execute(PROCESS, inputs)
    steer("clock", advance=1000)
    webhook_ids = [calm.webhooks.create(**hook(f"stock {number}")).id for number in range(len(placed))]
    quotation = offer(priced=True)
    return Stock(
        order=order,
        order_ids=placed,
        task_id=quotation.order_id,
        quotation_id=quotation.id,
        item=item,
        asset_id=asset.id,
        job_id=job.id,
        webhook_id=webhook_ids.pop(),
        budget_id=next(calm.account.budgets()).id,
        inputs=inputs,
        deliveries=[ids(calm.storage.items_of_order(order_id)) for order_id in placed[1:]],
        webhook_ids=webhook_ids,
    )


@pytest.fixture(scope="module")
def calm_answers(calm, stock):
    """What the safe calls answer when nothing is wrong."""
    return {name: call(calm, stock) for name, call in SAFE.items() if name not in USES_UP}


# --- what is safe -----------------------------------------------------------------------------------------------------


class TestSafeCalls:
    @pytest.mark.parametrize("name", SAFE)
    def test_complete_among_limits_and_failures(self, name, stock, calm_answers, connect, fire):
        limits = [{"status": 429}, {"status": 429, "retry_after": 60}]
        failures = [{"status": status} for status in (500, 502, 503, 504)]
        always = {"kind": "status", "times": None, "probability": 0.1 / 6}
        fire.open(*(always | kind for kind in (*limits, *failures)), seed=list(SAFE).index(name))
        for _ in range(ROUNDS):
            answer = SAFE[name](connect(), stock)
            assert name in USES_UP or answer == calm_answers[name]

    @pytest.mark.parametrize("kind", OTHER_KINDS)
    def test_complete_whatever_else_goes_wrong(self, kind, stock, calm_answers, connect, fire):
        fire.open(*OTHER_KINDS[kind], seed=2)
        up42, wrong = connect(), {}
        for name, call in SAFE.items():
            try:
                answer = call(up42, stock)
            except Exception as error:  # noqa: BLE001 - whatever fails is told
                wrong[name] = error
            else:
                if kind not in CHANGING and name not in USES_UP and answer != calm_answers[name]:
                    wrong[name] = answer
        assert wrong == {}
        assert fire.hits() > 5

    @pytest.mark.parametrize("name", sorted(USES_UP))
    def test_what_is_gone_already_counts_as_deleted(self, name, stock, connect, fire):
        fire.open({"kind": "drop_after", "method": "DELETE"})
        SAFE[name](connect(), stock)
        assert fire.hits() == 1

    def test_are_really_hit_with_the_token_endpoint_among_them(self, stock, connect, fire):
        fire.open({"kind": "status", "status": 503, "times": None, "probability": 0.5}, seed=2)
        for _ in range(5):
            assert connect().orders.get(stock.order_ids[0]).id == stock.order_ids[0]
        assert fire.hits("/realms/public/protocol/openid-connect/token") >= 2
        assert fire.hits(f"/v2/orders/{stock.order_ids[0]}") >= 2

    def test_unknown_statuses_are_carried_and_are_no_end(self, stock, connect, fire):
        fire.open({"kind": "unknown_status", "times": None})
        up42 = connect()
        order, job = up42.orders.get(stock.order_ids[0]), up42.processing.job(stock.job_id)
        assert (order.status, order.is_final, order.is_failed, order.is_fulfilled) == (STRANGE, False, False, False)
        assert (job.status, job.is_final, job.is_successful) == (STRANGE.lower(), False, False)
        assert up42.orders.get(stock.task_id).sub_status == STRANGE
        [quotation] = up42.tasking.quotations(quotation_id=stock.quotation_id)
        assert (quotation.decision, quotation.is_open) == (STRANGE, False)


# --- what is sent once ------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """What attempts are prepared with."""

    url: str
    calm: Up42Client
    order: OrderInput
    place: Callable[..., list[str]]
    offer: Callable[..., Any]
    inputs: dict[str, Any]

    def ledger(self, kind):
        return requests.get(f"{self.url}/sandbox/ledger", timeout=10).json()[kind]


@dataclass
class Attempt:
    """A call that must not be repeated, ready to be made.

    Attributes:
        path: where it goes.
        call: makes it, given a client.
        times: asks the sandbox how often it was carried out.
    """

    path: str
    call: Callable[[Up42Client], Any]
    times: Callable[[], int]


def place_order(bench, mark):
    wanted = bench.order.model_copy(update={"tags": (mark,)})
    return Attempt(
        path="/v2/orders",
        call=lambda up42: up42.orders.place(wanted).results[0].id,
        times=lambda: sum(one["tags"] == [mark] for one in bench.ledger("orders")),
    )


def cancel_order(bench, _):
    [order_id] = bench.place("placement_failed")
    return Attempt(
        path=f"/v2/orders/{order_id}/cancellation",
        call=lambda up42: up42.orders.cancel(order_id),
        times=lambda: int(bench.calm.orders.get(order_id).status is OrderStatus.CANCELED),
    )


def choose_option(bench, _):
    study = bench.offer()
    return Attempt(
        path=f"/v2/tasking/feasibility-studies/{study.id}",
        call=lambda up42: up42.tasking.choose_option(study.id, study.options[0].id),
        times=lambda: int(not next(bench.calm.tasking.studies(study_id=study.id)).is_open),
    )


def accept_quotation(bench, _):
    quotation = bench.offer(priced=True)
    charges = (one["charges"] for one in bench.ledger("orders") if one["id"] == quotation.order_id)
    assert next(charges) == []
    return Attempt(
        path=f"/v2/tasking/quotation/{quotation.id}",
        call=lambda up42: up42.tasking.accept_quotation(quotation.id),
        times=lambda: sum(len(one["charges"]) for one in bench.ledger("orders") if one["id"] == quotation.order_id),
    )


def reject_quotation(bench, _):
    quotation = bench.offer(priced=True)
    found = bench.calm.tasking.quotations
    return Attempt(
        path=f"/v2/tasking/quotation/{quotation.id}",
        call=lambda up42: up42.tasking.reject_quotation(quotation.id),
        times=lambda: len(list(found(quotation_id=quotation.id, decision=[Decision.REJECTED]))),
    )


def execute(bench, mark):
    return Attempt(
        path=f"/v2/processing/processes/{PROCESS}/execution",
        call=lambda up42: up42.processing.execute(PROCESS, {**bench.inputs, "title": mark}).id,
        times=lambda: sum(one["title"] == mark for one in bench.ledger("jobs")),
    )


def create_webhook(bench, mark):
    return Attempt(
        path=f"/workspaces/{bench.calm.workspace_id}/webhooks",
        call=lambda up42: up42.webhooks.create(**hook(mark)).id,
        times=lambda: sum(one.name == mark for one in bench.calm.webhooks.list()),
    )


ONCE: dict[str, Callable[[Bench, str], Attempt]] = {
    "orders.place": place_order,
    "orders.cancel": cancel_order,
    "tasking.choose_option": choose_option,
    "tasking.accept_quotation": accept_quotation,
    "tasking.reject_quotation": reject_quotation,
    "processing.execute": execute,
    "webhooks.create": create_webhook,
}
"""Calls that are never repeated."""


@pytest.fixture(scope="module")
def prepare(paused, calm, order, place, offer, stock):
    """`prepare(name)`: an attempt at a call, about something that nobody has touched."""
    bench = Bench(paused.url, calm, order, place, offer, stock.inputs)
    numbers = itertools.count()
    return lambda name: ONCE[name](bench, f"attempt {next(numbers)}")


class TestCallsThatAreSentOnce:
    @pytest.mark.parametrize(
        ("fault", "error", "times"),
        [
            ({"kind": "status", "status": 429}, RateLimited, 0),
            ({"kind": "status", "status": 429, "retry_after": 0}, RateLimited, 0),
            ({"kind": "status", "status": 500}, ServerProblem, 0),
            ({"kind": "status", "status": 503, "retry_after": 0}, ServerProblem, 0),
            ({"kind": "drop_before"}, AnswerLost, 0),
            ({"kind": "drop_after"}, AnswerLost, 1),
            ({"kind": "truncate", "bytes": 5}, AnswerLost, 1),
        ],
        ids=["429", "429-retry-after", "500", "503-retry-after", "drop-before", "drop-after", "truncate"],
    )
    @pytest.mark.parametrize("name", ONCE)
    def test_are_not_repeated(self, name, fault, error, times, prepare, connect, fire):
        attempt, up42 = prepare(name), connect()
        fire.open({**fault, "path": attempt.path})
        with pytest.raises(error) as caught:
            attempt.call(up42)
        assert type(caught.value) is error
        assert attempt.times() == times

    @pytest.mark.parametrize("name", ONCE)
    def test_nor_when_the_answer_is_late(self, name, prepare, connect, fire):
        attempt = prepare(name)
        up42 = connect(Patience(connect_s=2, read_s=0.2, retries=9, backoff_s=0.001))
        assert up42.workspace_id
        fire.open({"kind": "delay", "seconds": 0.5, "path": attempt.path})
        with pytest.raises(AnswerLost, match="may have been carried out"):
            attempt.call(up42)
        assert attempt.times() == 1

    @pytest.mark.parametrize("name", ONCE)
    def test_but_go_on_with_a_new_token(self, name, prepare, connect, fire):
        attempt = prepare(name)
        fire.open({"kind": "unauthorized", "path": attempt.path})
        attempt.call(connect())
        assert fire.hits(attempt.path) == 1
        assert attempt.times() == 1

    @pytest.mark.parametrize("share", [0.1, 0.3])
    @pytest.mark.parametrize("name", ["orders.place", "processing.execute", "webhooks.create"])
    def test_in_a_storm(self, name, share, prepare, connect, fire):
        kinds = [
            {"kind": "drop_before"},
            {"kind": "drop_after"},
            {"kind": "status", "status": 429},
            {"kind": "status", "status": 429, "retry_after": 60},
            {"kind": "status", "status": 500},
            {"kind": "status", "status": 503},
        ]
        attempts = [prepare(name) for _ in range(50)]
        up42 = connect()
        assert up42.workspace_id
        fire.open(*({**kind, "times": None, "probability": share / len(kinds)} for kind in kinds), seed=7)
        errors = [_error(attempt, up42) for attempt in attempts]
        hits = fire.hits(attempts[0].path)
        fire.cease()
        times = [attempt.times() for attempt in attempts]
        outcomes = {(type(error), count) for error, count in zip(errors, times, strict=True)}
        possible = {(type(None), 1), (AnswerLost, 0), (AnswerLost, 1), (RateLimited, 0), (ServerProblem, 0)}
        assert outcomes <= possible
        assert outcomes == possible or share < 0.3
        assert sum(error is not None for error in errors) == hits  # each fault was told, none was tried again


def _error(attempt, up42):
    try:
        assert attempt.call(up42)
    except (AnswerLost, ServerProblem, RateLimited, Unreachable) as error:
        return error
    return None


class TestNoCallIsForgotten:
    def test_every_public_name_of_every_part_is_in_one_of_the_lists(self, calm):
        parts = {name: part for name, part in _public(calm) if name != "transport"}
        parts |= {f"{name}.{inner}": part for name, outer in parts.items() for inner, part in _public(outer)}
        names = {
            f"{name}.{member}"
            for name, part in parts.items()
            for member, value in inspect.getmembers_static(type(part))
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
        }
        assert names == {*SAFE, *ONCE, *MADE_OF_SAFE}
        assert not set(SAFE) & set(ONCE)


def _public(thing):
    return [(name, value) for name, value in vars(thing).items() if not name.startswith("_")]
