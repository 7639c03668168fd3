"""What an audit finds, case by case."""

from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.api import Order
from up42_pipelines.ordering.audit import audit
from up42_pipelines.ordering.findings import FindingKind
from up42_pipelines.ordering.keys import OrderTags
from up42_pipelines.purchasing.budget import Entry, EntryState, Sheet
from up42_pipelines.purchasing.intents import Approval, Intent, State

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
KEY, OTHER_KEY = "a" * 32, "b" * 32
PIPELINE, PARTITION = "optical", "berlin|2026-06-01"


def intent(state: State | str = State.PLACED, *, key=KEY, **changes) -> Intent:
    if state == State.PLACED:
        changes = {"purchase_ids": ("o1",), "credits": 70, **changes}
    if state in (State.CLAIMED, State.PLACING):
        changes = {"holder": "host:1:cafe", "lease_until": NOW - timedelta(seconds=1), **changes}
    fields = {"kind": "order", "label": "Scene S", "pipeline": PIPELINE, "partition": PARTITION, "request": {}}
    return Intent(**{"key": key, **fields, "state": state, "at": NOW - timedelta(hours=1), **changes})


def order(order_id="o1", *, key=KEY, credits=70, status="PLACED", tags=None, pipeline=PIPELINE, hour=0) -> Order:
    ours = OrderTags(pipeline=pipeline, partition=PARTITION, key=key, credits=credits).to_tags()
    created_at = NOW - timedelta(days=1) + timedelta(hours=hour)
    return Order(id=order_id, status=status, tags=ours if tags is None else tags, created_at=created_at)


def entry(state=EntryState.SPENT, *, key=KEY, credits=70, ids=("o1",)) -> Entry:
    ids = () if state == EntryState.RESERVED else ids
    return Entry(key=key, credits=credits, partition=PARTITION, at=NOW, state=state, purchase_ids=ids)


def found(intents=(), entries=(), orders=()):
    """The findings as (kind, subject, needs a person)."""
    report = audited(intents, entries, orders)
    assert all(one.text for one in report.findings)
    return [(one.kind, one.subject, one.needs_person) for one in report.findings]


def audited(intents=(), entries=(), orders=()):
    sheet = Sheet(pipeline=PIPELINE, entries={one.key: one for one in entries})
    return audit(intents, sheet, orders, pipeline=PIPELINE, now=NOW)


def test_lake_and_up42_agree():
    report = audited([intent()], [entry()], [order()])
    assert report.findings == ()
    assert (
        report.summary()
        == "Pipeline optical: 1 orders at UP42, 1 intents in the lake, 70 credits committed; they agree."
    )


def test_what_belongs_to_another_pipeline_is_left_alone():
    theirs = intent(State.UNCLEAR, key=OTHER_KEY).next(pipeline="radar")
    twice = [order(one, pipeline="radar", key=OTHER_KEY) for one in ("o2", "o3")]
    assert found([intent(), theirs], [entry()], [order(), *twice]) == []


@pytest.mark.parametrize(
    ("one", "kind", "needs_person", "next_step"),
    [
        (intent(State.WAITING, credits=900), FindingKind.WAITING, True, f"orders approve {KEY}"),
        (
            intent(State.WAITING, credits=900, approval=Approval(credits=900, by="ana", at=NOW)),
            FindingKind.WAITING,
            True,
            f"ana approved 900 credits, and nothing has bought it since: run partition {PARTITION} again",
        ),
        (
            intent(State.WAITING, credits=990, approval=Approval(credits=900, by="ana", at=NOW - timedelta(hours=2))),
            FindingKind.WAITING,
            True,
            f"cost 990 credits and needs a person's approval: `up42-pipelines orders approve {KEY}`",
        ),
        (intent(State.UNCLEAR), FindingKind.UNCLEAR, True, "--reclaim"),
        (intent(State.CLAIMED, settled_from=NOW), FindingKind.UNCLEAR, True, "--reclaim"),
        (intent("parked"), FindingKind.UNCLEAR, True, "It is parked"),
        (intent(State.PLACING), FindingKind.LEFT_PLACING, True, "--reclaim"),
        (intent(State.CLAIMED), FindingKind.ABANDONED, False, "--reclaim"),
    ],
)
def test_a_purchase_that_nobody_ends(one, kind, needs_person, next_step):
    [finding] = audited([one], [entry(EntryState.RESERVED)]).findings
    assert (finding.kind, finding.subject, finding.key, finding.needs_person) == (kind, "Scene S", KEY, needs_person)
    assert next_step in finding.text


def test_what_is_being_bought_or_was_refused_is_no_finding():
    lease = NOW + timedelta(seconds=1)
    for state in (State.CLAIMED, State.PLACING):
        busy = intent(state, lease_until=lease)
        assert found([busy], [entry(EntryState.RESERVED)], [order()]) == [], "its order may be there already"
    assert found([intent(State.REFUSED)]) == []


def test_an_intent_whose_order_up42_does_not_show():
    report = audited([intent(purchase_ids=("o1", "o2"))], [entry(ids=("o1", "o2"))], [order()])
    [finding] = report.findings
    assert (finding.kind, finding.needs_person) == (FindingKind.NOT_LISTED, True)
    assert "bought as o2, and UP42 does not show that" in finding.text


def test_jobs_are_not_looked_for_among_the_orders():
    job = intent(kind="job", purchase_ids=("j1",))
    assert found([job], [entry(ids=("j1",))]) == []


def test_an_order_that_no_intent_knows():
    assert found(orders=[order()]) == [(FindingKind.UNKNOWN_ORDER, "o1", True)], "its credits count nowhere"
    assert found([], [entry()], [order()]) == [(FindingKind.UNKNOWN_ORDER, "o1", False)]
    assert found(orders=[order(status="CANCELED")]) == [(FindingKind.UNKNOWN_ORDER, "o1", False)]


@pytest.mark.parametrize("lost", range(3))
def test_an_order_that_lost_a_tag(lost):
    tags = order().tags
    damaged = order(tags=(*tags[:lost], *tags[lost + 1 :], "mine"))
    [finding] = audited([intent()], [entry()], [damaged]).findings
    assert (finding.kind, finding.subject, finding.key, finding.needs_person) == (
        FindingKind.DAMAGED_TAGS,
        "o1",
        KEY,
        True,
    )
    assert f'orders tag o1 --add "{tags[lost]}"' in finding.text


def test_an_order_whose_tags_say_nothing():
    damaged = order("o2", tags=(f"pipeline:{PIPELINE}", "partition:elsewhere"))
    assert found([intent()], [entry()], [order(), damaged]) == [(FindingKind.DAMAGED_TAGS, "o2", True)]


def test_bought_twice():
    both = intent(purchase_ids=("o1", "o2"), credits=70)
    newer, older = order("o1", hour=1), order("o2")
    [finding] = audited([both], [entry(ids=("o1", "o2"), credits=140)], [newer, older]).findings
    assert (finding.kind, finding.subject, finding.needs_person) == (FindingKind.DUPLICATE, "o2", True)
    assert finding.text.startswith("o1 has the same key")
    cancelled = order("o2", status="CANCELED")
    assert found([both], [entry(ids=("o1", "o2"), credits=140)], [newer, cancelled]) == []


def test_the_second_of_two_that_no_intent_knows():
    assert found([intent()], [entry()], [order(), order("o2")]) == [
        (FindingKind.UNKNOWN_ORDER, "o2", True),
        (FindingKind.DUPLICATE, "o1", True),
    ]


@pytest.mark.parametrize("state", [State.PLACED, State.REFUSED])
def test_a_reservation_that_was_left(state):
    assert found([intent(state)], [entry(EntryState.RESERVED)], [order()] if state == State.PLACED else []) == [
        (FindingKind.RESERVED, "Scene S", False)
    ]


def test_a_reservation_without_an_intent():
    assert found([], [entry(EntryState.RESERVED)]) == [(FindingKind.RESERVED, KEY, True)]


def test_a_ledger_entry_that_stands_for_nothing():
    assert found([], [entry()]) == [(FindingKind.NOT_LISTED, "o1", True)]


def test_a_cancelled_order_that_still_counts():
    assert found([intent()], [entry()], [order(status="CANCELED")]) == [(FindingKind.CANCELLED, "o1", False)]
    assert found([intent()], [entry(EntryState.RETURNED)], [order(status="CANCELED")]) == []


def test_an_order_that_does_not_count():
    assert found([intent()], [], [order()]) == [(FindingKind.UNCOUNTED, "Scene S", False)]
    assert found([intent()], [], [order(status="CANCELED")]) == []


def test_other_credits_on_the_ledger_than_in_the_tags():
    assert found([intent()], [entry(credits=71)], [order()]) == [(FindingKind.CREDITS, "o1", True)]
    assert found([intent()], [entry()], [order(credits=0)]) == [], "a price that nobody knew"
    several = intent(purchase_ids=("o1", "o2"))
    failed = order("o2", status="FAILED_PERMANENTLY")
    assert found([several], [entry(ids=("o1", "o2"))], [order(), failed]) == [(FindingKind.CREDITS, "o1, o2", True)]


def test_those_that_need_a_person_come_first():
    report = audited(
        [intent(State.CLAIMED), intent(State.WAITING, key=OTHER_KEY, credits=9)], [entry(EntryState.RESERVED)]
    )
    assert [one.kind for one in report.findings] == [FindingKind.WAITING, FindingKind.ABANDONED]
    assert report.needs_person == report.findings[:1]
    assert report.summary().endswith("1 waiting for approval, 1 abandoned claim. 1 of 2 need a person.")
