"""The ledger in a lake: processes that race, die, or find it gone."""

import json
import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from up42_pipelines.errors import BudgetExceeded, LakeError
from up42_pipelines.lake import Journal, Lake
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.ledger import Ledger

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
FOLDER = ("purchases", "ledgers", "optical")
RACE = Path(__file__).with_name("race_child.py")


def entry(key: str = "a", credits: int = 60, **changes) -> Entry:
    given = {"partition": "berlin|1", "run": "r1", "at": AT, "state": EntryState.RESERVED, **changes}
    return Entry(key=key, credits=credits, **given)


def no_pause(_seconds: float) -> None:
    pass


def ledger_in(lake: Lake, *, at_up42: Iterable[Entry] = (), sleep=no_pause, **ceilings: float) -> Ledger:
    return Ledger(lake, "optical", Ceilings(**ceilings), found_at_up42=lambda: at_up42, sleep=sleep)


@pytest.fixture
def lake() -> Lake:
    return Lake(f"memory://ledger-{uuid.uuid4().hex}")


class ContestedLake(Lake):
    """Somebody else is faster: the rival acts between what we have read and what we write."""

    rival: Callable[[], None] = staticmethod(lambda: None)

    def create_json(self, document, *parts) -> bool:
        self.rival()
        return super().create_json(document, *parts)


@pytest.fixture
def contested(lake) -> ContestedLake:
    return ContestedLake(lake.url)


class TestOneProcess:
    def test_a_purchase_from_reservation_to_return(self, lake):
        ledger = ledger_in(lake, month=100)
        ledger.reserve(entry())
        assert [one.key for one in ledger.reserved()] == ["a"]
        ledger.found(entry(credits=70, purchase_ids=("id-1",)))
        assert ledger.reserved() == []
        assert ledger.sheet().entries == {"a": entry(credits=70, state="spent", purchase_ids=("id-1",))}
        ledger.returned("a")
        assert ledger.sheet().committed() == 0
        ledger.reserve(entry("b", 100))
        ledger.release("b")
        ledger.found(entry("c", 500, purchase_ids=("id-3",)))
        assert {key: one.state for key, one in ledger.sheet().entries.items()} == {"a": "returned", "c": "spent"}

    def test_others_see_it_at_once(self, lake):
        ledger_in(lake).reserve(entry())
        assert ledger_in(lake).sheet() == ledger_in(Lake(lake.url)).sheet()
        assert ledger_in(lake).sheet().committed() == 60

    def test_a_refusal_says_what_is_left_and_travels(self, lake):
        ledger = ledger_in(lake, month=100)
        ledger.reserve(entry())
        with pytest.raises(BudgetExceeded) as caught:
            ledger.reserve(entry("b", 41))
        error = pickle.loads(pickle.dumps(caught.value))
        assert vars(error) == {"ceiling": "month", "limit": 100, "committed": 60, "asked": 41, "left": 40}
        assert str(error) == (
            "Purchase b for partition berlin|1 would cost 41 credits; the ceiling per month (2026-11, 100 credits) has "
            "40 left. Nothing was placed. Raise the ceiling or wait for next month."
        )
        assert list(ledger.sheet().entries) == ["a"]

    def test_nothing_is_written_when_nothing_changes(self, lake):
        ledger = ledger_in(lake, month=100)
        ledger.found(entry(purchase_ids=("id-1",)))
        before = lake.list(*FOLDER)
        ledger.found(entry(purchase_ids=("id-1",)))
        ledger.release("a")
        ledger.release("unknown")
        ledger.returned("unknown")
        with pytest.raises(BudgetExceeded):
            ledger.reserve(entry("b"))
        assert ledger.reserved() == []
        assert lake.list(*FOLDER) == before

    def test_reservations_are_listed_oldest_first(self, lake):
        ledger = ledger_in(lake)
        for key, age_h in [("a", 1), ("b", 3), ("c", 2)]:
            ledger.reserve(entry(key, at=AT - timedelta(hours=age_h)))
        assert [one.key for one in ledger.reserved()] == ["b", "c", "a"]

    def test_old_versions_go(self, lake):
        ledger = ledger_in(lake)
        for number in range(60):
            ledger.reserve(entry(str(number)))
        assert len(lake.list(*FOLDER)) == 50
        assert ledger.sheet().committed() == 60 * 60

    @pytest.mark.parametrize("damage", [{"entries": {"a": {"credits": -5}}}, {"entries": []}, {"pipeline": None}])
    def test_a_ledger_that_cannot_be_read_holds_everything_back(self, lake, damage):
        ledger_in(lake).reserve(entry())
        number = Journal(lake, *FOLDER).latest().number
        assert Journal(lake, *FOLDER).append(number, {"pipeline": "optical"} | damage)
        with pytest.raises(LakeError, match=rf"pipeline optical, version {number + 1}, cannot be read: .*Restore it"):
            ledger_in(lake).reserve(entry("b"))


class TestNoLedgerYet:
    def test_ceilings_hold_after_it_was_lost(self, lake):
        at_up42 = [
            entry("a", 60, state="spent", purchase_ids=("id-1",)),
            entry("a", 60, state="spent", purchase_ids=("id-2",)),  # bought twice: both count
            entry("b", 500, state="returned", purchase_ids=("id-3",)),
        ]
        ledger = ledger_in(lake, at_up42=at_up42, month=150)
        ledger.reserve(entry("c", 30))
        for name in lake.list(*FOLDER):
            lake.remove(*FOLDER, name)
        with pytest.raises(BudgetExceeded) as caught:
            ledger.reserve(entry("d", 31))
        assert (caught.value.committed, caught.value.left) == (120, 30)

    def test_up42_is_asked_once(self, lake):
        asked = []
        ledger = Ledger(lake, "optical", Ceilings(), found_at_up42=lambda: asked.append(1) or [entry()])
        assert ledger.sheet().committed() == 60
        ledger.reserve(entry("b"))
        assert asked == [1]

    def test_two_that_make_it_at_once_make_one(self, contested):
        at_up42 = [entry(purchase_ids=("id-1",))]
        contested.rival = once(lambda: ledger_in(Lake(contested.url), at_up42=at_up42).reserve(entry("b")))
        ledger = ledger_in(contested, at_up42=at_up42)
        ledger.reserve(entry("c"))
        assert ledger.sheet().committed() == 180


def once(act: Callable[[], None]) -> Callable[[], None]:
    left = [act]
    return lambda: left.pop()() if left else None


class TestRivals:
    def test_who_comes_second_decides_again(self, contested):
        pauses: list[float] = []
        ledger = ledger_in(contested, month=100, sleep=pauses.append)
        ledger.sheet()
        contested.rival = once(lambda: ledger_in(Lake(contested.url), month=100).reserve(entry("b", 60)))
        with pytest.raises(BudgetExceeded) as caught:
            ledger.reserve(entry("a", 60))
        assert caught.value.left == 40
        assert len(pauses) == 1
        assert 0 <= pauses[0] <= 0.02

    def test_both_get_in_when_both_fit(self, contested):
        ledger = ledger_in(contested, month=120)
        ledger.sheet()
        contested.rival = once(lambda: ledger_in(Lake(contested.url), month=120).reserve(entry("b", 60)))
        ledger.reserve(entry("a", 60))
        assert set(ledger.sheet().entries) == {"a", "b"}

    def test_it_gives_up_in_the_end_and_has_changed_nothing(self, contested):
        pauses: list[float] = []
        ledger, others = ledger_in(contested, sleep=pauses.append), ledger_in(Lake(contested.url))
        ledger.sheet()
        names = iter(range(1000))
        contested.rival = lambda: others.reserve(entry(f"rival-{next(names)}"))
        with pytest.raises(LakeError, match=r"ledger of pipeline optical is too busy: 50 times.*Nothing was changed"):
            ledger.reserve(entry())
        assert len(pauses) == 50
        assert 1 < max(pauses) <= 4
        assert "a" not in others.sheet().entries


# --- real processes ---------------------------------------------------------------------------------------------------


def race(folder: Path, month: float, keys: Iterable[str]) -> dict[str, str | dict]:
    command = [sys.executable, str(RACE), str(folder), str(month), "60", *keys]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


def test_sixteen_processes_share_a_month_that_fits_seven(tmp_path):
    keys = [f"k{number:02}" for number in range(16)]
    outcomes = race(tmp_path, 7 * 60 + 59, keys)
    refused = [key for key, outcome in outcomes.items() if outcome != "reserved"]
    assert len(refused) == 9
    for key in refused:
        assert outcomes[key] == {"ceiling": "month", "limit": 479, "committed": 420, "asked": 60, "left": 59}

    assert set(race(tmp_path, 16 * 60, refused).values()) == {"reserved"}

    lake = Lake(str(tmp_path))
    versions = [lake.read_json(*FOLDER, name) for name in lake.list(*FOLDER)]
    totals = [sum(one["credits"] for one in version.get("entries", {}).values()) for version in versions]
    assert totals == [60 * count for count in range(17)]
    assert set(ledger_in(lake).sheet().entries) == set(keys)


def test_a_reservation_outlives_its_process(tmp_path):
    script = (
        "import sys, test_ledger\n"
        "test_ledger.ledger_in(test_ledger.Lake(sys.argv[1]), month=100).reserve(test_ledger.entry('dead'))\n"
        "print('reserved', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "reserved\n"
        os.kill(process.pid, signal.SIGKILL)
    ledger = ledger_in(Lake(str(tmp_path)), month=100)
    assert [one.key for one in ledger.reserved()] == ["dead"]
    with pytest.raises(BudgetExceeded):
        ledger.reserve(entry("b", 41))
    ledger.reserve(entry("c", 40))
