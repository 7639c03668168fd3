"""`doctor`: is everything there that a pipeline needs?"""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING

import click
from rich.text import Text

from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.cli.checks import (
    Check,
    Finding,
    Outcome,
    check_base_url,
    check_clock,
    check_credentials,
    check_credits,
    check_gdal,
    check_lake,
    check_workspace,
    run_checks,
)
from up42_pipelines.cli.dagster_checks import check_daemon, check_home, check_instance
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.output import Output, example, json_option, one_line

if TYPE_CHECKING:
    from up42_pipelines.api import Up42Client

_STYLES = {Outcome.OK: "green", Outcome.WARNING: "yellow", Outcome.FAILURE: "bold red", Outcome.SKIPPED: "dim"}
_OUTCOME_WIDTH = max(map(len, Outcome))


@click.command(epilog=example("doctor"))
@json_option
@click.pass_context
def doctor(context: click.Context, out: Output) -> None:
    """Check account, lake, GDAL and Dagster. Says what to do about what does not work; spends nothing."""
    checks = plan_checks(context, dagster_home=os.environ.get("DAGSTER_HOME", ""))
    width = max(len(check.name) for check in checks)
    found = []
    for name, finding in run_checks(checks):
        found.append((name, finding))
        if not out.as_json:
            outcome = (finding.outcome.ljust(_OUTCOME_WIDTH), _STYLES[finding.outcome])
            out.hanging(Text.assemble(outcome, f"  {name:{width}}  "), Text(_sentence(finding)))
    if out.as_json:
        out.record([_as_document(name, finding) for name, finding in found], {})
    if any(finding.outcome is Outcome.FAILURE for _, finding in found):
        context.exit(FAILED)


def plan_checks(context: click.Context, *, dagster_home: str) -> list[Check]:
    """What is looked at, in this order."""
    from up42_pipelines.api import Patience

    settings: AccountSettings = context.obj
    hasty = Patience(connect_s=5, read_s=15, retries=1, longest_pause_s=2)

    @cache
    def client() -> Up42Client:
        made = settings.connect(hasty)
        context.call_on_close(made.transport.close)
        return made

    online = ("base URL", "credentials")
    return [
        Check("base URL", partial(check_base_url, settings)),
        Check("clock", lambda: check_clock(settings.hosts()), needs=("base URL",)),
        Check("credentials", partial(check_credentials, settings, hasty), needs=("base URL",)),
        Check("workspace", lambda: check_workspace(settings, client()), needs=online),
        Check("credits", lambda: check_credits(client()), needs=online),
        Check("lake", partial(check_lake, settings.lake_url)),
        Check("GDAL", check_gdal),
        Check("Dagster home", partial(check_home, dagster_home)),
        Check("Dagster instance", partial(check_instance, dagster_home), needs=("Dagster home",)),
        Check("Dagster daemon", partial(check_daemon, dagster_home), needs=("Dagster instance",)),
    ]


def _sentence(finding: Finding) -> str:
    return one_line(f"{finding.detail}. {finding.remedy}" if finding.remedy else finding.detail)


def _as_document(name: str, finding: Finding) -> dict[str, str]:
    return {"check": name, "outcome": finding.outcome, "detail": finding.detail, "remedy": finding.remedy}
