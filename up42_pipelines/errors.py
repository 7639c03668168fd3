"""The one tree of errors. A message says what happened, to which object, and what to do next."""

from __future__ import annotations

from typing import Any


class Up42Error(Exception):
    """Anything this package raises on purpose."""


class ConfigurationError(Up42Error):
    """A setting is missing or contradicts another one."""


# --- talking to UP42 --------------------------------------------------------------------------------------------------


class ApiError(Up42Error):
    """UP42 answered with an error.

    Attributes:
        status: HTTP status code.
        title: short text of the problem, as UP42 words it.
        detail: longer text, when the answer has one.
        request_id: the server's or a proxy's id of the request, for a support ticket.
        body: the decoded JSON body, or its text when it is not JSON.
    """

    def __init__(
        self,
        *,
        method: str,
        url: str,
        status: int,
        title: str,
        detail: str | None = None,
        request_id: str | None = None,
        body: Any = None,
        advice: str | None = None,
    ) -> None:
        self.method, self.url, self.status = method, url, status
        self.title, self.detail, self.request_id, self.body = title, detail, request_id, body
        parts = [f"{method} {url}: {status} {title}".rstrip()]
        if detail and detail != title:
            parts.append(detail)
        if request_id:
            parts.append(f"request id {request_id}")
        if advice:
            parts.append(advice)
        super().__init__(". ".join(part.rstrip(".") for part in parts) + ".")


class WrongCredentials(ApiError):
    """The token endpoint refused the user name or the password."""


class NotAuthorized(ApiError):
    """401 with a fresh token, or 403: the account may not do this."""


class NotFound(ApiError):
    """404: UP42 does not know this id or name."""


class InvalidRequest(ApiError):
    """400 or 422: UP42 understood the request and finds it wrong."""


class LegalBlock(ApiError):
    """451: a EULA is not accepted or the collection is restricted for this account."""


class RateLimited(ApiError):
    """429, still after the retries."""


class ServerProblem(ApiError):
    """5xx, still after the retries."""


class Unreachable(Up42Error):
    """No connection to UP42: the request was certainly not carried out."""


class AnswerLost(Up42Error):
    """The request left and no answer came back: it may have been carried out."""


class UnexpectedAnswer(Up42Error):
    """A success whose body cannot be read as documented."""


# --- deciding what to buy ---------------------------------------------------------------------------------------------


class AoiRejected(Up42Error):
    """An AOI file breaks one of UP42's geometry rules.

    Attributes:
        source: the file.
        feature: which feature of it, or None when the file as a whole is at fault.
        rule: the rule, as a short name.
    """

    def __init__(self, *, source: str, feature: str | None, rule: str, reason: str) -> None:
        self.source, self.feature, self.rule = source, feature, rule
        where = source if feature is None else f"{source}, {feature}"
        super().__init__(f"{where}: {rule}: {reason}")


class OrderRefused(Up42Error):
    """An order was not placed, by our rules or by UP42; nothing was spent."""


class BudgetExceeded(OrderRefused):
    """An order was not placed because it would cost more than allowed."""


class OrderUnclear(Up42Error):
    """UP42 may or may not have taken an order; a re-run looks it up again before it would place anything."""


# --- the lake ---------------------------------------------------------------------------------------------------------


class LakeError(Up42Error):
    """The lake cannot be read or written."""


class TransferError(Up42Error):
    """A download did not arrive whole; nothing was published."""


class InvalidDelivery(Up42Error):
    """A delivered file is not what it claims to be; nothing was published."""
