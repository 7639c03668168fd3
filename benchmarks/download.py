"""Download, beside the SDK, curl and aria2c: `python -m benchmarks.download loopback|link`.

loopback: one file of 1 GB over TLS, from nginx on this machine. What the client costs.
link: a delivery of 20 files of 50 MB behind benchmarks/link.py. What the connections bring.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.harness import MB, Contender, Promise, Report, child, options, play, python, serving
from benchmarks.servers import Files, file_server

ROUNDS = 5
# Loopback has no latency to hide: a second connection (16 is the default) costs a fifth more CPU, and brings little.
LOOPBACK_BYTES, LOOPBACK_CONNECTIONS = 1_000_000_000, 1
LINK_FILES, LINK_BYTES, LINK_CONNECTIONS = 20, 50_000_000, 32
# The SDK needs a minute for what the others do in two seconds.
LINK_SDK_ROUNDS = 2
OURS, SDK, CURL, ARIA2 = "up42-pipelines", "up42-py ImageFile.download", "curl", "aria2c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is downloaded: sha256 and crc32c by name, in a folder; and an empty folder for what arrives."""

    served: Path
    target: Path
    sha256: Mapping[str, str]
    crc32c: Mapping[str, int]

    @classmethod
    def made(cls, folder: Path, count: int, size: int) -> Inputs:
        """Random files from fixed seeds."""
        served, target = folder / "served", folder / "target"
        for path in (served, target):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
        names = [f"file-{number:02}.bin" for number in range(count)]
        crc32c = {
            name: int(child("benchmarks.data", "bytes", served / name, size, seed)) for seed, name in enumerate(names)
        }
        sha256 = {name: sha256_of(served / name) for name in names}
        return cls(served=served, target=target, sha256=sha256, crc32c=crc32c)

    def empty(self) -> None:
        """Remove what arrived."""
        shutil.rmtree(self.target)
        self.target.mkdir()

    def check(self, contender: Contender) -> Mapping[str, Any]:
        """Compare what arrived with what was sent.

        Raises:
            SystemExit: a file is missing, or is another one.
        """
        for name, sha256 in self.sha256.items():
            path = self.target / name
            if not path.exists() or sha256_of(path) != sha256:
                raise SystemExit(f"{contender.name}: {name} did not arrive as it was sent")
        return {"outputs": "equal by sha256"}

    def urls(self, base: str) -> list[str]:
        """As signed URLs look: with a query that names the file and is a secret."""
        secret = f"X-Goog-Signature={'5' * 512}"
        return [
            f'{base}/{name}?response-content-disposition=attachment;filename="{Path(name).stem}"&{secret}'
            for name in self.sha256
        ]


def main() -> int:
    """Measure one case."""
    parser = options(__doc__, "loopback", "link")
    chosen = parser.parse_args()
    peers.need("curl", "aria2c")
    sdk = str(peers.need_sdk())
    case = {"loopback": loopback, "link": link}[chosen.case]
    folder = chosen.folder / f"download-{chosen.case}"
    try:
        return case(folder, sdk, quick=chosen.quick).finish(chosen.json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def loopback(folder: Path, sdk: str, *, quick: bool) -> Report:
    """1 GB over TLS; ours verifies crc32c, the others verify nothing."""
    size, rounds = (20_000_000, 1) if quick else (LOOPBACK_BYTES, ROUNDS)
    inputs = Inputs.made(folder, 1, size)
    with file_server(inputs.served, inputs.crc32c, folder) as server:
        urls, trust, output = inputs.urls(server.https), server.trust(), inputs.target / "file-00.bin"
        contenders = [
            _ours(inputs, LOOPBACK_CONNECTIONS, urls, trust),
            Contender(name=CURL, argv=_curl(server, urls[0], output)),
            _sdk(sdk, inputs, urls, trust),
        ]
        report = Report(
            "download-loopback", f"Download of {size / MB:,.0f} MB over TLS on loopback", quick=quick,
            configuration={"bytes": size, "rounds": rounds, "connections": LOOPBACK_CONNECTIONS, "server": server.kind},
        )  # fmt: skip
        samples = play(contenders, rounds=rounds, prepare=inputs.empty, check=inputs.check, warm_up=not quick)
    promises = [
        Promise(of=OURS, figure="wall_s", beside=SDK, at_least=3.2),
        Promise(of=OURS, figure="wall_s", beside=CURL, at_least=1.0),
        Promise(of=OURS, figure="cpu_s", beside=CURL, at_most=1.1),
    ]
    report.add(samples, promises)
    return report


def link(folder: Path, sdk: str, *, quick: bool) -> Report:
    """A delivery of several files, behind 40 ms and 20 MB/s per connection."""
    count, size, rounds = (2, 500_000, 1) if quick else (LINK_FILES, LINK_BYTES, ROUNDS)
    inputs = Inputs.made(folder, count, size)
    with (
        file_server(inputs.served, inputs.crc32c, folder) as server,
        serving(python("benchmarks.link", server.http.removeprefix("http://"))) as address,
    ):
        urls = inputs.urls(f"http://{address}")
        contenders = [
            _ours(inputs, LINK_CONNECTIONS, urls, {}),
            Contender(name=ARIA2, argv=_aria2(inputs, urls, folder)),
            _sdk(sdk, inputs, urls, {}, LINK_SDK_ROUNDS),
        ]
        report = Report(
            "download-link",
            f"Download of {count} x {size / MB:,.1f} MB behind a link of 40 ms and 20 MB/s per connection", quick=quick,
            configuration={
                "files": count, "bytes": size, "rounds": rounds, "rounds of the SDK": LINK_SDK_ROUNDS,
                "connections": LINK_CONNECTIONS, "server": server.kind,
            },
        )  # fmt: skip
        samples = play(contenders, rounds=rounds, prepare=inputs.empty, check=inputs.check, warm_up=not quick)
    promises = [
        Promise(of=OURS, figure="wall_s", beside=SDK, at_least=20),
        Promise(of=OURS, figure="wall_s", beside=ARIA2, at_least=0.95),
        Promise(of=OURS, figure="rss_bytes", at_most=64, unit="MB", scale=MB),
    ]
    report.add(samples, promises)
    return report


def _sdk(sdk: str, inputs: Inputs, urls: Sequence[str], env: Mapping[str, str], rounds: int | None = None) -> Contender:
    """up42-py as it is; only its question to PyPI for a newer version of itself is left out."""
    argv = [sdk, "-m", "benchmarks.clients.sdk_download", str(inputs.target), *urls]
    return Contender(name=SDK, argv=argv, env={"UP42_DISABLE_VERSION_CHECK": "true", **env}, rounds=rounds)


def _ours(inputs: Inputs, connections: int, urls: Sequence[str], env: Mapping[str, str]) -> Contender:
    """The engine that lands deliveries."""
    return Contender(
        name=OURS, argv=python("benchmarks.clients.ours_download", inputs.target, connections, *urls), env=env
    )


def _curl(server: Files, url: str, output: Path) -> list[str]:
    return [
        str(peers.find("curl")), "--silent", "--show-error", "--fail", "--globoff", "--http1.1",
        "--cacert", str(server.certificate), "--output", str(output), url,
    ]  # fmt: skip


def _aria2(inputs: Inputs, urls: Sequence[str], folder: Path) -> list[str]:
    """As many connections in all as ours: 8 files at a time, 4 each; 2 x 16, 4 x 8, 16 x 2 and 20 x 1 were slower."""
    listing = folder / "aria2.txt"
    listing.write_text("".join(f"{url}\n  out={name}\n" for url, name in zip(urls, inputs.sha256, strict=True)))
    return [
        str(peers.find("aria2c")), "--quiet", "--no-conf", "--input-file", str(listing), "--dir", str(inputs.target),
        "--max-concurrent-downloads=8", "--split=4", "--max-connection-per-server=4", "--min-split-size=1M",
        "--file-allocation=none",
    ]  # fmt: skip


def sha256_of(path: Path) -> str:
    """Read in pieces: this process stays small."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
