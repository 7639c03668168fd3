"""`orders_audit`: whether the lake and UP42 say the same about what was bought. Buys nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from up42_pipelines.assets.pipeline import Pipeline
from up42_pipelines.assets.spend import spend_metadata
from up42_pipelines.failures import explained
from up42_pipelines.ordering.findings import AuditReport
from up42_pipelines.ordering.reconciliation import audit_pipeline, settle
from up42_pipelines.purchasing.budget import CeilingName, month_of
from up42_pipelines.resources import LakeResource, Up42Resource

LEDGER_AGREES = "ledger_agrees_with_up42"
_MAX_ROWS = 100


def orders_audit_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that compares intents and ledger with UP42's orders, and names what they do not agree on.

    It reads UP42 and changes nothing there. In the lake it ends what dead runs left behind, as far as UP42 tells how:
    unfinished purchases, their reservations, and cancelled orders, which stop counting. Its check fails while
    anything needs a person.
    """
    key = pipeline.key("orders_audit")

    @dg.asset(
        **pipeline.options("orders_audit", partitioned=False),
        deps=[pipeline.key("orders")],
        kinds={"up42"},
        check_specs=[
            dg.AssetCheckSpec(LEDGER_AGREES, asset=key, description="Nothing that was bought needs a person's look.")
        ],
        description=(
            "Compares what the lake says was bought with UP42's orders: orphans on either side, duplicates, purchases "
            "that are unclear or wait for approval. Buys nothing."
        ),
    )
    def orders_audit(
        context: dg.AssetExecutionContext, up42: Up42Resource, lake: LakeResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        with explained(f"Auditing pipeline {pipeline.name}"):
            client = up42.client
            buyer = pipeline.buyer(client, lake.lake, run=context.run.run_id, tell=context.log.info)
            before = audit_pipeline(client.orders, buyer.book, buyer.ledger, now=datetime.now(UTC))
            settle(before, buyer, client.orders)
            now = datetime.now(UTC)
            report = audit_pipeline(client.orders, buyer.book, buyer.ledger, now=now)
            sheet = buyer.ledger.sheet()
        context.log.info(report.summary())
        found = _metadata(report)
        yield dg.AssetCheckResult(
            asset_key=key, check_name=LEDGER_AGREES, passed=not report.needs_person, metadata=found
        )
        spent: dict[CeilingName, int] = {
            "month": sheet.committed(month=month_of(now)),
            "pipeline": sheet.committed(),
        }
        settled = dg.MetadataValue.int(len({*before.findings} - {*report.findings}))
        yield dg.MaterializeResult(metadata={**found, "settled": settled, **spend_metadata(spent, pipeline.ceilings)})

    return orders_audit


def _metadata(report: AuditReport) -> dict[str, dg.MetadataValue]:
    rows = [
        dg.TableRecord(
            {
                "finding": str(finding.kind),
                "subject": finding.subject,
                "needs a person": finding.needs_person,
                "what to do": finding.text,
                "key": finding.key or "",
            }
        )
        for finding in report.findings[:_MAX_ROWS]
    ]
    metadata: dict[str, dg.MetadataValue] = {
        "summary": dg.MetadataValue.text(report.summary()),
        "orders_at_up42": dg.MetadataValue.int(report.orders),
        "findings": dg.MetadataValue.int(len(report.findings)),
        "needs_person": dg.MetadataValue.int(len(report.needs_person)),
    }
    return metadata | ({"table": dg.MetadataValue.table(rows)} if rows else {})
