"""What all records of the API share: unknown fields are kept, unknown enum values are carried."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError
from pydantic.alias_generators import to_camel

from up42_pipelines.errors import UnexpectedAnswer


class Record(BaseModel):
    """A JSON object of the API: camelCase on the wire, snake_case here, immutable.

    A field that UP42 adds tomorrow stays in the record (`model_extra`, `raw`); an enum field is typed
    `KnownValues | str`, so that a new value is carried as the plain string.
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
