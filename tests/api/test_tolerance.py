"""Every record of the API takes what UP42 may send tomorrow, and loses nothing of it."""

import importlib
import json
import pkgutil
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from annotated_types import MinLen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, SecretStr, TypeAdapter

from up42_pipelines import api
from up42_pipelines.api.records import Record, Timestamp
from up42_pipelines.errors import UnexpectedAnswer

EXAMPLES = json.loads((Path(__file__).parent / "record_examples.json").read_text())
NEW = "SOMETHING_NEW"
ODD_NAMES = ["newThing", "new:thing", "raw", "_raw", "_read", "self", "cls", "model_dump", "model_fields", "{}"]
EXTRA = {name: {"deep": [{"deeper": None}]} for name in ODD_NAMES}


def records(base=Record):
    """All record classes of the package."""
    for module in pkgutil.iter_modules(api.__path__):
        importlib.import_module(f"{api.__name__}.{module.name}")
    for record in base.__subclasses__():
        if record.__module__.startswith(f"{api.__name__}.") and not record.__name__.startswith("_"):
            yield record
        yield from records(record)


RECORDS = sorted(set(records()), key=lambda record: record.__name__)
every_record = pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)


def wire_name(name, field):
    return field.serialization_alias or field.alias or name


def types_in(annotation):
    """All classes that an annotation names, however deep."""
    if get_origin(annotation):
        return [kind for part in get_args(annotation) for kind in types_in(part)]
    return [annotation] if isinstance(annotation, type) else []


def fields_of(record, body, path=()):
    """(path, field) of every known field, also of the records inside, as far as the body has them."""
    for name, field in record.model_fields.items():
        here = (*path, wire_name(name, field))
        yield here, field
        value = body.get(here[-1])
        for inner in (kind for kind in types_in(field.annotation) if issubclass(kind, Record)):
            for index, part in enumerate(value if isinstance(value, list) else []):
                yield from fields_of(inner, part, (*here, index))
            if isinstance(value, dict):
                yield from fields_of(inner, value, here)


def at(body, path):
    for step in path:
        body = body[step]
    return body


def with_value(body, path, value):
    changed = deepcopy(body)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def without(body, path):
    changed = deepcopy(body)
    at(changed, path[:-1]).pop(path[-1], None)
    return changed


def read_at(parsed, path):
    """The value of a record at a path of wire names."""
    for step in path:
        if isinstance(step, int):
            parsed = parsed[step]
        else:
            names = {wire_name(name, field): name for name, field in type(parsed).model_fields.items()}
            parsed = getattr(parsed, names[step])
    return parsed


def with_extras(value):
    """The same with unknown fields in every object."""
    if isinstance(value, list):
        return [with_extras(part) for part in value]
    if isinstance(value, dict):
        return {key: with_extras(part) for key, part in value.items()} | {
            key: part for key, part in EXTRA.items() if key not in value
        }
    return value


def instant(text):
    return TypeAdapter(Timestamp).validate_python(text)


def same(sent, kept):
    """Whether nothing is lost: every key and every value; times as instants, as far as microseconds reach."""
    if sent is None:
        return True  # its default may stand in its place
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(key in kept and same(value, kept[key]) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(kept, list) and len(sent) == len(kept) and all(map(same, sent, kept))
    if isinstance(sent, str) and isinstance(kept, str) and sent != kept:
        return set(kept) == {"*"} or abs(instant(sent) - instant(kept)) < timedelta(microseconds=1)
    return sent == kept


def keeps(record, body):
    parsed = record.parse(body)
    assert parsed.raw == body
    assert same(body, parsed.model_dump(mode="json", by_alias=True))
    return parsed


def examples(record):
    return EXAMPLES[record.__name__]


def test_every_record_is_found_and_every_field_has_an_example():
    assert {"Order", "Job", "Budget", "Quotation", "Webhook", "Scene", "Collection"} <= {
        one.__name__ for one in RECORDS
    }
    assert {record.__name__ for record in RECORDS} == set(EXAMPLES)
    for record in RECORDS:
        shown = set().union(*examples(record))
        assert {wire_name(*field) for field in record.model_fields.items()} <= shown, record


@every_record
class TestExamples:
    def test_nothing_is_lost(self, record):
        for body in examples(record):
            keeps(record, body)

    def test_unknown_fields_at_every_level(self, record):
        for body in examples(record):
            parsed = keeps(record, with_extras(body))
            assert set(EXTRA) <= set(parsed.model_extra)

    def test_optional_fields_that_are_missing_or_null(self, record):
        for body in examples(record):
            optional = [path for path, field in fields_of(record, body) if not field.is_required()]
            for path in optional:
                keeps(record, without(body, path))
                keeps(record, with_value(body, path, None))
            top = {path[0] for path in optional if len(path) == 1}
            bare = {key: value for key, value in body.items() if key not in top}
            keeps(record, bare)
            keeps(record, bare | dict.fromkeys(top))

    def test_required_fields_are_named_when_they_are_missing(self, record):
        for body in examples(record):
            for path, field in fields_of(record, body):
                if field.is_required() and path[-1] in at(body, path[:-1]):
                    with pytest.raises(UnexpectedAnswer, match=f"{record.__name__} that cannot be read: ") as caught:
                        record.parse(without(body, path))
                    assert f"{path[-1]}: Field required" in str(caught.value)

    def test_enums_are_members_and_new_values_text(self, record):
        for body in examples(record):
            for path, field in fields_of(record, body):
                in_list = get_origin(field.annotation) is tuple
                for enum in (kind for kind in types_in(field.annotation) if issubclass(kind, Enum)):
                    for value in [NEW, *(member.value for member in enum)]:
                        parsed = keeps(record, with_value(body, path, [value] if in_list else value))
                        found = read_at(parsed, (*path, 0) if in_list else path)
                        assert found == value
                        assert isinstance(found, enum) == (value != NEW), (path, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
TEXT = st.text(max_size=4)
TIMES = st.builds(
    "{0:%Y-%m-%dT%H:%M:%S}{1}{2}".format,
    st.integers(0, 6 * 10**9).map(lambda seconds: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.sampled_from(["", ".1", ".123456", ".123456789"]),
    st.sampled_from(["", "Z", "+00:00", "-09:30", "+05:45"]),
)
PLAIN = {
    str: TEXT,
    SecretStr: TEXT,
    bool: st.booleans(),
    int: st.integers(0, 10**12),
    float: st.integers(0, 10**6) | st.floats(0, 10**6, allow_nan=False),
    datetime: TIMES,
    date: st.dates().map(date.isoformat),
    dict: st.dictionaries(st.sampled_from("abc"), JSON, max_size=2),
    type(None): st.none(),
}


def values(annotation, metadata=()):
    """JSON values that a field with this annotation takes."""
    if annotation is Any:
        return JSON
    if get_origin(annotation) is Annotated:
        return values(get_args(annotation)[0])
    if get_origin(annotation) is tuple:
        return st.lists(values(get_args(annotation)[0]), max_size=2)
    if get_origin(annotation) is dict:
        return PLAIN[dict]
    if get_args(annotation):
        return st.one_of([values(part) for part in get_args(annotation)])
    if issubclass(annotation, Record):
        return bodies(annotation)
    if issubclass(annotation, Enum):
        return st.sampled_from([member.value for member in annotation] + [NEW])
    if any(isinstance(limit, MinLen) for limit in metadata):
        return st.text(min_size=1, max_size=4)
    return PLAIN[annotation]


def bodies(record):
    """Bodies of a record: with or without each optional field, null or not, and with fields nobody knows."""
    taken = {
        key
        for name, field in record.model_fields.items()
        for alias in [field.validation_alias]
        for key in (name, wire_name(name, field), *(alias.choices if isinstance(alias, AliasChoices) else [alias]))
    }
    fields = {wire_name(name, field): field for name, field in record.model_fields.items()}
    required = {key: values(f.annotation, f.metadata) for key, f in fields.items() if f.is_required()}
    optional = {key: st.none() | values(f.annotation, f.metadata) for key, f in fields.items() if not f.is_required()}
    odd = st.dictionaries((st.sampled_from(ODD_NAMES) | TEXT).filter(lambda key: key not in taken), JSON, max_size=2)
    return st.builds(lambda known, extra: extra | known, st.fixed_dictionaries(required, optional=optional), odd)


@every_record
def test_any_body_is_read_whole(record):
    @given(bodies(record))
    @settings(derandomize=True, max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(body):
        keeps(record, body)

    check()
