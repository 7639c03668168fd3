"""520 seeded transfers through everything that goes wrong: no corrupt file ever has its target's name."""

from __future__ import annotations

import logging
import random

import pytest

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import Wanted, fetch
from up42_pipelines.lake.transfer.partial import Received
from up42_pipelines.lake.transfer.patience import Patience

BLOCKS, PER_BLOCK = 10, 52
PART_BYTES = 4096
MOST_FAULTS = 4
# More attempts than drawn faults, so that no order in which connections meet them can exhaust a part.
PATIENCE = Patience(
    silence_s=0.5, block_s=0.6, attempts=MOST_FAULTS + 4, first_pause_s=0.001, longest_pause_s=0.01,
    longest_retry_after_s=0.02,
)  # fmt: skip


def passing(draw, fault, verifiable):
    """A fault of one request, which the next one heals."""

    def replace(stored):
        stored.content = draw.randbytes(len(stored.content) + draw.randint(-9, 9))
        stored.etag = f'"v{draw.randrange(10**9)}"' if stored.etag and stored.etag.startswith('"') else stored.etag

    at = draw.choice([0, 1, draw.randrange(PART_BYTES), PART_BYTES - 1])
    kinds = [
        lambda: fault(drop_after=at),
        lambda: fault(drop_after=at, reset=True),
        lambda: fault(mid_header=True, reset=draw.random() < 0.5),
        lambda: fault(status=429, headers={"Retry-After": draw.choice(["0", "1", "3600"])}),
        lambda: fault(status=draw.choice([408, 429, 500, 502, 503, 504])),
        lambda: fault(status=draw.choice([400, 401, 403])),
        lambda: fault(status=draw.choice([412, 416])),
        lambda: fault(before=replace),
        lambda: fault(no_range=True),
        lambda: fault(headers={"Content-Range": draw.choice(["bytes 0-9/10", "bytes 5-/7", "bytes */9", "x"])}),
        lambda: fault(headers={"ETag": '"another"'}),
        # Nothing contradicts a length that is too small, of a whole object that has no checksum.
        lambda: fault(length=draw.choice([1, 7, 10**6]) if verifiable else 10**6),
    ]
    if verifiable:
        kinds += [lambda: fault(flip=True)] * 2
    if draw.random() < 0.06:
        kinds = [lambda: fault(silent=True), lambda: fault(trickle=True)]
    return draw.choice(kinds)()


def lasting(draw, fault, verifiable):
    """A fault of every request from some point on."""
    kinds = [
        fault(status=404),
        fault(status=410),
        fault(status=503),
        fault(status=403),
        fault(drop_after=draw.randrange(9)),
        fault(mid_header=True),
    ]
    return draw.choice([*kinds, fault(flip=True)] if verifiable else kinds)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_fault_corrupts_and_what_can_recover_does(shared_files, fault, tmp_path, caplog, block):
    caplog.set_level(logging.DEBUG)
    doomed = set()
    wanted = []
    for seed in range(block * PER_BLOCK, (block + 1) * PER_BLOCK):
        draw = random.Random(seed)
        name = f"{seed}.tif"
        hashes = draw.choice(["crc32c", "crc32c", "md5", None])
        faults = [passing(draw, fault, hashes) for _ in range(draw.randint(0, MOST_FAULTS))]
        href = shared_files.put(
            name,
            draw.randbytes(draw.choice([0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, draw.randrange(40_000)])),
            *faults,
            etag=draw.choice(['"v1"', '"v1"', '"v1"', 'W/"v1"', None]),
            hashes=hashes,
            ranges=draw.random() < 0.85,
        )
        if draw.random() < 0.15:
            shared_files.always[f"/{name}"] = lasting(draw, fault, hashes)
            doomed.add(name)
        wanted.append(Wanted(name=name, sign=lambda href=href: shared_files.sign(href), target=tmp_path / name))

    def run(some):
        results = fetch(some, limits=Limits(connections=8), patience=PATIENCE, part_bytes=PART_BYTES)
        return dict(results)

    def check(name, result):
        content = shared_files.objects[f"/{name}"].content
        if isinstance(result, Received):
            assert result.path.read_bytes() == content
            assert not (tmp_path / f"{name}.partial").exists()
            assert not (tmp_path / f"{name}.journal").exists()
        else:
            assert isinstance(result, TransferError)
            assert "Signature" not in str(result)
            assert not (tmp_path / name).exists()

    outcomes = run(wanted)
    assert outcomes.keys() == {one.name for one in wanted}
    for name, result in outcomes.items():
        check(name, result)
        assert isinstance(result, Received) or name in doomed, f"{name} could have recovered: {result}"
    failed = [one for one in wanted if not isinstance(outcomes[one.name], Received)]
    for one in failed:
        del shared_files.always[f"/{one.name}"]
        shared_files.faults[f"/{one.name}"].clear()
    for name, result in run(failed).items():
        check(name, result)
        assert isinstance(result, Received), f"{name} did not recover when the server did: {result}"
    assert "Signature" not in caplog.text
