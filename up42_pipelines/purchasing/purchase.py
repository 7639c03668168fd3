"""What can be bought once, and what it is when it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from up42_pipelines.purchasing.protocol import Found

T = TypeVar("T")


class Purchase(Protocol[T]):
    """One thing to buy, at UP42: an order, or a processing job.

    Attributes:
        key: order key; UP42 keeps it with what was bought (tags and display name, or title).
        kind: `order` or `job`.
        label: what it is, for messages: the start of a sentence.
        pipeline: on whose behalf.
        partition: partition key.
        request: what would be sent, JSON; enough to look for it again in another process.
    """

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def pipeline(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> str: ...  # noqa: D102
    @property
    def request(self) -> Mapping[str, Any]: ...  # noqa: D102

    def find(self) -> Sequence[Found[T]]:
        """Everything at UP42 that carries the key, from a complete listing, compared with what is to be bought."""

    def price(self) -> int:
        """The estimate in whole credits, rounded up. Free. Raises OrderRefused when UP42 names no price."""

    def check_funds(self, credits: int) -> None:
        """Raise BudgetExceeded when the account's balance or its UP42 budget would not cover so many credits."""

    def place(self, credits: int, *, not_after: float) -> Sequence[str]:
        """Spend: one POST, sent before this instant of `uptime_s` or not at all. The ids that came back.

        Raises:
            TooLate: it was not sent.
            OrderRefused: UP42 answered that it does not take it.
            UnexpectedAnswer: an answer that says neither.
        """

    def get(self, purchase_id: str) -> Found[T]:
        """What exists under an id. Raises NotFound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought(Generic[T]):
    """Something that exists at UP42.

    Attributes:
        id: of the order or job.
        record: as UP42 answered last; None when its details could not be read yet.
        credits: what it costs, as far as is known.
        adopted: True when it existed before this call.
        others: further ids with the same key; not empty means that something was bought twice.
    """

    id: str
    record: T | None
    credits: int
    adopted: bool
    others: tuple[str, ...] = ()
