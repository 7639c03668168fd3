"""What is written down before buying: read back whole, changed by one at a time, and no id ever dropped."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from up42_pipelines.errors import LakeError, OrderContradicted
from up42_pipelines.lake import Lake
from up42_pipelines.purchasing.intents import FOLDER, Approval, Intent, IntentBook, State

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def intent(**changes) -> Intent:
    return Intent(
        **{
            "key": "5e1f",
            "kind": "order",
            "label": "Scene S for partition berlin|2026-06-01",
            "pipeline": "berlin_daily",
            "partition": "berlin|2026-06-01",
            "request": {"params": {"id": "Größe"}, "generation": 1},
            "state": State.CLAIMED,
            "holder": "host:1:abc",
            "run": "run-1",
            "lease_until": NOON + timedelta(seconds=30),
            "at": NOON,
            **changes,
        }
    )


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path))


@pytest.fixture
def book(lake) -> IntentBook:
    return IntentBook(lake)


class BusyBook(IntentBook):
    """Others are always faster."""

    def write(self, _after, _intent):
        return False


class TestReading:
    def test_nothing_there(self, book):
        assert book.read("5e1f") == (0, None)
        assert list(book.all()) == []

    @pytest.mark.parametrize(
        "what",
        [
            intent(),
            intent(state=State.PLACED, holder=None, lease_until=None, purchase_ids=("a", "b"), credits=310),
            intent(state=State.UNCLEAR, settled_from=LATER, note="No answer came back."),
            intent(state=State.WAITING, credits=7, approval=Approval(credits=7, by="kim", at=LATER)),
        ],
    )
    def test_comes_back_as_written(self, book, what):
        assert book.write(0, what)
        assert book.read("5e1f") == (1, what)

    def test_a_person_can_read_it(self, book, tmp_path):
        book.write(0, intent())
        text = tmp_path.joinpath(*FOLDER, "5e1f", "000001.json").read_text()
        document = json.loads(text)
        assert "Größe" in text
        assert "\n  " in text
        assert (document["state"], document["lease_until"]) == ("claimed", "2026-06-01T12:00:30Z")
        assert None not in document.values()

    def test_what_a_newer_version_wrote_is_carried(self, book, tmp_path):
        book.write(0, intent())
        file = tmp_path.joinpath(*FOLDER, "5e1f", "000001.json")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "haggling", "mood": "good"}))
        number, read = book.read("5e1f")
        assert read.state == "haggling"
        book.write(number, read.next(note="read"))
        number, again = book.read("5e1f")
        assert (number, again.state, again.mood, again.note) == (2, "haggling", "good", "read")

    def test_a_known_state_is_the_enum(self, book):
        book.write(0, intent(state=State.PLACING))
        assert book.read("5e1f")[1].state is State.PLACING

    def test_what_cannot_be_understood_stops_everything(self, book, tmp_path):
        book.write(0, intent())
        file = tmp_path.joinpath(*FOLDER, "5e1f", "000001.json")
        file.write_text(json.dumps({"key": "5e1f"}))
        with pytest.raises(LakeError, match=r"5e1f, version 1, cannot be read.*Nothing is bought") as caught:
            book.read("5e1f")
        assert str(tmp_path) in str(caught.value)

    def test_all_by_key(self, book):
        for key in ("b", "a"):
            book.write(0, intent(key=key))
        book.write(1, intent(key="b", note="newest"))
        assert [(one.key, one.note) for one in book.all()] == [("a", ""), ("b", "newest")]


class TestWriting:
    def test_one_of_two_that_read_the_same(self, book):
        assert book.write(0, intent(note="first"))
        assert not book.write(0, intent(note="second"))
        assert book.read("5e1f")[1].note == "first"

    def test_every_version_is_kept(self, book, lake):
        for number in range(60):
            assert book.write(number, intent(note=str(number)))
        assert len(lake.list(*FOLDER, "5e1f")) == 60


class TestRecord:
    def test_over_whatever_is_there(self, book):
        mine = intent(credits=310, run="run-1")
        for number, state in enumerate([State.CLAIMED, State.PLACING, State.UNCLEAR, State.REFUSED, State.WAITING]):
            key = f"key-{number}"
            book.write(0, intent(key=key, state=state, holder="host:2:other", run="run-2"))
            recorded = book.record(mine.next(key=key), ("a",), note="Placed.", at=LATER)
            assert book.read(key) == (2, recorded)
            assert (recorded.state, recorded.purchase_ids, recorded.credits) == (State.PLACED, ("a",), 310)
            assert (recorded.holder, recorded.lease_until, recorded.at) == (None, None, LATER)
            assert (recorded.run, recorded.note) == ("run-1", "Placed.")

    def test_where_the_folder_is_gone(self, book):
        recorded = book.record(intent(), ("a",), note="Placed.", at=LATER)
        assert book.read("5e1f") == (1, recorded)
        assert recorded.request == intent().request

    def test_ids_are_added_in_order_and_never_dropped(self, book):
        for ids in (("b",), ("a",), ("b", "c")):
            book.record(intent(), ids, note="", at=NOON)
        assert book.read("5e1f")[1].purchase_ids == ("b", "a", "c")

    def test_what_is_known_is_not_written_again(self, book):
        first = book.record(intent(credits=5), ("a", "b"), note="Placed.", at=NOON)
        assert book.record(intent(credits=6), ("b",), note="Found.", at=LATER) == first
        assert book.read("5e1f")[0] == 1

    def test_a_known_id_of_something_not_placed_is_written(self, book):
        book.write(0, intent(state=State.CLAIMED, purchase_ids=("a",)))
        assert book.record(intent(), ("a",), note="", at=NOON).state == State.PLACED
        assert book.read("5e1f")[0] == 2

    def test_says_the_ids_when_it_cannot_be_written(self, lake):
        with pytest.raises(LakeError, match=r"Scene S.*: order-7, order-8 exists at UP42"):
            BusyBook(lake).record(intent(), ("order-7", "order-8"), note="", at=NOON)


class TestApproving:
    def test_the_price_it_waits_with(self, book):
        book.write(0, intent(state=State.WAITING, credits=310, holder=None))
        approved = book.approve("5e1f", credits=None, by="kim", at=LATER)
        assert book.read("5e1f") == (2, approved)
        assert approved.approval == Approval(credits=310, by="kim", at=LATER)
        assert (approved.state, approved.note) == (State.WAITING, "kim approved 310 credits.")

    def test_another_price(self, book):
        book.write(0, intent(state=State.WAITING, credits=310))
        assert book.approve("5e1f", credits=400, by="kim", at=LATER).approval.credits == 400
        assert book.approve("5e1f", credits=0, by="kim", at=LATER).approval.credits == 0

    @pytest.mark.parametrize("state", [one for one in State if one != State.WAITING])
    def test_only_what_waits(self, book, state):
        book.write(0, intent(state=state, credits=310))
        with pytest.raises(OrderContradicted, match=rf"5e1f does not wait for approval: it is {state}"):
            book.approve("5e1f", credits=None, by="kim", at=LATER)
        assert book.read("5e1f")[0] == 1

    def test_nothing_there(self, book):
        with pytest.raises(OrderContradicted, match="there is no such intent"):
            book.approve("5e1f", credits=None, by="kim", at=LATER)

    def test_no_price_to_approve(self, book):
        book.write(0, intent(state=State.WAITING))
        with pytest.raises(OrderContradicted):
            book.approve("5e1f", credits=5, by="kim", at=LATER)

    def test_others_kept_writing(self, lake, book):
        book.write(0, intent(state=State.WAITING, credits=310))
        with pytest.raises(LakeError, match="could not be approved"):
            BusyBook(lake).approve("5e1f", credits=None, by="kim", at=LATER)
