"""Which prices wait for a person. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from up42_pipelines.errors import ApprovalRequired
from up42_pipelines.purchasing.intents import Intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The rule.

    Attributes:
        above: a price above so many credits needs a person's approval; None: none does.
        tolerance: by what share of the approved price the price at the moment of buying may differ from it.
    """

    above: float | None = None
    tolerance: float = 0.05

    def check(self, intent: Intent, credits: int) -> None:
        """Let a price pass.

        Raises:
            ApprovalRequired: nobody has approved it, or what was approved was another price.
        """
        if self.above is None or credits <= self.above:
            return
        approval = intent.approval
        if approval is not None and abs(credits - approval.credits) <= self.tolerance * approval.credits:
            return
        why = (
            f"more than {self.above:g} credits need a person's approval"
            if approval is None
            else f"{approval.by} approved {approval.credits}, which is more than {self.tolerance:.0%} off"
        )
        raise ApprovalRequired(
            f"{intent.label} would cost {credits} credits; {why}. Nothing was placed. Approve order key {intent.key}: "
            f"`up42-pipelines orders approve {intent.key}`, or the pipeline's approve job.",
            key=intent.key,
            credits=credits,
        )
