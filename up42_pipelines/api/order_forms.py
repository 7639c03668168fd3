"""Checking an order's `params` against the order form of its data product, before UP42 is asked for anything. Pure.

The check refuses what no reading of the form allows; UP42 has the last word when it estimates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from jsonschema.exceptions import SchemaError, ValidationError
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

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
        """The schema that an order's `params` must match: what travels elsewhere is accepted, but not demanded.

        Rules of a form (`allOf` with `if`, `then`, `else`) may define an enumeration anew, which JSON schema knows
        nothing of. Any of its versions will do here.
        """
        return {
            **self.schema,
            "definitions": {
                name: versions[0] if len(versions) == 1 else {"anyOf": versions}
                for name, versions in self._definitions.items()
            },
            "properties": {name: True if name in _ELSEWHERE else rule for name, rule in self._properties.items()},
            "required": [name for name in self.schema.get("required") or [] if name not in _ELSEWHERE],
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """Check the parameters of an order. A form that is no usable JSON schema refuses nothing.

        Raises:
            InvalidParams: they do not fit; every field at fault is named.
        """
        kind = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft7Validator)
        schema = self.params_schema
        validator = kind(schema, format_checker=kind.FORMAT_CHECKER, registry=EMPTY_REGISTRY)
        try:
            kind.check_schema(schema)
            errors = [error for error in validator.iter_errors(dict(params)) if error.instance not in _choices(error)]
        except (SchemaError, Unresolvable):
            return
        problems = tuple(self._sentence(error) for error in errors)
        if problems:
            raise InvalidParams(data_product_id=self.data_product_id, problems=problems)

    @property
    def _properties(self) -> Mapping[str, Any]:
        return self.schema.get("properties") or {}

    @property
    def _definitions(self) -> Mapping[str, list[Any]]:
        """All versions of each definition."""
        found: defaultdict[str, list[Any]] = defaultdict(list)
        for part in _parts(self.schema):
            for name, definition in (part.get("definitions") or {}).items():
                found[name].append(definition)
        return found

    def _sentence(self, error: ValidationError) -> str:
        field = "/".join(map(str, error.absolute_path))
        if error.validator == "required":
            return error.message.replace("is a required property", "is missing")
        if error.validator == "additionalProperties":
            known = ", ".join(name for name in self._properties if name not in _ELSEWHERE)
            return f"{error.message.rstrip('.')}; the form has {known or 'no parameters'}"
        if not error.validator:  # the schema `false`, how rules forbid a field; jsonschema does not say which
            return f"{error.instance!r} is not taken together with the other parameters"
        if choices := dict.fromkeys(map(repr, _choices(error))):
            return f"{field}: {error.instance!r} is none of {', '.join(choices)}"
        return f"{field}: {error.message}" if field else error.message


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A form and the rules in it."""
    if isinstance(schema, Mapping):
        yield schema
        for inner in (*(schema.get("allOf") or []), schema.get("then"), schema.get("else")):
            yield from _parts(inner)


def _choices(error: ValidationError) -> list[Any]:
    """The values of an enumeration that was not met.

    Order forms write one as an `anyOf` of constants, older ones as an `enum` of objects with `id` and `label`.
    """
    values: Any = error.validator_value
    if error.validator == "enum":
        return [value.get("id", value) if isinstance(value, Mapping) else value for value in values]
    return _constants(values) if error.validator in ("anyOf", "oneOf") else []


def _constants(alternatives: Any) -> list[Any]:
    found: list[Any] = []
    for choice in alternatives:
        if isinstance(choice, Mapping):
            found += [choice["const"]] if "const" in choice else _constants(choice.get("anyOf") or [])
    return found
