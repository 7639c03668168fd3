"""Results from the descriptions of deliveries, without a server: is what they hold what their process promises."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rio_cogeo.cogeo import cog_validate
from shapely.geometry import Polygon, box, shape

from up42_pipelines.sandbox.imagery import layers, synthetic
from up42_pipelines.sandbox.imagery.rendering import PAN_WEIGHTS
from up42_pipelines.sandbox.processing import processes
from up42_pipelines.sandbox.processing.compute import results

SOURCE = synthetic.SyntheticScenes(0)
PRODUCTS = {product.name: product for product in SOURCE.collection.products}
AREA = box(13.365, 52.505, 13.371, 52.509)


@pytest.fixture(scope="module")
def days():
    """The clearest scenes over the area, one a day."""
    first = datetime(2026, 6, 1, tzinfo=UTC)
    found = SOURCE.find(AREA, first, first + timedelta(days=40))
    clear = [scene for scene in found if scene.cloud_cover_percent == 0 and scene.footprint.covers(AREA)]
    return list({scene.acquired_at.date(): scene for scene in clear}.values())


@pytest.fixture(scope="module")
def bought(days):
    """Each data product of the first of them."""
    return {name: SOURCE.content(days[0], product, AREA, 0) for name, product in PRODUCTS.items()}


@pytest.fixture
def run(tmp_path):
    """Describes and writes a result; returns its description and its file."""

    def run(process_id, options=None, **contents):
        described = json.loads(json.dumps(results.describe(process_id, contents, options or {})))
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        results.write_data(described, tmp_path, path)
        return described, path

    return run


def pixels_of(content, kind="data"):
    file = next(file for file in content["data"] if file["kind"] == kind)
    return synthetic.layer(content, file)


def read(path):
    with rasterio.open(path) as raster:
        return raster.read(), raster.transform, raster.descriptions


def test_a_bundle_shows_one_ground_at_two_resolutions(bought):
    pan, ms, fine = pixels_of(bought["bundle"], "pan"), pixels_of(bought["bundle"], "ms"), pixels_of(bought["analytic"])
    assert (pan.grid.gsd_m, ms.grid.gsd_m, pan.bands, ms.bands) == (3.0, 12.0, ("pan",), fine.bands)
    assert (pan.grid.west, pan.grid.north, pan.grid.width, pan.grid.height) == (
        *(ms.grid.west, ms.grid.north),
        *(4 * ms.grid.width, 4 * ms.grid.height),
    )
    grey = sum(PAN_WEIGHTS[band] * fine.select([band]).reflectance for band in fine.bands)
    laid = pan.onto(fine.grid)
    inside = laid.valid & fine.valid
    assert np.abs(laid.reflectance - grey)[0, inside].max() < 1e-5
    blocks = np.where(pan.valid, pan.reflectance[0], np.nan).reshape(ms.grid.height, 4, ms.grid.width, 4)
    whole = ~np.isnan(blocks).any(axis=(1, 3))
    mixed = sum(PAN_WEIGHTS[band] * ms.select([band]).reflectance[0] for band in ms.bands)
    assert np.allclose(blocks.mean(axis=(1, 3))[whole], mixed[whole], atol=1e-5)
    assert (ms.valid == (~np.isnan(blocks)).any(axis=(1, 3))).all()


def test_pansharpening_gives_back_the_detail(bought, run):
    described, path = run("pansharpening", item=bought["bundle"])
    pan, ms, fine = pixels_of(bought["bundle"], "pan"), pixels_of(bought["bundle"], "ms"), pixels_of(bought["analytic"])
    sharp, transform, bands = read(path)
    assert (bands, transform, sharp.dtype, described["gsd"]) == (ms.bands, pan.grid.transform, "uint16", 3.0)
    assert cog_validate(str(path), quiet=True)[0]
    truth = fine.onto(pan.grid)
    inside = truth.valid & pan.valid

    def error(reflectance):
        return np.sqrt(((reflectance - truth.reflectance)[:, inside] ** 2).mean())

    assert error(sharp / 10_000) < 0.6 * error(ms.onto(pan.grid).reflectance)
    grey = sum(PAN_WEIGHTS[band] * sharp[index] / 10_000 for index, band in enumerate(bands))
    assert np.abs(grey - pan.reflectance[0])[inside].max() < 1e-3
    assert (sharp[:, ~pan.valid] == 0).all()


def test_grey_weights_decide_what_is_sharpened(bought, run):
    def sharpened(*weights):
        given = [{"band": band, "weight": weight} for band, weight in weights]
        return read(run("pansharpening", {"greyWeights": given}, item=bought["bundle"])[1])[0]

    default = read(run("pansharpening", item=bought["bundle"])[1])[0]
    assert np.array_equal(sharpened(("blue", 1), ("green", 3), ("red", 4), ("nir", 2)), default)
    pan = pixels_of(bought["bundle"], "pan")
    red = sharpened(("red", 0.2))
    assert not np.array_equal(red, default)
    # With one band as the grey, that band is the panchromatic one.
    assert np.abs(red[2] / 10_000 - pan.reflectance[0])[pan.valid].max() < 1e-3


def test_true_colour_is_what_the_display_product_shows(bought, run):
    described, path = run("true-color-conversion", item=bought["analytic"])
    shown, _, bands = read(path)
    assert (bands, shown.dtype, described["data"][0]["dtype"]) == (("red", "green", "blue"), "uint8", "uint8")
    run_display = pixels_of(bought["display"])
    expected = results.encoding.encode(run_display.reflectance, run_display.valid, "uint8")
    assert np.abs(shown.astype(int) - expected).max() <= 1
    with rasterio.open(path) as raster:
        assert [color.name for color in raster.colorinterp] == ["red", "green", "blue"]


@pytest.mark.parametrize("process_id", ["upsampling-ns", "upsampling-ns-sentinel"])
def test_upsampling_halves_the_pixels(bought, run, process_id):
    described, path = run(process_id, item=bought["analytic"])
    before = pixels_of(bought["analytic"])
    after, transform, _ = read(path)
    assert after.shape == (4, 2 * before.grid.height, 2 * before.grid.width)
    assert (transform.a, transform.c, transform.f) == (1.5, before.grid.west, before.grid.north)
    assert described["gsd"] == 1.5
    inner = before.valid[10:-10, 10:-10]
    blocks = after[:, 20:-20, 20:-20].reshape(4, inner.shape[0], 2, inner.shape[1], 2).mean(axis=(2, 4)) / 10_000
    assert np.abs(blocks - before.reflectance[:, 10:-10, 10:-10])[:, inner].mean() < 0.01
    assert not np.array_equal(after[:, ::2, ::2], after[:, 1::2, 1::2])


def test_what_lies_straight_stays(bought, run):
    _, path = run("orthorectification-intermap", item=bought["analytic"])
    before = pixels_of(bought["analytic"])
    after, transform, _ = read(path)
    assert transform == before.grid.transform
    assert np.array_equal(after, results.encoding.encode(before.reflectance, before.valid, "uint16"))


def test_coregistration_lays_the_source_onto_the_grid_of_the_reference(bought, days, run):
    area = Polygon([(13.368, 52.505), (13.374, 52.505), (13.374, 52.509)])
    other = SOURCE.content(days[1], PRODUCTS["bundle"], area, 0)
    described, path = run("coregistration-simularity", sourceItem=bought["analytic"], referenceItem=other)
    reference = pixels_of(other, "ms")
    moved, transform, bands = read(path)
    assert (transform, moved.shape[1:]) == (reference.grid.transform, reference.valid.shape)
    assert (bands, described["gsd"], described["scene_id"]) == (reference.bands, 12.0, days[0].id)
    assert shape(described["geometry"]).equals(AREA.intersection(area))
    assert described["bbox"] == list(shape(described["geometry"]).bounds)
    assert (moved.any(axis=0) <= reference.valid).all()
    assert 0.2 < moved.any(axis=0).mean() / reference.valid.mean() < 0.3


def test_change_between_two_days_is_what_was_built(days, run):
    before, after = (SOURCE.content(days[index], PRODUCTS["analytic"], AREA, 0) for index in (0, -1))
    described, path = run("detection-change-simularity", sourceItem=after, referenceItem=before)
    collection = json.loads(path.read_text())
    assert collection["type"] == "FeatureCollection"
    one, other = pixels_of(before), pixels_of(after)
    differs = np.abs(one.reflectance - other.reflectance).mean(axis=0) > 0.12
    assert 0 < differs.mean() < 0.1
    area = sum(feature["properties"]["area_m2"] for feature in collection["features"])
    assert area == pytest.approx(differs.sum() * 9, rel=0.02)
    assert (described["modality"], described["epsg"], described["data"][0]["type"]) == (
        None,
        4326,
        "application/geo+json",
    )


def test_a_chain_of_processes(bought, run, tmp_path):
    sharp, _ = run("pansharpening", item=bought["bundle"])
    colour, path = run("true-color-conversion", item=sharp)
    found, vectors = run("detection-buildings-spacept", item=colour)
    assert read(path)[0].shape[1:] == (sharp["data"][0]["grid"]["height"], sharp["data"][0]["grid"]["width"])
    assert [one["title"].removeprefix(bought["bundle"]["title"]) for one in (sharp, colour, found)] == [
        "_PANSHARPENING",
        "_TRUE-COLOR-CONVERSION",
        "_DETECTION-BUILDINGS-SPACEPT",
    ]
    for feature in json.loads(vectors.read_text())["features"]:
        assert shape(feature["geometry"]).intersects(AREA)
        assert shape(feature["geometry"]).is_valid
    assert shape(found["geometry"]).equals(AREA)
    assert (found["gsd"], found["datetime"]) == (3.0, bought["bundle"]["datetime"])
    again = tmp_path / "again"
    results.write_data(found, tmp_path, again)
    assert again.read_bytes() == vectors.read_bytes()


def test_every_process_on_offer_is_computed(bought, days, run, tmp_path):
    reference = SOURCE.content(days[1], PRODUCTS["display"], AREA, 0)
    for process in processes.PROCESSES:
        content = bought["bundle" if process.roles else "display"]
        names = dict(zip(process.item_inputs, (content, reference), strict=False))
        described, path = run(process.id, **names)
        results.write_preview(described["data"][0], path, tmp_path / "preview.jpg")
        with pytest.warns(NotGeoreferencedWarning):
            picture = read(tmp_path / "preview.jpg")[0]
        assert (len(picture), max(picture.shape) <= 256) == (3, True)
        assert picture.any() or json.loads(path.read_text())["features"] == []


def test_a_resampled_edge_is_not_darkened_by_what_lies_outside(bought):
    fine = pixels_of(bought["analytic"])
    bright = layers.Layer(fine.grid, ("pan",), np.where(fine.valid, np.float32(0.5), np.float32(0))[None], fine.valid)
    shifted = bright.onto(fine.grid.coarser(2))
    assert shifted.valid.any()
    assert shifted.reflectance[0][shifted.valid].min() == pytest.approx(0.5)
