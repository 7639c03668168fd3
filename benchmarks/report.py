"""Tables: on the terminal after a benchmark, and in docs/performance.md.

`python -m benchmarks.report FOLDER` reads all JSON files of a folder and writes the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_MB = 1_000_000
# The order of the page.
_ORDER = (
    "download-loopback",
    "download-link",
    "stream-loopback",
    "stream-link",
    "cog-uint16",
    "cog-rgb",
    "stac-items",
    "stac-index",
)
_WORDS = {
    "wall_s": "time",
    "cpu_s": "CPU time",
    "rss_bytes": "peak memory",
    "output_bytes": "bytes",
    "share_of_static_json": "bytes, as a share of static JSON,",
    "last_batch_s": "time of the last batch",
}


def show(document: Mapping[str, Any]) -> None:
    """One benchmark, on the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    head = document["machine"]
    before, after = (
        ", ".join(f"{load:.1f}" for load in document["load_average"][when]) for when in ("before", "after")
    )
    console.print(f"\n[bold]{document['title']}[/bold]")
    console.print(f"{head['cpus']} CPUs ({head['cpu']}), Linux {head['kernel']}, Python {head['python']}")
    console.print(
        f"load average {before} before, {after} after; peaks below {document['floor_bytes'] / _MB:.0f} MB are not seen"
    )
    console.print(", ".join(f"{name} {version}" for name, version in document["versions"].items()), style="dim")
    for rows in (taken(document), kept(document)):
        table = Table()
        for heading in rows[0]:
            table.add_column(heading)
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)
    if document["quick"]:
        console.print("--quick: this shows that the benchmark runs. It measures nothing.")


def taken(document: Mapping[str, Any]) -> list[list[str]]:
    """Medians of each contender, first row the headings."""
    rows = [["contender", "n", "time, s", "CPU, s", "process, s", "its CPU, s", "peak, MB"]]
    for name, samples in document["samples"].items():
        process = [f"{_median(samples, figure):.2f}" for figure in ("process_wall_s", "process_cpu_s")]
        peak = f"{_median(samples, 'rss_bytes') / _MB:.0f}"
        rows.append([name, str(len(samples)), _spread(samples, "wall_s"), _spread(samples, "cpu_s"), *process, peak])
    return rows


def kept(document: Mapping[str, Any]) -> list[list[str]]:
    """Promises and what was found, first row the headings."""
    rows = [["promise", "wanted", "median [least-most]", "n", "kept"]]
    for promise in document["promises"]:
        unit = promise["unit"]
        sign, limit = (">=", promise["at_least"]) if promise["at_least"] is not None else ("<=", promise["at_most"])
        found = f"{_number(promise['median'])} {unit} [{_number(promise['least'])}-{_number(promise['most'])}]"
        verdict = {True: "yes", False: "NO", None: "not judged"}[promise["holds"]]
        rows.append([_named(promise), f"{sign} {_number(limit)} {unit}", found, str(len(promise["values"])), verdict])
    return rows


def page(documents: Sequence[Mapping[str, Any]]) -> str:
    """All benchmarks, as Markdown between the two marks of the page."""
    ordered = sorted(documents, key=lambda document: _ORDER.index(document["benchmark"]))
    lines = []
    for document in ordered:
        head = document["machine"]
        loads = document["load_average"]
        lines += [f"### {document['title']}", ""]
        lines += [*_markdown(kept(document)), "", *_markdown(taken(document)), ""]
        settings = ", ".join(f"{name} {value}" for name, value in document["configuration"].items())
        machine = f"{head['cpus']} CPUs ({head['cpu']}), {head['memory_bytes'] / 2**30:.0f} GiB, Linux {head['kernel']}"
        load = f"load average {loads['before'][0]:.1f} before, {loads['after'][0]:.1f} after"
        lines += [f"{document['date']}; {machine}, Python {head['python']}; {load}. {settings}.", ""]
    if ordered:
        versions = {name: version for document in ordered for name, version in document["versions"].items()}
        lines += ["Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + "."]
    return "\n".join(lines)


def into(text: str, tables: str) -> str:
    """The page with other tables.

    Raises:
        ValueError: the page has lost its marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page needs the marks {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{tables}\n{END}{after}"


def _named(promise: Mapping[str, Any]) -> str:
    what = _WORDS.get(promise["figure"], promise["figure"].replace("_", " "))
    if promise["beside"] is None:
        return f"{what} of {promise['of']}"
    if promise["at_least"] is not None:
        return f"{what}: {promise['of']}, times faster than {promise['beside']}"
    return f"{what}: {promise['of']} / {promise['beside']}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(samples: Sequence[Mapping[str, Any]], figure: str) -> str:
    values = [sample[figure] for sample in samples]
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def _median(samples: Sequence[Mapping[str, Any]], figure: str) -> float:
    return float(statistics.median(sample[figure] for sample in samples))


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    written = [f"| {' | '.join(row)} |" for row in rows]
    return [written[0], f"|{' --- |' * len(rows[0])}", *written[1:]]


def main() -> int:
    """Write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the JSON files of the benchmarks")
    parser.add_argument("--page", type=Path, default=PAGE)
    chosen = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in sorted(chosen.folder.glob("*.json"))]
    if any(document["quick"] for document in documents):
        raise SystemExit("Figures of --quick do not belong on the page.")
    chosen.page.write_text(into(chosen.page.read_text(), page(documents)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
