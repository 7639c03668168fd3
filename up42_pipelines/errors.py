"""The one tree of errors. A message says what happened, to which object, and what to do next."""

from __future__ import annotations

from typing import Any


class Up42Error(Exception):
    """Anything this package raises on purpose. Can be pickled: it may have to travel between processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception would be made anew by calling the class with its message; ours are made from keywords.
        return Exception.__new__, (type(self), *self.args), self.__dict__


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


class AlreadyDecided(ApiError):
    """405 on a feasibility study or a quotation: somebody has decided before."""


class LegalBlock(ApiError):
    """451: a EULA is not accepted or the collection is restricted for this account.

    Attributes:
        eula_id: the EULA to accept, when the answer names one.
        collection: the collection to request access to, when the answer names one.
    """

    eula_id: str | None = None
    collection: str | None = None


class RateLimited(ApiError):
    """429, still after the retries."""


class ServerProblem(ApiError):
    """5xx, still after the retries."""


class Unreachable(Up42Error):
    """No connection to UP42: the request was certainly not carried out."""


class TooLate(Unreachable):
    """The request had to leave by a certain time and did not: it was not carried out."""


class AnswerLost(Up42Error):
    """The request left and no answer came back: it may have been carried out."""


class StillUnderWay(Up42Error):
    """Waiting ended before UP42 was done; what was waited for goes on there."""


class ResultsMissing(Up42Error):
    """A job has no result items that can be fetched.

    Attributes:
        job_id: the job.
        collection_id: the STAC collection in which UP42 says they are; None when it names none.
    """

    def __init__(self, *, job_id: str, collection_id: str | None, reason: str) -> None:
        self.job_id, self.collection_id = job_id, collection_id
        super().__init__(f"Job {job_id}: {reason}")


class UnexpectedAnswer(Up42Error):
    """A success whose body cannot be read as documented."""


class UntrustedMessage(Up42Error):
    """A webhook message that UP42 did not sign, or that is not what UP42 signed. Answer 401 and do nothing."""


class IncompleteDeletion(Up42Error):
    """Items cannot be deleted: UP42 deletes a collection as a whole, and not all of it was named.

    Attributes:
        unknown: item ids that are not in storage.
        left_over: items that were not named, by collection.
    """

    def __init__(self, *, unknown: list[str], left_over: dict[str, set[str]]) -> None:
        self.unknown, self.left_over = unknown, left_over
        parts = [f"not in storage: {', '.join(unknown)}"] if unknown else []
        parts += [
            f"collection {collection_id} also holds {', '.join(sorted(items))}"
            for collection_id, items in sorted(left_over.items())
        ]
        super().__init__(f"Nothing was deleted: {'; '.join(parts)}. Name every item of each collection, and no others.")


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


class InvalidParams(Up42Error):
    """The parameters of an order do not fit the order form of its data product; nothing was sent.

    Attributes:
        data_product_id: whose form.
        problems: one sentence per field at fault, each beginning with the field.
    """

    def __init__(self, *, data_product_id: str, problems: tuple[str, ...]) -> None:
        self.data_product_id, self.problems = data_product_id, problems
        super().__init__(
            f"The order parameters do not fit data product {data_product_id}: {'; '.join(problems)}. "
            "Its order form lists what it takes."
        )


class OrderRefused(Up42Error):
    """An order was not placed, by our rules or by UP42; nothing was spent."""


class BudgetExceeded(OrderRefused):
    """An order was not placed because it would cost more than allowed.

    Attributes:
        ceiling: the ceiling that does not hold: order, run, partition, month or pipeline; None when not told.
        limit: that ceiling, in credits.
        committed: what other purchases have committed under it, in credits.
        asked: what the order would cost, in credits.
        left: what is left under the ceiling, in credits.
    """

    def __init__(
        self,
        message: str,
        *,
        ceiling: str | None = None,
        limit: float | None = None,
        committed: int | None = None,
        asked: int | None = None,
        left: float | None = None,
    ) -> None:
        self.ceiling, self.limit, self.committed, self.asked, self.left = ceiling, limit, committed, asked, left
        super().__init__(message)


class ApprovalRequired(OrderRefused):
    """An order waits for a person, because of its price; nothing was placed.

    Attributes:
        key: the order key to approve.
        credits: the estimate.
    """

    def __init__(self, message: str, *, key: str, credits: int) -> None:
        self.key, self.credits = key, credits
        super().__init__(message)


class OrderUnclear(Up42Error):
    """UP42 may or may not have taken an order; a re-run looks it up again before it would place anything."""


class OrderContradicted(OrderUnclear):
    """UP42 and the lake, or an order and its tags, say different things. Nothing is bought until a person looks."""


# --- the lake ---------------------------------------------------------------------------------------------------------


class LakeError(Up42Error):
    """The lake cannot be read or written."""


class TransferError(Up42Error):
    """A download did not arrive whole; nothing was published."""


class InvalidDelivery(Up42Error):
    """A delivered file is not what it claims to be; nothing was published."""
