"""What `doctor` looks at: small functions that return what they found. None of them spends anything."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.cli.wording import price
from up42_pipelines.errors import LakeError, NotFound, Unreachable, Up42Error

if TYPE_CHECKING:
    import requests

    from up42_pipelines.api import Hosts, Patience, Up42Client

LARGEST_SKEW_S = 30.0
"""Signatures of webhook messages are refused when they are 300 s old, or come from the future."""

DRIVERS = {
    "GTiff": "reads GeoTIFF deliveries",
    "COG": "writes cloud-optimised GeoTIFFs",
    "JP2OpenJPEG": "reads JPEG 2000 deliveries",
    "NITF": "reads NITF deliveries",
}
_ANSWERS_WITHOUT_TOKEN = "/webhooks/events"  # noqa: S105 - a path
_SANDBOX_HEALTH = "/sandbox/health"
_TIMEOUT_S = (5, 10)


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        outcome: nothing to do, something to know, something to repair, or not looked at.
        detail: the fact.
        remedy: what to do about it; empty when there is nothing to do.
    """

    outcome: Outcome
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at.

    Attributes:
        name: as people call it.
        look: returns what is found; an error of ours is a failure, and tells the remedy after its first sentence.
        needs: names of earlier checks without which this one makes no sense.
    """

    name: str
    look: Callable[[], Finding]
    needs: tuple[str, ...] = ()


def run_checks(checks: Sequence[Check]) -> Iterator[tuple[str, Finding]]:
    """Look at one thing after the other; what needs something that failed is skipped."""
    unusable: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name in unusable]
        finding = _skipped(missing) if missing else _look(check)
        if finding.outcome in (Outcome.FAILURE, Outcome.SKIPPED):
            unusable.add(check.name)
        yield check.name, finding


def _skipped(missing: Sequence[str]) -> Finding:
    return Finding(outcome=Outcome.SKIPPED, detail=f"needs {' and '.join(missing)}")


def _look(check: Check) -> Finding:
    try:
        return check.look()
    except Up42Error as error:
        what, _, next_step = str(error).partition(". ")
        return Finding(outcome=Outcome.FAILURE, detail=what, remedy=next_step)


def check_base_url(settings: AccountSettings) -> Finding:
    """Which UP42 is asked, whether it answers, and whether it is one at all."""
    hosts = settings.hosts()
    _ask(hosts, _ANSWERS_WITHOUT_TOKEN)
    if not settings.api_url:
        return Finding(outcome=Outcome.OK, detail=f"UP42, region {settings.region}, {hosts.api}")
    version = _sandbox_version(hosts)
    if version is not None:
        return Finding(outcome=Outcome.OK, detail=f"sandbox {version} at {hosts.api}: not UP42, spends no money")
    return Finding(outcome=Outcome.OK, detail=f"{hosts.api}, which is no sandbox: orders spend credits")


def check_clock(hosts: Hosts, *, now: Callable[[], float] = time.time) -> Finding:
    """How far our clock is from the server's."""
    before = now()
    answer = _ask(hosts, _ANSWERS_WITHOUT_TOKEN)
    return judge_clock(answer.headers.get("Date"), ours=(before + now()) / 2)


def judge_clock(date: str | None, *, ours: float) -> Finding:
    """Compare a `Date` header with our clock, seconds since 1970; it has whole seconds."""
    theirs = None
    with suppress(ValueError):
        theirs = parsedate_to_datetime(date).timestamp() if date else None
    if theirs is None:
        return Finding(outcome=Outcome.WARNING, detail="the server does not tell its time")
    skew = ours - theirs
    if abs(skew) <= LARGEST_SKEW_S:
        return Finding(outcome=Outcome.OK, detail=f"{abs(skew):.0f} s from the server's")
    return Finding(
        outcome=Outcome.WARNING,
        detail=f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's",
        remedy="Switch time synchronisation (NTP) on: signatures of webhook messages are refused.",
    )


def check_credentials(settings: AccountSettings, patience: Patience) -> Finding:
    """Whether there is a user name and a password, and UP42 takes them."""
    user = replace(settings, workspace_id="").connect(patience)
    with closing(user.transport):
        _ = user.workspace_id  # the user info: asked with a token, and about nothing else
    return Finding(outcome=Outcome.OK, detail="accepted")


def check_workspace(settings: AccountSettings, client: Up42Client) -> Finding:
    """Which workspace orders, and whether its orders can be read."""
    next(client.orders.list(page_size=1), None)
    whose = "given explicitly" if settings.workspace_id else "the user's own"
    return Finding(outcome=Outcome.OK, detail=f"{client.workspace_id}, {whose}; its orders are readable")


def check_credits(client: Up42Client) -> Finding:
    """What is left to spend."""
    try:
        credits = client.account.balance().credits
    except NotFound:
        return Finding(outcome=Outcome.WARNING, detail="UP42 does not tell them (any more)")
    if credits > 0:
        return Finding(outcome=Outcome.OK, detail=price(credits))
    return Finding(
        outcome=Outcome.WARNING, detail=price(credits), remedy="Buy credits in the UP42 console: orders are refused."
    )


def check_lake(url: str) -> Finding:
    """Whether the lake takes a file, gives it back and lets go of it."""
    from up42_pipelines.lake import Lake

    lake = Lake(url)
    name, content = f".doctor.{secrets.token_hex(8)}.part", secrets.token_bytes(32)
    new_folder = lake.local and not Path(lake.root).exists()
    lake.write_bytes(content, name)
    try:
        if lake.read_bytes(name) != content:
            raise LakeError(f"Lake {url}: what was written is not what is read. Do not use it.")
    finally:
        lake.remove(name)
        if new_folder:
            with suppress(OSError):  # somebody else uses it by now
                Path(lake.root).rmdir()
    return Finding(outcome=Outcome.OK, detail=f"{url} can be written and read")


def check_gdal() -> Finding:
    """Whether GDAL has the drivers that deliveries need."""
    import rasterio

    with rasterio.Env() as gdal:
        return judge_drivers(gdal.drivers(), version=rasterio.__gdal_version__)


def judge_drivers(drivers: Mapping[str, str], *, version: str) -> Finding:
    """Compare GDAL's drivers, by short name, with what deliveries need."""
    missing = {name: purpose for name, purpose in DRIVERS.items() if name not in drivers}
    if not missing:
        return Finding(outcome=Outcome.OK, detail=f"{version} with {', '.join(DRIVERS)}")
    without = ", ".join(f"{name} ({purpose})" for name, purpose in missing.items())
    return Finding(
        outcome=Outcome.FAILURE,
        detail=f"{version} has no {without}",
        remedy="Install rasterio from its wheel, which has them all: pip install --only-binary :all: rasterio.",
    )


def _ask(hosts: Hosts, path: str) -> requests.Response:
    """Any answer of the API, without a token."""
    import requests

    try:
        return requests.get(f"{hosts.api}{path}", timeout=_TIMEOUT_S)
    except requests.RequestException as error:
        raise Unreachable(
            f"{hosts.api} cannot be reached ({type(error).__name__}). Check the network, proxies and the base URL."
        ) from error


def _sandbox_version(hosts: Hosts) -> str | None:
    answer = _ask(hosts, _SANDBOX_HEALTH)
    with suppress(ValueError, AttributeError):
        return str(answer.json().get("version", "?")) if answer.ok else None
    return None
