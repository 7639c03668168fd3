"""What buys a workflow's jobs: the lake's intents, the workflow's ledger, and UP42."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from up42_pipelines.lake import Lake
from up42_pipelines.processing.keys import JobTitle
from up42_pipelines.processing.listing import JobSearch
from up42_pipelines.processing.purchase import KIND, JobPurchase, PlannedJob, ProcessingApi, is_free_of_charge
from up42_pipelines.processing.workflow import Workflow
from up42_pipelines.purchasing.approval import Approvals
from up42_pipelines.purchasing.budget import Ceilings, Entry, EntryState
from up42_pipelines.purchasing.buying import Buyer
from up42_pipelines.purchasing.funds import Account
from up42_pipelines.purchasing.intents import IntentBook
from up42_pipelines.purchasing.ledger import Ledger
from up42_pipelines.purchasing.protocol import Timing


class JobBuyer(Buyer):
    """Buys jobs on behalf of one workflow: `buyer.buy(buyer.job(planned))`.

    Args:
        processing: the jobs of the workspace.
        account: the account that pays.
        lake: where intents and ledger are kept.
        workflow: name of the workflow.
        ceilings: what it may commit.
        approvals: which prices need a person.
        timing: delays.
        run: the run on whose ceiling jobs count.
        tell: is given a sentence whenever something takes its time.
    """

    def __init__(
        self,
        processing: ProcessingApi,
        account: Account,
        lake: Lake,
        workflow: str,
        *,
        ceilings: Ceilings,
        approvals: Approvals,
        timing: Timing,
        run: str,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        search = JobSearch(processing, timing)
        super().__init__(
            IntentBook(lake),
            Ledger(lake, workflow, ceilings, found_at_up42=lambda: entries_at_up42(processing, workflow)),
            approvals=approvals,
            run=run,
            restore={KIND: lambda intent: JobPurchase.of_intent(intent, processing, account, search)},
            timing=timing,
            tell=tell,
        )
        self._processing, self._account, self._search = processing, account, search

    def job(self, planned: PlannedJob) -> JobPurchase:
        """A planned job as something to buy; all of one buyer share what was read of UP42's list."""
        return JobPurchase(planned, self._processing, self._account, self._search)


def job_buyer(
    processing: ProcessingApi,
    account: Account,
    lake: Lake,
    workflow: Workflow,
    *,
    run: str,
    tell: Callable[[str], None] = lambda _: None,
) -> JobBuyer:
    """The buyer of a workflow's jobs, with its ceilings, approvals and delays; see `JobBuyer`.

    Raises:
        LakeError: the lake does not refuse to create what exists; with it nothing could be bought exactly once.
    """
    lake.check_create_only()
    return JobBuyer(
        processing,
        account,
        lake,
        workflow.name,
        ceilings=workflow.ceilings,
        approvals=workflow.approvals,
        timing=workflow.timing,
        run=run,
        tell=tell,
    )


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
