"""The vendored schemas: whole, closed under reference, unchanged, and in the wheel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs
import pytest

from up42_pipelines.lake.stac import validation

ROOT = Path(__file__).parents[3]
SCHEMAS = Path(str(files("up42_pipelines.lake.stac") / "schemas"))
PATHS = sorted(path.relative_to(SCHEMAS).as_posix() for path in SCHEMAS.rglob("*.json"))
BUILT_IN = "http://json-schema.org/draft-07/schema"


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def test_they_are_those_that_were_taken_over():
    listed = dict(reversed(line.split("  ")) for line in (SCHEMAS / "SHA256SUMS").read_text().splitlines())
    assert sorted(listed) == PATHS
    assert {path: hashlib.sha256((SCHEMAS / path).read_bytes()).hexdigest() for path in PATHS} == listed


def test_the_notice_names_the_origin_of_each():
    rows = (SCHEMAS / "README.md").read_text().splitlines()
    folders = [row.split("`")[1] for row in rows if row.startswith("| `")]
    assert [path for path in PATHS if not path.startswith(tuple(folders))] == []


@pytest.mark.parametrize("path", PATHS)
def test_each_is_found_by_its_own_name_and_leads_nowhere_else(path):
    schema = validation._vendored()[f"https://{path}"]
    own = schema["$id"].removesuffix("#")
    # STAC 1.1.0 wrote `commonjson` for `common.json`.
    assert own.replace("commonjson", "common.json") == f"https://{path}"
    for reference in references(schema):
        target = urljoin(f"https://{path}", reference).partition("#")[0]
        assert target in {*validation._vendored(), BUILT_IN}
    assert validation._validator((f"https://{path}",)) is not None


def test_what_is_not_vendored_is_never_fetched():
    with pytest.raises(jsonschema_rs.ValidationError, match="not vendored"):
        validation._validator(("https://stac-extensions.github.io/eo/v9.9.9/schema.json",))


def test_the_wheel_has_them():
    wheel = pytest.importorskip("hatchling.builders.wheel")
    packed = {file.distribution_path for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}
    folder = "up42_pipelines/lake/stac/schemas"
    assert {f"{folder}/{name}" for name in (*PATHS, "README.md", "SHA256SUMS")} <= packed


def test_projjson_can_refer_to_itself():
    """The one recursive schema: a document nested without end is refused before it is followed."""
    crs: dict[str, Any] = {"type": "BoundCRS"}
    for _ in range(100_000):
        crs = {"type": "BoundCRS", "source_crs": crs}
    document = {"type": "Feature", "properties": {"proj:projjson": crs}}
    try:
        assert validation.problems(document) == ("is nested deeper than 64 levels",)
    finally:
        while crs:
            crs = crs.pop("source_crs", {})
    assert json.dumps(document)
