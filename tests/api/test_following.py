"""Following orders and jobs until UP42 is done with them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from shapely.geometry import box

from up42_pipelines.api.following import follow
from up42_pipelines.errors import NotFound, StillUnderWay


@dataclass(frozen=True)
class Thing:
    id: str
    status: str

    @property
    def is_final(self) -> bool:
        return self.status == "done"


class Up42:
    """Things that are one status further at each look."""

    def __init__(self, **lives: str) -> None:
        self.lives = {name: life.split() for name, life in lives.items()}
        self.unlisted: set[str] = set()
        self.looks, self.slept, self.asked, self.now = [], [], [], 0

    def one(self, thing_id: str) -> Thing:
        self.asked.append(thing_id)
        life = self.lives[thing_id]
        return Thing(thing_id, life[min(self.now, len(life) - 1)])

    def many(self, ids) -> list[Thing]:
        self.looks.append(list(ids))
        listed = [Thing(one, self.lives[one][min(self.now, len(self.lives[one]) - 1)]) for one in ids]
        return [thing for thing in reversed(listed) if thing.id not in self.unlisted]

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 10, "this does not end"
        self.slept.append(seconds)
        self.now += 1

    def follow(self, *ids: str, **options):
        options = {"interval_s": 5, "patience_s": 1000} | options
        return follow(ids, look_many=self.many, look_one=self.one, sleep=self.sleep, **options)


def told(things) -> list[tuple[str, str]]:
    return [(thing.id, thing.status) for thing in things]


def test_tells_each_change_once_until_all_are_final():
    up42 = Up42(a="new running running done", b="new done")
    assert told(up42.follow("a", "b", "a")) == [
        ("a", "new"),
        ("b", "new"),
        ("a", "running"),
        ("b", "done"),
        ("a", "done"),
    ]
    assert up42.slept == [5, 5, 5]
    assert up42.asked == []
    assert up42.looks[0] == ["a", "b"]


def test_what_is_final_is_not_asked_for_again():
    up42 = Up42(a="done", b="new new new done")
    assert told(up42.follow("a", "b"))[-1] == ("b", "done")
    assert up42.looks == [["a", "b"], ["b"], ["b"], ["b"]]


def test_a_hundred_ids_per_request():
    up42 = Up42(**{f"thing{number}": "done" for number in range(201)})
    assert len(told(up42.follow(*up42.lives))) == 201
    assert [len(ids) for ids in up42.looks] == [100, 100, 1]


def test_what_a_list_leaves_out_is_asked_for_by_itself():
    up42 = Up42(a="new done")
    up42.unlisted = {"a"}
    assert told(up42.follow("a")) == [("a", "new"), ("a", "done")]
    assert up42.asked == ["a", "a"]


def test_patience_ends_and_says_where_things_stand():
    up42 = Up42(a="new", b="done")
    found = up42.follow("a", "b", interval_s=10, patience_s=5)
    assert told([next(found), next(found)]) == [("a", "new"), ("b", "done")]
    with pytest.raises(StillUnderWay, match="After 5 s UP42 is not done: a is new"):
        next(found)
    assert up42.slept == []


def test_nothing_to_follow():
    assert told(Up42().follow()) == []


AREA = box(12.48, 41.88, 12.49, 41.89)
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def client(sandbox):
    client = sandbox.client()
    yield client
    client.transport.close()


def test_orders_and_jobs_of_the_sandbox_to_their_end(client, scenes_at, order_input, wait_for):
    [line] = client.orders.place(order_input(client, AREA, scene=scenes_at(client, AREA)[0])).results
    orders = list(client.orders.follow([line.id], interval_s=0.05, patience_s=30))
    assert {order.id for order in orders} == {line.id}
    assert [order.is_final for order in orders] == [False] * (len(orders) - 1) + [True]
    item, *_ = wait_for(lambda: client.storage.items_of_order(line.id))
    job = client.processing.execute("upsampling-ns", {"title": "followed", "item": item.self_href})
    jobs = list(client.processing.follow([job.id], interval_s=0.05, patience_s=30))
    assert {one.id for one in jobs} == {job.id}
    assert [one.is_final for one in jobs] == [False] * (len(jobs) - 1) + [True]


@pytest.mark.parametrize("part", ["orders", "processing"])
def test_an_unknown_id(client, part):
    with pytest.raises(NotFound):
        next(getattr(client, part).follow([NOBODY]))


@pytest.mark.parametrize(
    ("part", "listing", "ids"), [("orders", "list", "order_ids"), ("processing", "jobs", "job_ids")]
)
def test_only_those_are_listed(client, monkeypatch, part, listing, ids):
    asked = []
    monkeypatch.setattr(getattr(client, part), listing, lambda **filters: asked.append(filters) or [])
    with pytest.raises(NotFound):
        next(getattr(client, part).follow([NOBODY]))
    assert asked == [{ids: [NOBODY]}]
