"""What all records of the API share: unknown fields are kept, unknown enum values are carried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel

from up42_pipelines.errors import UnexpectedAnswer

_LONGEST_SHOWN = 80
_FROM_UP42 = object()
"""Validation context of `Record.parse`: the records inside keep their JSON too."""


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("not within the years 1 to 9999 in UTC") from error


Timestamp = Annotated[datetime, AfterValidator(_aware)]
"""An ISO 8601 time in UTC. UP42 sends an offset; where one is missing, it means UTC. Digits beyond microseconds go."""


class Record(BaseModel):
    """A JSON object of the API: camelCase on the wire, snake_case here, immutable.

    A field that UP42 adds tomorrow stays in the record (`model_extra`, `raw`); an enum field is typed
    `KnownValues | str`, so that a new value is carried as the plain string; a null where a list or an object was
    promised is an empty one.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        hide_input_in_errors=True,  # it may hold a secret, and ends up in logs
    )

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON object as UP42 sent it; records inside this one have their own, records made by hand none."""
        return self._raw

    @classmethod
    def parse(cls, body: Any, *, raw: Any = None) -> Self:
        """Read a decoded JSON object; `raw` is what to keep as UP42's own where `body` is a rearrangement of it.

        Raises:
            UnexpectedAnswer: a field that the contract promises is missing or of another type.
        """
        try:
            record = cls.model_validate(body, context=_FROM_UP42)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UnexpectedAnswer(
                f"UP42 sent a {cls.__name__} that cannot be read: {problems}. Body: {_public(cls, body)!r:.500}"
            ) from error
        if raw is not None:
            record._raw = raw  # noqa: SLF001 - our own record
        return record

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, body: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Take a null as absent where there is a default, and keep what UP42 sent as it came."""
        if not isinstance(body, Mapping):
            return handler(body)
        defaulted = _keys_with_default(cls)
        record = handler({key: value for key, value in body.items() if value is not None or key not in defaulted})
        if info.context is _FROM_UP42:
            record._raw = dict(body)  # noqa: SLF001 - our own record
        return record

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What a person wants to see: the known fields that say something, long ones cut."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None and value != () and value != {}:
                yield name.rstrip("_"), _Shown(value)


@cache
def _keys_with_default(record: type[Record]) -> frozenset[str]:
    """Names, here and on the wire, of the fields whose default is something else than None."""
    return frozenset(
        key
        for name, field in record.model_fields.items()
        if not field.is_required() and field.get_default(call_default_factory=True) is not None
        for key in (name, field.alias or name)
    )


def _public(record: type[Record], body: Any) -> Any:
    """A body without the values of secret fields."""
    if not isinstance(body, Mapping):
        return body
    secret = {
        key
        for name, field in record.model_fields.items()
        if field.annotation is SecretStr
        for key in (name, field.alias or name)
    }
    return {key: "…" if key in secret else value for key, value in body.items()}


class _Shown:
    """A value in a `repr`: times as ISO 8601, enum members as their value, long values cut."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        value = self._value
        if isinstance(value, datetime):
            return value.isoformat()
        text = repr(str(value)) if isinstance(value, str) else repr(value)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
