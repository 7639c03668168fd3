"""The command line `up42-pipelines`: UP42's API for people and shell scripts, the sandbox, the demo.

Importing it imports click and rich; Dagster, GDAL and the API's client come with the command that needs them.
"""

from __future__ import annotations

import os

import click

from up42_pipelines import __version__
from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.cli.aois import aoi
from up42_pipelines.cli.catalog import collections, estimate, search
from up42_pipelines.cli.doctor import doctor
from up42_pipelines.cli.exits import Program
from up42_pipelines.cli.lake import lake
from up42_pipelines.cli.local import demo, dev, sandbox
from up42_pipelines.cli.orders import orders
from up42_pipelines.cli.processing import jobs
from up42_pipelines.cli.purchases import ledger
from up42_pipelines.cli.spending import budgets, credits_left
from up42_pipelines.cli.storage import assets
from up42_pipelines.cli.tasking import tasking
from up42_pipelines.cli.webhooks import webhooks


@click.group(cls=Program, context_settings={"max_content_width": 100})
@click.version_option(__version__)
@click.option("--region", metavar="eu|sa", help="Instead of UP42_REGION.")
@click.option("--api-url", help="Base URL of API and authentication, instead of UP42_API_URL; for example a sandbox.")
@click.option("--workspace", "workspace_id", help="Workspace id, instead of UP42_WORKSPACE_ID.")
@click.pass_context
def main(context: click.Context, region: str | None, api_url: str | None, workspace_id: str | None) -> None:
    """Buy satellite imagery through UP42 once, watch it arrive, and land it verified in a data lake.

    The account is that of UP42_USERNAME and UP42_PASSWORD. Data goes to stdout, everything else to stderr; --json
    prints UP42's own JSON. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
    """
    context.obj = AccountSettings.of(os.environ, region=region, api_url=api_url, workspace_id=workspace_id)


for _command in (
    doctor,
    collections,
    aoi,
    search,
    estimate,
    orders,
    ledger,
    lake,
    assets,
    jobs,
    tasking,
    webhooks,
    credits_left,
    budgets,
    sandbox,
    demo,
    dev,
):
    main.add_command(_command)
