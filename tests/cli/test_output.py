"""Tables that can be read, piped and taken apart; JSON that is JSON whatever happens."""

import contextlib
import io
import json
from types import SimpleNamespace

import pytest
from rich.text import Text

from up42_pipelines.cli.output import FEATURE_COLLECTION, Column, Output, note, one_line
from up42_pipelines.cli.wording import explained, number, price, read_moment

COLUMNS = (Column("id", lambda row: row.id), Column("size", lambda row: row.size, right=True))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def show(print_it):
        with contextlib.redirect_stdout(Terminal()) as shown:
            print_it(Output(as_json=False))
        return shown.getvalue()

    return show


def row(name, size=None):
    return SimpleNamespace(id=name, size=size, raw={"id": name, "grösse": size})


def test_columns_are_as_wide_as_what_is_in_them(capsys):
    Output(as_json=False).listing([row("a", "1"), row("longer", "1000"), row("c")], COLUMNS, nothing="")
    assert capsys.readouterr().out == "id      size\na          1\nlonger  1000\nc          -\n"


def test_wide_characters_count_twice(capsys):
    Output(as_json=False).listing([row("日本", "1"), row("ab", "2")], COLUMNS, nothing="")
    assert capsys.readouterr().out.splitlines()[1:] == ["日本     1", "ab       2"]


def test_rows_come_as_they_are_known(capsys):
    def rows():
        yield from (row(f"{n:03}", "1") for n in range(50))
        assert capsys.readouterr().out.count("\n") == 51, "the first rows wait for the next ones"
        yield row("later and longer", "2")

    Output(as_json=False).listing(rows(), COLUMNS, nothing="")
    assert capsys.readouterr().out == "later and longer     2\n"


def test_beyond_the_limit_nothing_is_asked_for(capsys):
    def rows():
        yield row("a")
        raise AssertionError("one was enough")

    Output(as_json=False).listing(rows(), COLUMNS, nothing="", limit=1)
    assert len(capsys.readouterr().out.splitlines()) == 2, "a heading and one row"
    Output(as_json=True).listing(rows(), COLUMNS, nothing="", limit=1)
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_nothing_is_said_on_stderr(capsys):
    Output(as_json=False).listing([], COLUMNS, nothing="No rows.")
    assert capsys.readouterr() == ("", "No rows.\n")


def test_a_pipe_gets_lines_of_any_length(capsys):
    Output(as_json=False).listing([row("x" * 500, "1")], COLUMNS, nothing="")
    assert "x" * 500 in capsys.readouterr().out


def test_a_terminal_gets_one_line_per_row(terminal):
    shown = terminal(lambda out: out.listing([row("abc", "x" * 60)], COLUMNS, nothing=""))
    assert shown.splitlines()[1] == f"abc  {'x' * 24}…"


def test_values_go_on_below_themselves_on_a_terminal(terminal):
    shown = terminal(lambda out: out.record({}, {"name": "one two three four five six seven", "empty": None}))
    assert Text.from_ansi(shown).plain.splitlines() == ["name  one two three four five", "      six seven"]


def test_no_color(terminal, monkeypatch):
    def status(out):
        out.record({}, {"status": Text("good", style="green")})

    assert "\x1b[32mgood" in terminal(status)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "32m" not in terminal(status)


def test_a_link_is_never_cut(terminal):
    assert terminal(lambda out: out.line("x" * 60)) == f"{'x' * 60}\n"


def test_several_values_of_a_field_stand_below_each_other(capsys):
    Output(as_json=False).record({}, {"tags": ("a", "b"), "none": (), "id": "1"})
    assert capsys.readouterr().out == "tags  a\n      b\nid    1\n"


def test_json_is_what_the_api_sent_with_its_letters(capsys):
    Output(as_json=True).listing([row("a", 1), row("b", 2)], COLUMNS, nothing="No rows.")
    said = capsys.readouterr()
    assert json.loads(said.out) == [{"id": "a", "grösse": 1}, {"id": "b", "grösse": 2}]
    assert "grösse" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("brackets", "empty"), [({}, []), ({"brackets": FEATURE_COLLECTION}, {"type": "FeatureCollection", "features": []})]
)
def test_json_of_nothing(capsys, brackets, empty):
    Output(as_json=True).listing([], COLUMNS, nothing="No rows.", **brackets)
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == (empty, "")


def test_json_of_a_listing_that_breaks_off_is_closed(capsys):
    def rows():
        yield row("a")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Output(as_json=True).listing(rows(), COLUMNS, nothing="")
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["a"]


def test_json_of_a_listing_that_never_begins_is_empty(capsys):
    def rows():
        raise ConnectionError
        yield

    with pytest.raises(ConnectionError):
        Output(as_json=True).listing(rows(), COLUMNS, nothing="")
    assert capsys.readouterr().out == ""


def test_notes_are_whole_and_no_markup(capsys):
    note(f"[red]x[/] {'y' * 300}")
    assert capsys.readouterr() == ("", f"[red]x[/] {'y' * 300}\n")


def test_one_line():
    assert one_line("a\n b\t\x1b[31mc\u202e") == "a b �[31mc�"


def test_numbers():
    assert [number(value) for value in (None, 0, 10.0, 0.125, 1234567.5)] == [None, "0", "10", "0.12", "1234567.5"]
    assert number(1e6, 0) == "1000000"
    assert price(1010) == "1010 credits (10.10 EUR)"


def test_a_status_that_is_not_known():
    assert explained("BEAMED_DOWN", "").plain == "BEAMED_DOWN: this version does not know it"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-06-01", "2026-06-01T00:00:00+00:00", "2026-06-01T23:59:59.999999+00:00"),
        ("20260601", "2026-06-01T00:00:00+00:00", "2026-06-01T23:59:59.999999+00:00"),
        ("2026-06-01T10:00", "2026-06-01T10:00:00+00:00", "2026-06-01T10:00:00+00:00"),
        ("2026-06-01T10:00:00+02:00", "2026-06-01T10:00:00+02:00", "2026-06-01T10:00:00+02:00"),
    ],
)
def test_days_and_times(text, first, last):
    assert read_moment(text, last=False).isoformat() == first
    assert read_moment(text, last=True).isoformat() == last
