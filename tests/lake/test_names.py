"""What a server calls things, as names of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.names import check_part, safe_name


@pytest.mark.parametrize("name", ["ms", "B04_10m.tif", "scene.tif", "a.xml", "aux.xml", "ovr"])
def test_a_name_that_is_fit_stays(name):
    assert safe_name(name) == name


@pytest.mark.parametrize("name", ["scene.tif.aux.xml", "scene.TIF.AUX.XML", "scene.tif.msk", "scene.tif.ovr"])
def test_nothing_is_called_like_what_gdal_reads_with_a_raster(name):
    """`scene.tif.aux.xml` would tell every reader of `scene.tif` where it lies, and what is nodata."""
    assert not safe_name(name).lower().startswith("scene.tif.")


@given(st.text(), st.text())
def test_any_text_becomes_a_name_of_its_own(one, other):
    name = safe_name(one)
    assert check_part(name) == name == safe_name(name)
    assert name.isascii()
    assert len(name) <= 120
    assert one == other or name != safe_name(other)
