"""What commands print: data on stdout, all else on stderr; lines for people, UP42's own JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from textwrap import indent
from typing import Any, Generic, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

T = TypeVar("T")
Cell = str | Text | None
Fields = Mapping[str, Cell | Sequence[Cell]]
ARRAY = ("[", "]")
FEATURE_COLLECTION = ('{"type": "FeatureCollection", "features": [', "]}")

_MEASURED_ROWS = 50
"""Rows that decide how wide the columns are: fewer than a page of the API, so that no row waits for a request."""
_GAP = "  "
_NARROWEST = 20
_ABSENT = Text("-", style="dim")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table.

    Attributes:
        heading: above it.
        value: its cell for a record; None where there is nothing to say.
        right: whether numbers line up at the right.
    """

    heading: str
    value: Callable[[T], Cell]
    right: bool = False


class Output:
    """Where the data of one command goes.

    Attributes:
        as_json: JSON instead of lines.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._console = Console(highlight=False)
        self._fits_terminal = sys.stdout.isatty()

    def listing(
        self,
        records: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        nothing: str,
        limit: int | None = None,
        raw: Callable[[T], Any] = attrgetter("raw"),
        brackets: tuple[str, str] = ARRAY,
    ) -> None:
        """Print records as they come: a table, or a JSON array.

        Args:
            records: usually a lazy listing; what is beyond `limit` is not asked for.
            columns: of the table.
            nothing: said on stderr when there are no records.
            limit: how many to print; all when None.
            raw: what a record is in JSON.
            brackets: what begins and ends the JSON.
        """
        some = islice(records, limit)
        if self.as_json:
            _print_json(map(raw, some), brackets)
        elif not self._print_table(some, columns):
            note(nothing)

    def record(self, raw: Any, fields: Fields) -> None:
        """Print one record: a line per field that says something, or the JSON object."""
        if self.as_json:
            click.echo(_as_json(raw))
        else:
            self._print_fields(fields)

    def records(self, records: Iterable[T], fields: Callable[[T], Fields], *, nothing: str, limit: int | None) -> None:
        """Print records that are too wide for a table: a paragraph each, or a JSON array."""
        some = islice(records, limit)
        if self.as_json:
            _print_json(map(attrgetter("raw"), some), ARRAY)
            return
        number = 0
        for number, record in enumerate(some, start=1):
            if number > 1:
                self._print_line(Text())
            self._print_fields(fields(record))
        if not number:
            note(nothing)

    def part(self, title: str, records: Iterable[T], columns: Sequence[Column[T]]) -> None:
        """Print a table that belongs to the record above it; in JSON the record holds it, or nobody does."""
        rows = list(records)
        if rows and not self.as_json:
            self._print_line(Text(f"\n{title}", style="bold"))
            self._print_table(rows, columns)

    def line(self, text: str) -> None:
        """Print a line of data, whole; not in JSON."""
        if not self.as_json:
            self._console.print(Text(one_line(text)), soft_wrap=True)

    def _print_table(self, records: Iterable[T], columns: Sequence[Column[T]]) -> bool:
        """Print a table; False when there was nothing to print."""
        rows = ([_cell(column.value(record)) for column in columns] for record in records)
        first = list(islice(rows, _MEASURED_ROWS))
        if not first:
            return False
        headings = [Text(column.heading, style="bold") for column in columns]
        widths = [max(cell_len(row[n].plain) for row in [headings, *first]) for n in range(len(columns))]
        for row in chain([headings], first, rows):
            aligned = [_aligned(*parts) for parts in zip(row, widths, columns, strict=True)]
            line = Text(_GAP).join(aligned)
            line.rstrip()
            self._print_line(line)
        return True

    def _print_fields(self, fields: Fields) -> None:
        shown = {name: [_cell(cell) for cell in _several(value) if cell] for name, value in fields.items()}
        label = max(cell_len(name) for name, cells in shown.items() if cells)
        for name, cells in shown.items():
            for number, cell in enumerate(cells):
                heading = (name if number == 0 else "").ljust(label)
                self.hanging(Text.assemble((heading, "bold"), _GAP), cell)

    def hanging(self, head: Text, text: Text) -> None:
        """Print a line that begins with `head`; what does not fit the terminal goes on below `text`."""
        begin = cell_len(head.plain)
        room = max(self._console.width - begin, _NARROWEST)
        pieces = list(text.wrap(self._console, room)) if self._fits_terminal else [text]
        for number, piece in enumerate(pieces):
            piece.rstrip()
            self._console.print(Text.assemble(head if number == 0 else " " * begin, piece), soft_wrap=True)

    def _print_line(self, line: Text) -> None:
        if self._fits_terminal:
            self._console.print(line, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(line, soft_wrap=True)


def note(text: str, *, style: str = "") -> None:
    """Print a sentence on stderr."""
    Console(stderr=True, highlight=False).print(Text(text, style=style), soft_wrap=True)


def one_line(text: str) -> str:
    """The text without line breaks, and without what would steer the terminal."""
    return "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json` to a command; it is given an `Output` as `out`."""
    return click.option(
        "--json",
        "out",
        is_flag=True,
        callback=lambda _context, _option, value: Output(as_json=value),
        help="Print UP42's own JSON.",
    )(command)


def limit_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--limit` to a listing."""
    return click.option("--limit", type=click.IntRange(min=1), help="Stop after so many [default: all].")(command)


def example(arguments: str) -> str:
    """The end of a command's help."""
    return f"\b\nExample:\n  up42-pipelines {arguments}"


def _as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def _print_json(documents: Iterator[Any], brackets: tuple[str, str]) -> None:
    """A JSON array, element by element; it is closed even when the listing breaks off, and empty before it begins."""
    first = list(islice(documents, 1))
    separator = brackets[0]
    try:
        for document in chain(first, documents):
            click.echo(f"{separator}\n{indent(_as_json(document), '  ')}", nl=False)
            separator = ","
    finally:
        click.echo(("\n" if first else separator) + brackets[1])


def _several(value: Cell | Sequence[Cell]) -> Sequence[Cell]:
    return [value] if value is None or isinstance(value, str | Text) else value


def _cell(value: Cell) -> Text:
    if isinstance(value, Text):
        return Text(one_line(value.plain), style=value.style)
    return Text(one_line(value)) if value else _ABSENT


def _aligned(cell: Text, width: int, column: Column[Any]) -> Text:
    padding = " " * (width - cell_len(cell.plain))
    return Text(padding) + cell if column.right else cell + padding
