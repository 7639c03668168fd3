"""Straight into an object store, beside staging: `python -m benchmarks.stream loopback|link`.

loopback: one object of 1 GB from nginx to benchmarks/sink.py, without TLS. Ours gives its sha256 and verifies; staging
does neither.
link: the same with benchmarks/link.py on the way in and another on the way out.
"""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.download import Inputs
from benchmarks.harness import MB, Contender, Promise, Report, options, play, python, serving
from benchmarks.servers import encoded, file_server

ROUNDS = 5
BYTES = 1_000_000_000
CONNECTIONS = {"loopback": 2, "link": 16}
# Behind the link, staging takes 50 s to come in and 50 s to go out.
LINK_BYTES, LINK_STAGE_ROUNDS = 1_000_000_000, 2
OURS, STAGE = "up42-pipelines stream", "requests to file, gcsfs put_file"
_OBJECT = "object.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From where to where.

    Attributes:
        source: URL of the object.
        store: URL of the store, as clients see it.
        direct: the same store without a link, for preparing and checking.
    """

    source: str
    store: str
    direct: str

    def empty(self) -> None:
        """Remove what was uploaded."""
        for name in self._names():
            url = f"{self.direct}/storage/v1/b/bucket/o/{quote(name, safe='')}"
            request = urllib.request.Request(url, method="DELETE")  # noqa: S310
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310

    def check(self, inputs: Inputs) -> Mapping[str, Any]:
        """Size and crc32c of what the store got.

        Raises:
            SystemExit: it is something else, or something was left beside it.
        """
        (crc32c,) = inputs.crc32c.values()
        (served,) = inputs.served.iterdir()
        with urllib.request.urlopen(f"{self.direct}/storage/v1/b/bucket/o/{_OBJECT}", timeout=10) as answer:  # noqa: S310
            resource = json.load(answer)
        if (resource["crc32c"], int(resource["size"])) != (encoded(crc32c), served.stat().st_size):
            raise SystemExit(
                f"The store holds {resource['size']} bytes with crc32c {resource['crc32c']}, not what was sent"
            )
        if (names := self._names()) != [_OBJECT]:
            raise SystemExit(f"Left in the store: {names}")
        return {"outputs": "equal by size and crc32c"}

    def _names(self) -> list[str]:
        with urllib.request.urlopen(f"{self.direct}/storage/v1/b/bucket/o", timeout=10) as answer:  # noqa: S310
            return [item["name"] for item in json.load(answer)["items"]]


def main() -> int:
    """Measure one case."""
    chosen = options(__doc__, *CONNECTIONS).parse_args()
    folder = chosen.folder / f"stream-{chosen.case}"
    try:
        return measure(chosen.case, folder, quick=chosen.quick).finish(chosen.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(case: str, folder: Path, *, quick: bool) -> Report:
    """Ours beside staging."""
    linked, connections = case == "link", CONNECTIONS[case]
    size, rounds = (20_000_000, 1) if quick else (LINK_BYTES if linked else BYTES, ROUNDS)
    inputs = Inputs.made(folder, 1, size)
    where = "behind links of 40 ms and 20 MB/s per connection" if linked else "on loopback"
    with way(inputs, folder, linked=linked) as route:
        # gcsfs would ask a gRPC service about the bucket first, for a minute; nobody is asked for credentials.
        env = {"STORAGE_EMULATOR_HOST": route.store, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        ours = python("benchmarks.clients.ours_stream", route.source, connections, "gs://bucket", _OBJECT)
        stage = python("benchmarks.clients.stage", route.source, inputs.target, f"bucket/{_OBJECT}")
        contenders = [
            Contender(name=OURS, argv=ours, env=env),
            Contender(name=STAGE, argv=stage, env=env, rounds=LINK_STAGE_ROUNDS if linked and not quick else None),
        ]
        report = Report(
            f"stream-{case}", f"{size / MB:,.0f} MB straight into an object store, {where}", quick=quick,
            configuration={"bytes": size, "rounds": rounds, "connections": connections},
        )  # fmt: skip

        def prepare() -> None:
            route.empty()
            inputs.empty()

        def check(_: Contender) -> Mapping[str, Any]:
            return route.check(inputs)

        samples = play(contenders, rounds=rounds, prepare=prepare, check=check, warm_up=not quick)
    (sha256,) = inputs.sha256.values()
    if any(sample.notes["sha256"] != sha256 for sample in samples[OURS]):
        raise SystemExit("Another sha256 than that of what was sent")
    promises = [
        Promise(of=OURS, figure="wall_s", beside=STAGE, at_least=4 if linked else 2.5),
        Promise(of=OURS, figure="rss_bytes", at_most=150, unit="MB", scale=MB),
    ]
    report.add(samples, promises)
    return report


@contextmanager
def way(inputs: Inputs, folder: Path, *, linked: bool) -> Iterator[Way]:
    """Start the servers, and the links between if asked for."""
    with (
        file_server(inputs.served, inputs.crc32c, folder) as server,
        serving(python("benchmarks.sink")) as sink,
    ):
        (name,) = inputs.sha256
        if not linked:
            yield Way(source=f"{server.http}/{name}", store=sink, direct=sink)
            return
        with (
            serving(python("benchmarks.link", server.http.removeprefix("http://"))) as coming,
            serving(python("benchmarks.link", sink.removeprefix("http://"))) as going,
        ):
            yield Way(source=f"http://{coming}/{name}", store=f"http://{going}", direct=sink)


if __name__ == "__main__":
    sys.exit(main())
