from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import fromstring

import pytest

from up42_pipelines.lake.products.dimap_facts import bands_in_file_order, scene_facts
from up42_pipelines.lake.products.records import SceneFacts

V2 = """<Dimap_Document>
<Dataset_Content><CLOUD_COVERAGE>{cloud}</CLOUD_COVERAGE><Dataset_Extent><EXTENT_TYPE>Bounding_Polygon</EXTENT_TYPE>
<Vertex><LON>10</LON><LAT>50</LAT></Vertex><Vertex><LON>11</LON><LAT>50</LAT></Vertex>
<Vertex><LON>11</LON><LAT>49</LAT></Vertex><Vertex><LON>10</LON><LAT>49</LAT></Vertex></Dataset_Extent></Dataset_Content>
<Processing_Information><Product_Settings><PROCESSING_LEVEL>ORTHO</PROCESSING_LEVEL><Sampling_Settings>
<RESAMPLING_SPACING>{spacing}</RESAMPLING_SPACING></Sampling_Settings></Product_Settings></Processing_Information>
<Geometric_Data><Use_Area>
<Located_Geometric_Values><LOCATION_TYPE>TOP_LEFT</LOCATION_TYPE><TIME>2020-01-01T00:00:00Z</TIME></Located_Geometric_Values>
<Located_Geometric_Values><LOCATION_TYPE>Center</LOCATION_TYPE><TIME>{time}</TIME>
<Acquisition_Angles><AZIMUTH_ANGLE>180</AZIMUTH_ANGLE><VIEWING_ANGLE>-9.1</VIEWING_ANGLE>
<INCIDENCE_ANGLE>10.4</INCIDENCE_ANGLE></Acquisition_Angles>
<Solar_Incidences><SUN_AZIMUTH>150.2</SUN_AZIMUTH><SUN_ELEVATION>61.7</SUN_ELEVATION></Solar_Incidences>
<Ground_Sample_Distance><GSD_ACROSS_TRACK>0.72</GSD_ACROSS_TRACK></Ground_Sample_Distance>
</Located_Geometric_Values></Use_Area></Geometric_Data>
<Dataset_Sources><Source_Identification><Strip_Source><MISSION>PHR</MISSION><MISSION_INDEX>1B</MISSION_INDEX>
<INSTRUMENT>PHR</INSTRUMENT><INSTRUMENT_INDEX>1B</INSTRUMENT_INDEX><IMAGING_DATE>2024-04-30</IMAGING_DATE>
<IMAGING_TIME>15:34:20.5Z</IMAGING_TIME></Strip_Source></Source_Identification></Dataset_Sources></Dimap_Document>"""
GOOD = {"cloud": "3.5", "spacing": "0.5", "time": "2024-04-30T15:34:21.5Z"}


def test_facts_of_version_2() -> None:
    facts = scene_facts(fromstring(V2.format(**GOOD)))
    assert facts.datetime == datetime(2024, 4, 30, 15, 34, 21, 500_000, tzinfo=UTC)
    assert (facts.platform, facts.constellation, facts.instruments) == ("PHR1B", "PHR", ("phr1b",))
    assert (facts.cloud_cover_percent, facts.gsd_m, facts.processing_level) == (3.5, 0.5, "ORTHO")
    assert (facts.off_nadir_deg, facts.incidence_angle_deg) == (9.1, 10.4)
    assert (facts.sun_azimuth_deg, facts.sun_elevation_deg, facts.view_azimuth_deg) == (150.2, 61.7, None)
    assert facts.footprint_4326 == {
        "type": "Polygon",
        "coordinates": [[[10.0, 50.0], [10.0, 49.0], [11.0, 49.0], [11.0, 50.0], [10.0, 50.0]]],
    }


def test_placeholders_are_no_facts() -> None:
    facts = scene_facts(fromstring(V2.format(cloud="CLOUD", spacing="1.0791859e-05", time="TIME")))
    assert facts.cloud_cover_percent is None
    assert facts.gsd_m == 0.72  # degrees called metres are not believed
    assert facts.datetime == datetime(2024, 4, 30, 15, 34, 20, 500_000, tzinfo=UTC)  # the strip's


def test_an_empty_document_has_no_facts() -> None:
    assert scene_facts(fromstring("<Dimap_Document/>")) == SceneFacts()
    assert scene_facts(fromstring("<Dimap_Document><Dataset_Id/></Dimap_Document>")) == SceneFacts()


def index(*pairs: tuple[object, str]) -> str:
    listed = "".join(
        f"<Raster_Index><BAND_ID>{name}</BAND_ID><BAND_INDEX>{at}</BAND_INDEX></Raster_Index>" for at, name in pairs
    )
    return f"<Raster_Index_List>{listed}</Raster_Index_List>"


RANGES = """<Radiometric_Data><Radiometric_Calibration><Instrument_Calibration><Band_Measurement_List>
<Band_Spectral_Range><BAND_ID>B0</BAND_ID><MEASURE_UNIT>micrometers</MEASURE_UNIT><MIN>0.43</MIN><MAX>0.55</MAX>
</Band_Spectral_Range>
<Band_Spectral_Range><BAND_ID>R</BAND_ID><MEASURE_UNIT>nanometer</MEASURE_UNIT><FWHM><MIN>619</MIN><MAX>690</MAX></FWHM>
</Band_Spectral_Range>
<Band_Spectral_Range><BAND_ID>B3</BAND_ID><MIN>MIN</MIN><MAX>MAX</MAX></Band_Spectral_Range>
</Band_Measurement_List></Instrument_Calibration></Radiometric_Calibration></Radiometric_Data>"""


def test_wavelengths_in_micrometres() -> None:
    bands = scene_facts(fromstring(f"<Dimap_Document>{RANGES}</Dimap_Document>")).bands
    assert [(band.name, band.center_wavelength_um, band.full_width_half_max_um) for band in bands] == [
        ("B0", 0.49, 0.12),
        ("R", 0.6545, 0.071),
        ("B3", None, None),
    ]


@pytest.mark.parametrize(
    ("count", "lists", "names"),
    [
        (4, index((2, "B1"), (1, "B2"), (3, "B0"), (4, "B3")), ["red", "green", "blue", "nir"]),
        # As in a sample of Pléiades Neo: indices that cannot be; GDAL goes by the order.
        (
            6,
            index((1, "R"), (2, "G"), (3, "B")) + index((4, "NIR"), (2, "RE"), (3, "DB")),
            ["red", "green", "blue", "nir", "rededge", "coastal"],
        ),
        (1, index((1, "PAN")), ["pan"]),
        (4, index((1, "B2"), (2, "B1")), []),
        (2, index((1, "B2"), (2, "B2")), []),
        (4, RANGES, []),  # lists go by wavelength, files often red first: not told
    ],
)
def test_the_order_of_bands_is_what_the_document_tells_or_nothing(count: int, lists: str, names: list[str]) -> None:
    dimensions = f"<Raster_Dimensions><NBANDS>{count}</NBANDS></Raster_Dimensions>"
    bands = bands_in_file_order(fromstring(f"<Dimap_Document>{dimensions}{lists}</Dimap_Document>"))
    assert [band.common_name for band in bands] == names
