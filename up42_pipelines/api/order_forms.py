"""Checking an order's `params` against the order form of its data product, before UP42 is asked for anything. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

from up42_pipelines.errors import InvalidParams

_GEOMETRY = ("aoi", "geometry")
_ELSEWHERE = frozenset({*_GEOMETRY, "displayName"})
"""Listed by the forms, but v2 orders carry them in `featureCollection` and on top (UP42 API, order forms)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderForm:
    """What a data product asks for.

    Attributes:
        data_product_id: whose form.
        schema: JSON schema as UP42 sent it, draft 7 unless it says otherwise.
    """

    data_product_id: str
    schema: Mapping[str, Any]

    @property
    def is_clipped(self) -> bool:
        """True when the product is delivered for an area, False when only whole scenes are sold."""
        return any(name in self._properties for name in _GEOMETRY)

    @property
    def params_schema(self) -> dict[str, Any]:
        """The schema that an order's `params` must match: what travels elsewhere is accepted, but not demanded."""
        return {
            **self.schema,
            "properties": {name: True if name in _ELSEWHERE else rule for name, rule in self._properties.items()},
            "required": [name for name in self.schema.get("required") or [] if name not in _ELSEWHERE],
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """Check the parameters of an order.

        Raises:
            InvalidParams: they do not fit; every field at fault is named.
        """
        kind = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft7Validator)
        validator = kind(self.params_schema, format_checker=kind.FORMAT_CHECKER)
        problems = tuple(self._sentence(error) for error in validator.iter_errors(dict(params)))
        if problems:
            raise InvalidParams(data_product_id=self.data_product_id, problems=problems)

    @property
    def _properties(self) -> Mapping[str, Any]:
        return self.schema.get("properties") or {}

    def _sentence(self, error: ValidationError) -> str:
        field = "/".join(map(str, error.absolute_path))
        if error.validator == "required":
            return error.message.replace("is a required property", "is missing")
        if error.validator == "additionalProperties":
            known = ", ".join(name for name in self._properties if name not in _ELSEWHERE)
            return f"{error.message.rstrip('.')}; the form has {known or 'no parameters'}"
        if choices := _choices(error):
            return f"{field}: {error.instance!r} is none of {', '.join(map(repr, choices))}"
        return f"{field}: {error.message}" if field else error.message


def _choices(error: ValidationError) -> list[Any]:
    """The values of an `anyOf` made of constants: how order forms write an enumeration."""
    alternatives = error.validator_value
    if error.validator not in ("anyOf", "oneOf") or not isinstance(alternatives, list):
        return []
    return [choice["const"] for choice in alternatives if isinstance(choice, Mapping) and "const" in choice]
