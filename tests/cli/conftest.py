"""A sandbox of the command line's own, and commands run in process against it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from shapely.geometry import shape

from up42_pipelines.api import OrderInput
from up42_pipelines.cli import main
from up42_pipelines.errors import ApprovalRequired
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.plan import PlannedOrder, Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer

PROJECT = Path(__file__).resolve().parents[2]
AOI_FILE = PROJECT / "assets_defs" / "aois" / "berlin.geojson"
AOI = json.loads(AOI_FILE.read_text())["geometry"]


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


SCENE = "SBX_20260601T103249_R569C0773A"
"""Covers the AOI, in a sandbox with seed 0."""


class Shop:
    """A sandbox, its orders, and the environment of somebody who works with it."""

    def __init__(self, sandbox) -> None:
        self.sandbox, self.url = sandbox, sandbox.url
        self.client = sandbox.client()
        self.environment = {
            "UP42_API_URL": sandbox.url,
            "UP42_USERNAME": "sandbox@example.com",
            "UP42_PASSWORD": "sandbox",
        }

    def control(self, path: str, body: dict | None = None, method: str = "POST") -> Any:
        """A call of the sandbox's own."""
        answer = requests.request(method, f"{self.url}/sandbox/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def product_id(self, collection: str = "sandbox-optical", name: str = "analytic") -> str:
        return self.client.catalog.collection(collection).data_product(name).id

    def decide(self, fate: str, times: int = 1) -> None:
        """Say how the next orders fare; what was said of orders that were not placed after all is forgotten."""
        self.control("fates", method="DELETE")
        self.control("fates", {"kind": "order", "fate": fate, "times": times})

    def order(
        self, name: str = "order", *, times: int = 1, fate: str = "fulfilled", tags=("cli",), **more
    ) -> list[str]:
        """Place orders of one scene, which fare as told; their ids."""
        self.decide(fate, times)
        feature = {"type": "Feature", "properties": {}, "geometry": AOI}
        wanted = {
            "data_product": self.product_id(),
            "params": {"id": SCENE},
            "display_name": name,
            "tags": tags,
            "feature_collection": {"type": "FeatureCollection", "features": [feature] * times},
        }
        return [line.id for line in self.client.orders.place(OrderInput(**{**wanted, **more})).results]

    def tasking_order(self, name: str = "harbour watch") -> str:
        feature = {"type": "Feature", "properties": {}, "geometry": AOI}
        order = OrderInput(
            data_product=self.product_id("sandbox-tasking"),
            display_name=name,
            params={
                "displayName": name,
                "acquisitionStart": "2030-01-01T00:00:00Z",
                "acquisitionEnd": "2030-02-01T00:00:00Z",
            },
            feature_collection={"type": "FeatureCollection", "features": [feature]},
        )
        return self.client.orders.place(order).results[0].id


class Purchases:
    """A pipeline that buys the scene of the shop for any partition, and keeps its books in a lake."""

    def __init__(self, shop: Shop, lake: Path, pipeline: str = "optical_archive") -> None:
        self.shop, self.pipeline, self.lake_url = shop, pipeline, str(lake)
        self._product = shop.product_id()

    def planned(self, partition: str) -> PlannedOrder:
        purpose = Purpose(
            workspace_id=self.shop.client.workspace_id,
            pipeline=self.pipeline,
            partition=partition,
            data_product=self._product,
        )
        [planned] = plan_order(purpose, SCENE, [shape(AOI)])
        return planned

    def buyer(self, *, above: float | None = None) -> Buyer:
        client = self.shop.client
        return order_buyer(
            client.orders,
            client.account,
            Lake(self.lake_url),
            self.pipeline,
            ceilings=Ceilings(),
            approvals=Approvals(above=above),
            run="run",
        )

    def buy(self, partition: str) -> str:
        """Buy, and say the order id."""
        self.shop.decide("fulfilled")
        client = self.shop.client
        return self.buyer().buy(OrderPurchase(self.planned(partition), client.orders, client.account)).id

    def let_wait(self, partition: str) -> str:
        """Want to buy what needs approval, and say the order key."""
        client, planned = self.shop.client, self.planned(partition)
        with pytest.raises(ApprovalRequired):
            self.buyer(above=0).buy(OrderPurchase(planned, client.orders, client.account))
        return planned.key


@pytest.fixture(scope="session")
def purchases_at() -> type[Purchases]:
    """`purchases_at(shop, lake)`: a pipeline's purchases."""
    return Purchases


@pytest.fixture(scope="session")
def shop(start_lasting_sandbox):
    shop = Shop(start_lasting_sandbox("--speed", "5000"))
    yield shop
    shop.client.transport.close()


@pytest.fixture(scope="session")
def cli_of():
    """The commands of somebody who works with a shop."""

    def of(shop: Shop):
        def run(arguments: str | list[str], *, env: dict | None = None, typed: str | None = None) -> Said:
            given = shlex.split(arguments) if isinstance(arguments, str) else arguments
            clean = {name: None for name in os.environ if name.startswith(("UP42_", "DAGSTER_"))}
            environment = {**clean, **shop.environment, **(env or {})}
            result = CliRunner().invoke(main, given, prog_name="up42-pipelines", env=environment, input=typed)
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise result.exception
            return Said(result.exit_code, result.stdout, result.stderr)

        return run

    return of


@pytest.fixture(scope="session")
def cli(shop, cli_of):
    """`cli("orders list", env={...})`: one command, in process; a list is taken as it is."""
    return cli_of(shop)


@pytest.fixture(scope="session")
def start_cli(shop):
    """Start a command as a process of its own."""

    def start(*arguments: str, env: dict | None = None, **options) -> subprocess.Popen:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("UP42_", "DAGSTER_"))}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            [sys.executable, "-m", "up42_pipelines.cli", *arguments],
            env={**clean, **shop.environment, **(env or {})},
            text=True,
            **options,
        )

    return start


@pytest.fixture(scope="session")
def fulfilled(shop, wait_for) -> str:
    """An order whose items are in storage."""
    (order_id,) = shop.order("fulfilled order", tags=("cli", "key:0123"))
    wait_for(lambda: shop.client.storage.items_of_order(order_id))
    return order_id
