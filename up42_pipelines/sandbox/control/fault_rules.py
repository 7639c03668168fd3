"""What can be asked to go wrong: one record per sort of fault.

What they do is in `fault_middleware` and `webhook_sender`.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from up42_pipelines.sandbox.core.problems import bad_request

LAGGING_LISTS = frozenset({"/v2/orders", "/v2/processing/jobs"})
Glob = Annotated[str, Field(pattern="^[/*]")]


class _Rule(BaseModel):
    """When a rule applies.

    Attributes:
        times: how often; None for ever.
        skip: how many of what it matches are let through first.
        probability: how likely it then applies, drawn anew each time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    times: Annotated[int, Field(ge=1)] | None = 1
    skip: Annotated[int, Field(ge=0)] = 0
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0


class RequestFault(_Rule):
    """A rule for requests.

    Attributes:
        method: of the requests, in capitals; None for any.
        path: of the requests, without the query, as a glob; `*` stands for slashes too.
    """

    method: Annotated[str, Field(pattern="^[A-Z]+$")] | None = None
    path: Glob = "*"

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is meant."""
        return self.method in (None, method) and fnmatchcase(path, self.path)


class PlainFault(RequestFault):
    """The kind says it all."""

    kind: Literal["drop_before", "drop_after", "unauthorized", "extra_fields", "unknown_status"]


class StorageFault(RequestFault):
    """Of signed URLs, unless another path is given."""

    kind: Literal["expired_url", "changed_etag", "no_range"]
    path: Glob = "/storage/*"


class StatusFault(RequestFault):
    """Another answer; the request is not carried out.

    Attributes:
        retry_after: header of the answer, seconds or an HTTP date.
        body: JSON; when not given, the error body of the part of the API in question.
    """

    kind: Literal["status"]
    status: Annotated[int, Field(ge=200, le=599)]
    retry_after: int | str | None = None
    body: Any = None

    @field_validator("retry_after", mode="plain")
    @classmethod
    def _seconds_or_date(cls, value: object) -> int | str:
        if type(value) is int and value >= 0:
            return value
        if isinstance(value, str) and parsedate_to_datetime(value):
            return value
        raise ValueError("must be seconds of 0 or more, or an HTTP date")


class DelayFault(RequestFault):
    """The request is carried out at once, its answer held back for seconds."""

    kind: Literal["delay"]
    seconds: Annotated[float, Field(ge=0, le=3600)]


class ListLagFault(RequestFault):
    """The lists of orders and of jobs do not show yet what was placed within the last seconds; nothing else differs.

    Without another path both lists are meant; other requests never are.
    """

    kind: Literal["list_lag"]
    seconds: Annotated[float, Field(ge=0, le=3600)]

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is meant."""
        return method == "GET" and path in LAGGING_LISTS and super().matches(method, path)


class TruncateFault(RequestFault):
    """Headers as ever, and the connection closed after so many bytes of the body."""

    kind: Literal["truncate"]
    bytes: Annotated[int, Field(ge=0)]


class SlowFault(RequestFault):
    """A body that trickles."""

    kind: Literal["slow"]
    bytes_per_second: Annotated[int, Field(ge=1)]


class FlipByteFault(RequestFault):
    """One byte of the body is another, at an offset; the last one where the body is shorter."""

    kind: Literal["flip_byte"]
    at: Annotated[int, Field(ge=0)] = 0


class WrongLengthFault(RequestFault):
    """Content-Length is off by so many bytes.

    Below zero the body ends early with it, and nothing in HTTP tells. Above, the connection closes before it is
    reached.
    """

    kind: Literal["wrong_length"]
    by: int = -1

    @field_validator("by")
    @classmethod
    def _off(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must not be 0")
        return value


class DuplicateFault(_Rule):
    """A webhook message is sent twice."""

    kind: Literal["duplicate_webhook"]


class ReorderFault(_Rule):
    """The messages of a webhook wait until there are so many, and are sent last first."""

    kind: Literal["reorder_webhooks"]
    messages: Annotated[int, Field(ge=2, le=100)] = 2


Fault = Annotated[
    PlainFault
    | StorageFault
    | StatusFault
    | DelayFault
    | ListLagFault
    | TruncateFault
    | SlowFault
    | FlipByteFault
    | WrongLengthFault
    | DuplicateFault
    | ReorderFault,
    Field(discriminator="kind"),
]


class FaultOrder(BaseModel):
    """What to let go wrong. The seed decides the draws of rules with a probability."""

    model_config = ConfigDict(extra="forbid", strict=True)

    faults: list[Fault]
    seed: int = 0


def read(body: Mapping[str, Any]) -> FaultOrder:
    """Read the body of a request for faults.

    Raises:
        Refused: 400, it names what is unknown, missing or of the wrong type.
    """
    try:
        return FaultOrder.model_validate(body)
    except ValidationError as problem:
        raise bad_request("; ".join(_sentence(error["loc"], error["msg"]) for error in problem.errors())) from None


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    """Say where in the body something is wrong: `faults[0].times: ...`. The third part is the kind, not a field."""
    field, *rest = location
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*rest[:1], *rest[2:]))
    return f"{field}{place}: {message}"
