"""What buys a workflow's jobs: the lake's intents, the workflow's ledger, and UP42."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from up42_pipelines.lake import Lake
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.purchase import KIND, JobPurchase, PlannedJob, ProcessingApi, is_free_of_charge
from up42_pipelines.processing.workflow import Workflow
from up42_pipelines.purchasing.budget import Entry, EntryState
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.funds import Account
from up42_pipelines.purchasing.intents import IntentBook
from up42_pipelines.purchasing.ledger import Ledger


class JobBuyer(Buyer):
    """Buys a workflow's jobs: `buyer.buy(buyer.job(planned))`. Made by `job_buyer`."""

    job: Callable[[PlannedJob], JobPurchase]
    """A planned job as something that this buyer buys."""


def job_buyer(
    processing: ProcessingApi,
    account: Account,
    lake: Lake,
    workflow: Workflow,
    *,
    run: str,
    tell: Callable[[str], None] = lambda _: None,
) -> JobBuyer:
    """The buyer of a workflow's jobs.

    Args:
        processing: the jobs of the workspace.
        account: the account that pays.
        lake: where intents and ledger are kept.
        workflow: with its ceilings, approvals and delays.
        run: the run on whose ceiling jobs count.
        tell: is given a sentence whenever something takes its time.

    Raises:
        LakeError: the lake does not refuse to create what exists; with it nothing could be bought exactly once.
    """
    lake.check_create_only()
    buyer = JobBuyer(
        IntentBook(lake),
        Ledger(
            lake, workflow.name, workflow.ceilings, found_at_up42=lambda: entries_at_up42(processing, workflow.name)
        ),
        approvals=workflow.approvals,
        run=run,
        restore={KIND: lambda intent: JobPurchase.of_intent(intent, processing, account)},
        timing=workflow.timing,
        tell=tell,
    )
    buyer.job = lambda planned: JobPurchase(planned, processing, account)
    return buyer


def entries_at_up42(processing: ProcessingApi, workflow: str) -> Iterator[Entry]:
    """The workflow's jobs as UP42 lists them, as entries of its ledger.

    All jobs of the workspace are read: steps that the workflow no longer has were paid for all the same.
    """
    for job in processing.jobs():
        title = JobTitle.read(job.title)
        if title is None or title.workflow != workflow:
            continue
        yield Entry(
            key=title.key,
            credits=title.credits,
            partition=title.partition,
            at=job.created or datetime.now(UTC),
            state=EntryState.RETURNED if is_free_of_charge(job) else EntryState.SPENT,
            purchase_ids=(job.id,),
        )
