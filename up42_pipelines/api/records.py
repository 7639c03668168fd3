"""What all records of the API share: unknown fields are kept, unknown enum values are carried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PrivateAttr, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from up42_pipelines.errors import UnexpectedAnswer

_LONGEST_SHOWN = 80


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Timestamp = Annotated[datetime, AfterValidator(_aware)]
"""An ISO 8601 time in UTC. UP42 sends an offset; where one is missing, it means UTC. Digits beyond microseconds go."""


class Record(BaseModel):
    """A JSON object of the API: camelCase on the wire, snake_case here, immutable.

    A field that UP42 adds tomorrow stays in the record (`model_extra`, `raw`); an enum field is typed
    `KnownValues | str`, so that a new value is carried as the plain string; a null where a list or an object was
    promised is an empty one.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    _raw: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON object as UP42 sent it."""
        return self._raw

    @classmethod
    def parse(cls, body: Any, *, raw: Any = None) -> Self:
        """Read a decoded JSON object; `raw` is what to keep as UP42's own where `body` is a rearrangement of it.

        Raises:
            UnexpectedAnswer: a field that the contract promises is missing or of another type.
        """
        try:
            record = cls.model_validate(body)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise UnexpectedAnswer(
                f"UP42 sent a {cls.__name__} that cannot be read: {problems}. Body: {body!r:.500}"
            ) from error
        record._raw = body if raw is None else raw  # noqa: SLF001 - our own record
        return record

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, body: Any) -> Any:
        if not isinstance(body, Mapping):
            return body
        defaulted = _keys_with_default(cls)
        return {key: value for key, value in body.items() if value is not None or key not in defaulted}

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
