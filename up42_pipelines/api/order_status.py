"""Where an order can stand, what that means, and whose turn it is (UP42 API, order statuses and sub-statuses)."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class OrderStatus(StrEnum):
    """Status of an order. The older values still occur in old orders; one that is not listed is not terminal."""

    meaning: str
    is_terminal: bool
    is_failure: bool
    is_delivering: bool

    def __new__(cls, value: str, meaning: str = "", kind: str = "") -> Self:
        """Attach the meaning; `kind` is `failed`, `done` or `delivering`, empty for a status that only passes."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.is_failure = kind == "failed"
        member.is_terminal = kind in ("failed", "done")
        member.is_delivering = kind in ("done", "delivering")
        return member

    CREATED = "CREATED", "it exists; the provider does not know of it yet"
    BEING_PLACED = "BEING_PLACED", "it is being sent to the provider"
    PLACED = "PLACED", "the provider has accepted it"
    PLACEMENT_FAILED = "PLACEMENT_FAILED", "placing failed; UP42 works on it, and it can still be cancelled"
    BEING_FULFILLED = "BEING_FULFILLED", "in progress; some of the data may be in storage already", "delivering"
    DELIVERY_INITIALIZATION_FAILED = "DELIVERY_INITIALIZATION_FAILED", "the delivery stumbled; UP42 works on it"
    DOWNLOAD_FAILED = "DOWNLOAD_FAILED", "the delivery stumbled; UP42 works on it"
    DOWNLOADED = "DOWNLOADED", "the data is on its way into storage", "delivering"
    FULFILLED = "FULFILLED", "everything is delivered", "done"
    FAILED_PERMANENTLY = "FAILED_PERMANENTLY", "UP42 gave it up; nothing (more) will come", "failed"
    FAILED = "FAILED", "it failed; an older UP42 said it this way", "failed"
    CANCELED = "CANCELED", "it was cancelled", "failed"


class OrderSubStatus(StrEnum):
    """Where a tasking order stands before it is activated."""

    meaning: str
    waits_for_user: bool

    def __new__(cls, value: str, meaning: str = "", waits_for_user: bool = False) -> Self:
        """Attach the meaning, and whether nothing happens until the user decides."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.waits_for_user = meaning, waits_for_user
        return member

    FEASIBILITY_WAITING_UPLOAD = "FEASIBILITY_WAITING_UPLOAD", "UP42 prepares the feasibility study"
    FEASIBILITY_WAITING_RESPONSE = "FEASIBILITY_WAITING_RESPONSE", "choose an option of the feasibility study", True
    QUOTATION_WAITING_UPLOAD = "QUOTATION_WAITING_UPLOAD", "UP42 prepares the quotation"
    QUOTATION_WAITING_RESPONSE = "QUOTATION_WAITING_RESPONSE", "accept or reject the quotation", True
    QUOTATION_ACCEPTED = "QUOTATION_ACCEPTED", "the quotation is accepted; the order is being activated"
    QUOTATION_REJECTED = "QUOTATION_REJECTED", "the quotation is rejected; nothing will be taken"


DELIVERING_STATUSES = frozenset(status for status in OrderStatus if status.is_delivering)
"""Some or all of the data may be in storage."""
