"""What can be bought in a round: orders of a scene, or jobs on delivered items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from tests.chaos.schedule import JOBS, ORDERS, PATIENCE, TIMING, UPSAMPLING, Trade
from tests.conftest import SandboxProcess
from up42_pipelines.api import OrderInput
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.buyer import order_buyer
from up42_pipelines.ordering.plan import Purpose, plan_order
from up42_pipelines.ordering.purchase import OrderPurchase
from up42_pipelines.processing.buyer import JobBuyer, job_buyer
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.purchase import JobPurchase, PlannedJob
from up42_pipelines.processing.templates import UpsamplingNS
from up42_pipelines.processing.workflow import Step, Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.purchase import Purchase

PARTITION = "chaos|2026-05-01"
RUN = "the only run"
AREAS = tuple(box(-9.15, 38.71, -9.15 + width, 38.72) for width in (0.01, 0.012, 0.015))
"""Three things to buy, with prices of their own."""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Where things are bought; one thing per area.

    Attributes:
        sandbox: where.
        workspace_id: for whom.
    """

    sandbox: SandboxProcess
    workspace_id: str

    trade: Trade

    def client(self) -> Any:
        """A client of one's own."""
        return self.sandbox.client(workspace_id=self.workspace_id, patience=PATIENCE)

    def buyer(
        self,
        client: Any,
        lake: Path,
        pipeline: str,
        *,
        ceilings: Ceilings,
        approvals: Approvals,
        tell: Callable[[str], None],
    ) -> Buyer:
        """What buys here."""
        raise NotImplementedError

    def purchase(self, pipeline: str, want: int, client: Any, buyer: Buyer | None = None) -> Purchase[Any]:
        """One of the things that can be wanted."""
        raise NotImplementedError

    def bought(self, pipeline: str) -> list[dict[str, Any]]:
        """What the sandbox's own ledger has of a pipeline: `id`, `key`, `credits`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class OrderShop(Shop):
    """Sells parts of a scene.

    Attributes:
        data_product: of what.
        scene_id: of what.
    """

    trade: Trade = ORDERS
    data_product: str
    scene_id: str

    def buyer(self, client: Any, lake: Path, pipeline: str, **rules: Any) -> Buyer:
        """What buys orders."""
        return order_buyer(client.orders, client.account, Lake(str(lake)), pipeline, run=RUN, timing=TIMING, **rules)

    def purchase(self, pipeline: str, want: int, client: Any, buyer: Buyer | None = None) -> OrderPurchase:  # noqa: ARG002
        """An order of one area."""
        purpose = Purpose(
            workspace_id=self.workspace_id, pipeline=pipeline, partition=PARTITION, data_product=self.data_product
        )
        (planned,) = plan_order(purpose, self.scene_id, [AREAS[want]])
        return OrderPurchase(planned, client.orders, client.account)

    def bought(self, pipeline: str) -> list[dict[str, Any]]:
        """The key is what a display name ends with."""
        return [
            {"id": order["id"], "key": order["displayName"].rpartition(" ")[2], "credits": order["credits"]}
            for order in _ledger(self.sandbox)["orders"]
            if order["displayName"].startswith(f"{pipeline} ")
        ]


@dataclass(frozen=True, kw_only=True)
class JobShop(Shop):
    """Sells more and smaller pixels.

    Attributes:
        items: self hrefs of what was delivered, one per area.
    """

    trade: Trade = JOBS
    items: tuple[str, ...]

    def buyer(self, client: Any, lake: Path, pipeline: str, *, tell: Callable[[str], None], **rules: Any) -> JobBuyer:
        """What buys jobs."""
        steps = [Step(name="finer", template=UpsamplingNS())]
        workflow = Workflow(name=pipeline, steps=steps, timing=TIMING, **rules)
        return job_buyer(client.processing, client.account, Lake(str(lake)), workflow, run=RUN, tell=tell)

    def purchase(self, pipeline: str, want: int, client: Any, buyer: Buyer | None = None) -> JobPurchase:
        """A job on one item."""
        planned = PlannedJob(
            workspace_id=self.workspace_id,
            workflow=pipeline,
            step="finer",
            partition=PARTITION,
            process_id=UPSAMPLING,
            inputs=UpsamplingNS().inputs([self.items[want]]),
        )
        if isinstance(buyer, JobBuyer):
            return buyer.job(planned)
        return JobPurchase(planned, client.processing, client.account)

    def bought(self, pipeline: str) -> list[dict[str, Any]]:
        """The key is in the title."""
        titled = [(job, JobTitle.read(job["title"])) for job in _ledger(self.sandbox)["jobs"]]
        return [
            {"id": job["id"], "key": title.key, "credits": job["credits"]}
            for job, title in titled
            if title is not None and title.workflow == pipeline
        ]


def open_shop(sandbox: SandboxProcess, what: str) -> Shop:
    """Find something to buy, and the credits for it.

    Args:
        sandbox: where.
        what: `orders` or `jobs`.
    """
    _control(sandbox, "access", credits=10**9)
    client = sandbox.client()
    product = client.catalog.collection("sandbox-optical").data_product("analytic").id
    may = {"start": datetime(2026, 5, 1, tzinfo=UTC), "end": datetime(2026, 5, 31, tzinfo=UTC)}
    scenes = client.catalog.search(
        "sandbox-host", collections=["sandbox-optical"], intersects=mapping(AREAS[-1]), **may
    )
    scene_id = next(scene.id for scene in scenes if shape(scene.geometry).covers(AREAS[-1]))
    here: dict[str, Any] = {"sandbox": sandbox, "workspace_id": client.workspace_id}
    try:
        if what == "orders":
            return OrderShop(**here, data_product=product, scene_id=scene_id)
        return JobShop(**here, items=tuple(_delivered(sandbox, client, product, scene_id, area) for area in AREAS))
    finally:
        client.transport.close()


def _delivered(sandbox: SandboxProcess, client: Any, product: str, scene_id: str, area: BaseGeometry) -> str:
    """Self href of an item that was ordered and delivered just now."""
    _control(sandbox, "fates", kind="order", fate="fulfilled")
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(area)}
    order = OrderInput(
        data_product=product,
        display_name="an item to work on",
        params={"id": scene_id},
        feature_collection={"type": "FeatureCollection", "features": [feature]},
    )
    [line] = client.orders.place(order).results
    _control(sandbox, "clock", advance=10**6)
    [item] = client.storage.items_of_order(line.id)
    return str(item.self_href)


def _control(sandbox: SandboxProcess, what: str, **body: Any) -> None:
    requests.post(f"{sandbox.url}/sandbox/{what}", json=body, timeout=10).raise_for_status()


def _ledger(sandbox: SandboxProcess) -> Mapping[str, Any]:
    answer = requests.get(f"{sandbox.url}/sandbox/ledger", timeout=10)
    answer.raise_for_status()
    ledger: Mapping[str, Any] = answer.json()
    return ledger
