from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import fromstring

from up42_pipelines.lake.products.palsar import scene_facts
from up42_pipelines.lake.products.recognise import recognise

XML = """<Metadata><GeneralMetadata><Product Copyright="JAXA/EORC">NRB</Product>
<SourceAttributes><Satellite>ALOS-2</Satellite><Instrument>PALSAR-2</Instrument>
<SourceDataAcquisitionTime><UTCStartTime>2020-09-09T10:44:12Z</UTCStartTime><UTCEndTime>2020-09-09T10:44:26Z</UTCEndTime>
</SourceDataAcquisitionTime><AcquisitionParameters><RadarBand>L</RadarBand><Polarizations>HH+HV+XX</Polarizations>
<AntennaPointing>Right</AntennaPointing></AcquisitionParameters></SourceAttributes></GeneralMetadata>
<PerPixelMetadata><DataMask><FileName>mask.tif</FileName></DataMask></PerPixelMetadata>
<B><Polarization pol="HH"><FileName>{hh}</FileName></Polarization></B></Metadata>"""


def test_a_raster_per_polarisation_and_layer(unpacked: Callable[..., Any], tiff: bytes) -> None:
    contents = recognise(unpacked({"N23.xml": XML.format(hh="hh.tif"), "hh.tif": tiff, "mask.tif": tiff}))
    (product,) = contents.products
    assert (product.kind, contents.all_problems) == ("palsar", ())
    assert [(raster.key, raster.roles) for raster in product.rasters] == [("mask", ("data-mask",)), ("HH", ("data",))]
    facts = product.facts
    assert facts.start_datetime == datetime(2020, 9, 9, 10, 44, 12, tzinfo=UTC)
    assert (facts.sar_frequency_band, facts.sar_polarizations, facts.sar_observation_direction) == (
        "L",
        ("HH", "HV"),
        "right",
    )


def test_several_acquisitions_are_one_period() -> None:
    times = "<a><UTCStartTime>2020-0{0}-01T00:00:00Z</UTCStartTime><UTCEndTime>2020-0{0}-01T00:00:09Z</UTCEndTime></a>"
    facts = scene_facts(fromstring(f"<Metadata>{times.format(5)}{times.format(3)}{times.format(7)}</Metadata>"))
    assert facts.datetime == facts.start_datetime == datetime(2020, 3, 1, tzinfo=UTC)
    assert facts.end_datetime == datetime(2020, 7, 1, 0, 0, 9, tzinfo=UTC)


def test_layers_that_are_none_or_lie_outside(unpacked: Callable[..., Any]) -> None:
    members = {"N23.xml": XML.format(hh="../hh.tif"), "mask.tif": "<VRTDataset/>"}
    severities = {problem.severity for problem in recognise(unpacked(members)).products[0].problems}
    assert severities == {"hostile", "corrupt"}


def test_a_layer_that_was_not_delivered(unpacked: Callable[..., Any], tiff: bytes) -> None:
    contents = recognise(unpacked({"N23.xml": XML.format(hh="gone.tif"), "mask.tif": tiff}))
    assert [problem.severity for problem in contents.all_problems] == ["incomplete"]
