"""The budget's arithmetic: no order of events lets reservations exceed a ceiling, and nothing counts twice."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from up42_pipelines.purchasing.budget import (
    Ceilings,
    Entry,
    EntryState,
    Refusal,
    Sheet,
    found,
    month_of,
    release,
    reserve,
    returned,
)

QUICK = settings(derandomize=True, max_examples=150, deadline=None, database=None)
NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


def entry(key: str = "a", credits: int = 100, **changes) -> Entry:
    given = {"partition": "berlin|2026-11-01", "run": "r1", "at": NOVEMBER, "state": EntryState.RESERVED, **changes}
    return Entry(key=key, credits=credits, **given)


def sheet_of(*entries: Entry, **more) -> Sheet:
    return Sheet(pipeline="optical", entries={one.key: one for one in entries}, **more)


def reserved(sheet: Sheet, one: Entry, **ceilings: float) -> Sheet:
    outcome = reserve(sheet, one, Ceilings(**ceilings))
    assert isinstance(outcome, Sheet), outcome
    return outcome


def refused(sheet: Sheet, one: Entry, **ceilings: float) -> Refusal:
    outcome = reserve(sheet, one, Ceilings(**ceilings))
    assert isinstance(outcome, Refusal), outcome
    return outcome


# --- whatever happens, in whatever order ------------------------------------------------------------------------------

KEYS = st.sampled_from("abcd")
ENTRIES = st.builds(
    entry,
    KEYS,
    st.integers(0, 120),
    run=st.sampled_from(["r1", "r2"]),
    partition=st.sampled_from(["berlin|2026-11-01", "lisbon|2026-11-01"]),
    at=st.sampled_from([NOVEMBER, DECEMBER]),
)
LIMITS = st.none() | st.integers(0, 300) | st.floats(0, 300)
CEILINGS = st.builds(Ceilings, order=LIMITS, run=LIMITS, partition=LIMITS, month=LIMITS, pipeline=LIMITS)


def bought(sheet: Sheet, key: str) -> Sheet:
    known = sheet.entries.get(key)
    return sheet if known is None else found(sheet, known.model_copy(update={"purchase_ids": (f"id-{key}",)}))


EVENTS = st.lists(
    st.tuples(st.just(reserve), ENTRIES) | st.tuples(st.sampled_from([bought, release, returned]), KEYS), max_size=30
)
FINDS = st.lists(
    st.builds(
        lambda one, state, ids: one.model_copy(update={"state": state, "purchase_ids": ids}),
        ENTRIES,
        st.sampled_from(EntryState),
        st.lists(st.sampled_from(["id-1", "id-2", "id-3"]), max_size=2, unique=True).map(tuple),
    ),
    max_size=5,
)


def play(sheet: Sheet, events, ceilings: Ceilings) -> Sheet:
    for event, what in events:
        outcome = reserve(sheet, what, ceilings) if event is reserve else event(sheet, what)
        sheet = outcome if isinstance(outcome, Sheet) else sheet
    return sheet


def over(sheet: Sheet, ceilings: Ceilings) -> list[str]:
    """Which ceilings do not hold, summed up here in another way than `reserve` does."""
    totals: dict[tuple[str, str], int] = {}
    for one in sheet.entries.values():
        counts = 0 if one.state == "returned" else one.credits
        for group in [
            ("order", one.key),
            ("run", one.run),
            ("partition", one.partition),
            ("month", one.at.strftime("%Y-%m")),
            ("pipeline", sheet.pipeline),
        ]:
            totals[group] = totals.get(group, 0) + counts
    limits = {name: limit for name, limit in ceilings.model_dump().items() if limit is not None}
    return [group for group, total in totals.items() if group[0] in limits and total > limits[group[0]]]


@QUICK
@given(EVENTS, CEILINGS)
def test_no_sequence_of_events_exceeds_a_ceiling(events, ceilings):
    sheet = sheet_of()
    for event in events:
        sheet = play(sheet, [event], ceilings)
        assert over(sheet, ceilings) == []


@QUICK
@given(FINDS, EVENTS, CEILINGS)
def test_what_is_found_beyond_a_ceiling_lets_nothing_more_through(finds, events, ceilings):
    sheet = sheet_of()
    for find in finds:
        sheet = found(sheet, find)
    for event, what in events:
        before = sheet
        sheet = play(sheet, [(event, what)], ceilings)
        if event is reserve and sheet != before and what.credits:
            groups = {("order", what.key), ("run", what.run), ("partition", what.partition)}
            groups |= {("month", month_of(what.at)), ("pipeline", "optical")}
            assert not groups & set(over(sheet, ceilings))


@QUICK
@given(FINDS, EVENTS, ENTRIES)
def test_every_event_twice_is_once(finds, events, one):
    sheet = play(sheet_of(), events, Ceilings())
    for find in finds:
        sheet = found(sheet, find)
        assert found(sheet, find) == sheet
    for event, what in [(reserve, one), (bought, one.key), (release, one.key), (returned, one.key)]:
        once = play(sheet, [(event, what)], Ceilings())
        assert play(once, [(event, what)], Ceilings()) == once


@QUICK
@given(FINDS, EVENTS, CEILINGS)
def test_a_sheet_survives_json(finds, events, ceilings):
    sheet = play(sheet_of(), events, ceilings)
    for find in finds:
        sheet = found(sheet, find)
    assert Sheet.model_validate_json(sheet.model_dump_json()) == sheet
    assert Sheet.model_validate(sheet.model_dump(mode="json", exclude_defaults=True)) == sheet


@QUICK
@given(
    st.permutations([("id-1", "spent", 100), ("id-2", "spent", 70), ("id-3", "returned", 30), ("id-1", "spent", 100)])
)
def test_several_purchases_of_one_key_all_count_in_whatever_order_they_are_found(finds):
    sheet = sheet_of()
    for one, state, credits in finds:
        sheet = found(sheet, entry(credits=credits, state=state, purchase_ids=(one,)))
    assert sheet.committed() == 170
    assert sheet.entries["a"].state == EntryState.SPENT
    assert sorted(sheet.entries["a"].purchase_ids) == ["id-1", "id-2", "id-3"]


# --- reserving --------------------------------------------------------------------------------------------------------


class TestReserve:
    @pytest.mark.parametrize(
        ("ceiling", "scope"),
        [("run", "r1"), ("partition", "berlin|2026-11-01"), ("month", "2026-11"), ("pipeline", "optical")],
    )
    def test_fits_to_the_last_credit_and_not_beyond(self, ceiling, scope):
        sheet = sheet_of(entry("before", 60))
        assert reserved(sheet, entry("a", 40), **{ceiling: 100}).committed() == 100
        refusal = refused(sheet, entry("a", 41), **{ceiling: 100})
        assert refusal == Refusal(ceiling=ceiling, scope=scope, limit=100, committed=60, asked=41)
        assert refusal.left == 40

    def test_a_single_order_has_its_ceiling_whatever_else_was_bought(self):
        sheet = sheet_of(entry("before", 60))
        assert reserved(sheet, entry("a", 100), order=100).committed() == 160
        assert refused(sheet, entry("a", 101), order=100).left == 100

    @pytest.mark.parametrize(
        ("ceiling", "elsewhere"),
        [("run", {"run": "r2"}), ("partition", {"partition": "lisbon|2026-11-01"}), ("month", {"at": DECEMBER})],
    )
    def test_what_belongs_elsewhere_does_not_count(self, ceiling, elsewhere):
        assert reserved(sheet_of(entry("before", 60, **elsewhere)), entry("a", 41), **{ceiling: 100}).committed() == 101

    def test_a_month_is_a_calendar_month_in_utc(self):
        in_tokyo = datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=9)))
        assert entry(at=in_tokyo).month == month_of(in_tokyo) == "2026-11"
        assert entry(at=in_tokyo).model_dump(mode="json")["at"] == "2026-11-30T23:00:00Z"
        assert refused(sheet_of(entry("before", 60, at=in_tokyo)), entry("a", 41), month=100).scope == "2026-11"

    def test_the_first_ceiling_that_does_not_hold_is_named(self):
        names = ["order", "run", "partition", "month", "pipeline"]
        for position, name in enumerate(names):
            ceilings = dict.fromkeys(reversed(names[position:]), 99)
            assert refused(sheet_of(), entry("a", 100), **ceilings).ceiling == name

    @pytest.mark.parametrize("state", ["reserved", "spent", "a-state-of-tomorrow"])
    def test_reserved_spent_and_unknown_count_and_returned_does_not(self, state):
        assert refused(sheet_of(entry("before", 60, state=state)), entry("a", 41), month=100).committed == 60
        assert reserved(sheet_of(entry("before", 60, state="returned")), entry("a", 100), month=100).committed() == 100

    @pytest.mark.parametrize("state", EntryState)
    def test_the_same_key_again_replaces_its_entry_and_does_not_count_against_itself(self, state):
        sheet = sheet_of(entry("a", 80, state=state), entry("b", 10))
        again = reserved(sheet, entry("a", 90, run="r2"), month=100)
        assert again.entries["a"] == entry("a", 90, run="r2")
        assert again.committed() == 100

    def test_a_refusal_leaves_the_earlier_reservation(self):
        sheet = sheet_of(entry("a", 80))
        assert refused(sheet, entry("a", 101), month=100).committed == 0
        assert sheet.committed() == 80

    def test_the_very_same_reservation_stands_even_if_a_ceiling_no_longer_holds(self):
        sheet = found(sheet_of(entry("a", 80)), entry("b", 80, purchase_ids=("id-b",)))
        assert reserved(sheet, entry("a", 80), month=100) == sheet

    def test_what_costs_nothing_always_fits(self):
        assert reserved(sheet_of(entry("before", 200)), entry("a", 0), month=100).committed() == 200

    def test_whatever_state_it_is_given_it_is_reserved(self):
        assert reserved(sheet_of(), entry(state="returned")).entries["a"].state == EntryState.RESERVED


def test_a_refusal_says_what_is_left_and_what_to_do():
    refusal = refused(sheet_of(entry("before", 960)), entry("a", 120), month=1000)
    assert refusal.sentence("Scene S") == (
        "Scene S would cost 120 credits; the ceiling per month (2026-11, 1000 credits) has 40 left. "
        "Nothing was placed. Raise the ceiling or wait for next month."
    )
    assert "ceiling per order is 99.5. Nothing was placed." in refused(sheet_of(), entry(), order=99.5).sentence("S")
    assert "(optical, 12000000 credits) has 0 left" in refused(
        sheet_of(entry("b", 13_000_000)), entry(), pipeline=12_000_000
    ).sentence("S")


# --- afterwards -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["spent", "returned", "a-state-of-tomorrow"])
def test_only_a_reservation_is_released(state):
    assert release(sheet_of(entry(), entry("b")), "a") == sheet_of(entry("b"))
    assert release(sheet_of(entry(state=state)), "a") == sheet_of(entry(state=state))
    assert release(sheet_of(), "a") == sheet_of()


def test_a_late_release_leaves_the_reservation_of_the_next_attempt():
    first, second = entry(claim=1), entry(claim=4)
    sheet = reserved(reserved(sheet_of(), first), second)
    assert release(sheet, "a", claim=3) == sheet_of(second)
    assert release(sheet, "a", claim=4) == release(sheet, "a", claim=9) == sheet_of()


def test_an_intent_that_was_removed_fences_nobody_off():
    """The numbers of its successor begin anew, so they cannot be compared."""
    left = sheet_of(entry(run="r1", credits=70, claim=4, journal="removed"))
    assert refused(left, entry(credits=101, claim=1, journal="new"), month=100).asked == 101
    again = reserved(left, entry(run="r2", credits=90, claim=1, journal="new"), month=100)
    assert again == sheet_of(entry(run="r2", credits=90, claim=1, journal="new"))
    assert release(left, "a", claim=9, journal="new") == left
    assert release(again, "a", claim=4, journal="removed") == again


@pytest.mark.parametrize("state", EntryState)
def test_who_was_taken_for_dead_reserves_nothing_over_the_next_attempt(state):
    sheet = sheet_of(entry(run="r2", credits=70, claim=4, state=state))
    assert reserved(sheet, entry(run="r1", credits=90, claim=3)) == sheet


def test_returned_credits_can_be_spent_again():
    sheet = returned(sheet_of(entry(state="spent", purchase_ids=("id-1",))), "a")
    assert sheet.entries["a"].purchase_ids == ("id-1",)
    assert reserved(sheet, entry("b", 100), month=100).committed() == 100
    assert returned(sheet_of(), "a") == sheet_of()


class TestFound:
    def test_counts_whatever_the_ceilings_say(self):
        sheet = found(sheet_of(entry("b", 60)), entry("a", 1000, purchase_ids=("id-1",)))
        assert sheet.entries["a"].state == EntryState.SPENT
        assert refused(sheet, entry("c", 1), month=100).committed == 1060

    def test_takes_a_price_that_is_known_better(self):
        assert found(sheet_of(entry()), entry(credits=90, purchase_ids=("id-1",))).committed() == 90

    def test_a_second_purchase_of_the_key_costs_again(self):
        sheet = sheet_of(entry())
        for one in ("id-1", "id-2"):
            sheet = found(sheet, entry(purchase_ids=(one,)))
        assert (sheet.committed(), sheet.entries["a"].purchase_ids) == (200, ("id-1", "id-2"))

    def test_takes_the_place_of_a_reservation_and_keeps_on_whose_behalf(self):
        at_up42 = entry("a", 110, run="", at=DECEMBER, purchase_ids=("id-1",))
        sheet = found(sheet_of(entry("a", 100)), at_up42)
        assert sheet.entries["a"] == entry("a", 110, state="spent", purchase_ids=("id-1",))

    def test_a_reservation_keeps_its_price_when_up42_does_not_tell(self):
        assert found(sheet_of(entry("a", 100)), entry("a", 0, purchase_ids=("id-1",))).committed() == 100

    def test_what_failed_frees_its_reservation(self):
        assert found(sheet_of(entry()), entry(state="returned", purchase_ids=("id-1",))).committed() == 0
        assert found(sheet_of(), entry(state="returned", purchase_ids=("id-1",))).committed() == 0

    def test_a_return_that_is_found_later_counts_if_it_speaks_for_every_purchase(self):
        sheet = sheet_of(entry(state="spent", purchase_ids=("id-1", "id-2")))
        assert found(sheet, entry(state="returned", purchase_ids=("id-1",))).committed() == 100
        assert found(sheet, entry(state="returned", purchase_ids=("id-2", "id-1"))).committed() == 0

    def test_what_was_returned_is_not_spent_again(self):
        sheet = sheet_of(entry(state="returned", purchase_ids=("id-1",)))
        assert found(sheet, entry(state="spent", purchase_ids=("id-1",))) == sheet


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_what_a_newer_version_wrote_is_carried_and_counts():
    stored = {
        "pipeline": "optical",
        "currency": "CREDIT",
        "entries": {
            "a": {**entry("a").model_dump(mode="json"), "invoice": "I-1"},
            "b": {**entry("b", 50).model_dump(mode="json"), "state": "disputed", "invoice": "I-2"},
        },
    }
    sheet = Sheet.model_validate(stored)
    assert sheet.committed() == 150
    changed = found(sheet, entry("a", purchase_ids=("id-1",))).model_dump(mode="json")
    assert (changed["currency"], changed["entries"]["a"]["invoice"]) == ("CREDIT", "I-1")
    assert changed["entries"]["b"] == stored["entries"]["b"] | {"purchase_ids": []}
    again = reserved(sheet, entry("a", 70), month=120)
    assert (again.committed(), again.entries["a"].invoice) == (120, "I-1")
    assert reserved(again, entry("a", 70), month=1) == again


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), "many"])
def test_a_ceiling_that_would_hold_nothing_back_is_refused(limit):
    with pytest.raises(ValidationError):
        Ceilings(month=limit)


def test_a_misspelt_ceiling_is_refused():
    with pytest.raises(ValidationError, match="monthly"):
        Ceilings(monthly=1000)


@pytest.mark.parametrize("damage", [{"credits": -5}, {"credits": 1.5}, {"at": "2026-11-01T00:00:00"}, {"key": None}])
def test_an_entry_that_cannot_be_trusted_is_refused(damage):
    with pytest.raises(ValidationError):
        Entry.model_validate({**entry().model_dump(mode="json"), **damage})
