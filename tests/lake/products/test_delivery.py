from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from up42_pipelines.lake.products.delivery import Delivery, resolve, some

HERE = PurePosixPath("order/product")


@pytest.mark.parametrize(
    ("href", "leads_to"),
    [
        ("IMG.TIF", "order/product/IMG.TIF"),
        ("./MASKS//ROI 1.GML", "order/product/MASKS/ROI 1.GML"),
        ("../LIBRARY/LOGO.JPG", "order/LIBRARY/LOGO.JPG"),
        ("größe.tif", "order/product/größe.tif"),
        ("-x.tif", "order/product/-x.tif"),
        ("../../../etc/passwd", None),
        ("../../../order/product/IMG.TIF", None),
        ("/etc/passwd", None),
        ("/vsicurl/http://127.0.0.1/x.tif", None),
        ("//server/share/x.tif", None),
        ("~root/x.tif", None),
        ("C:\\x.tif", None),
        ("..\\..\\x.tif", None),
        ("http://127.0.0.1/x.tif", None),
        ("file:///etc/passwd", None),
        ("GTIFF_DIR:1:x.tif", None),
        ("<VRTDataset/>", None),
        ('{"type": "x"}', None),
        ("x.tif\0.jpg", None),
        ("x\n.tif", None),
        ("x\u202efit.exe", None),
        ("../..", None),
        ("", None),
    ],
)
def test_a_reference_leads_into_the_delivery_or_nowhere(href: str, leads_to: str | None) -> None:
    assert resolve(HERE, href) == (None if leads_to is None else PurePosixPath(leads_to))


SEGMENTS = st.sampled_from(["..", ".", "", "a", "b.tif", "/", "\\", "~", "C:", "etc", "vsizip"]) | st.text(max_size=5)


@given(href=st.lists(SEGMENTS, max_size=8).map("/".join) | st.text(max_size=30), depth=st.integers(0, 3))
def test_no_reference_leads_out_of_the_delivery(href: str, depth: int) -> None:
    folder = PurePosixPath(*["d"] * depth)
    path = resolve(folder, href)
    if path is not None:
        on_disk = os.path.normpath(Path("/lake/unpacked") / folder / href)
        assert on_disk == os.path.normpath(Path("/lake/unpacked") / path)
        assert on_disk.startswith("/lake/unpacked/")


def test_a_raster_comes_with_its_mask_and_world_file(unpacked: Callable[..., Any], tiff: bytes) -> None:
    files = {"a/X.TIF": tiff, "a/X.TIF.msk": tiff, "a/X.TFW": "1", "a/X.TIF.ovr": tiff, "b/X.TFW": "1", "a/Y.TIF": tiff}
    delivery = Delivery(unpacked(files))
    image = delivery.get(PurePosixPath("a/X.TIF"))
    assert image is not None
    assert sorted(path.name for path in delivery.source(image).members) == ["X.TFW", "X.TIF.msk"]
    assert delivery.source(image).driver == "GTiff"


def test_a_mask_that_is_no_tiff_belongs_to_nothing(unpacked: Callable[..., Any], tiff: bytes) -> None:
    delivery = Delivery(unpacked({"X.TIF": tiff, "X.TIF.msk": "<VRTDataset/>"}))
    image = delivery.get(PurePosixPath("X.TIF"))
    assert image is not None
    assert delivery.source(image).members == ()


def test_many_names_are_cut_short() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcdefg")) == "a, b, c, d, e and 2 more"
