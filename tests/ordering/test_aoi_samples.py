"""AOI files of other people, with the expected outcome of each."""

import re
from pathlib import Path

import pytest

from up42_pipelines.errors import AoiRejected
from up42_pipelines.ordering.aoi import read_aoi

SAMPLES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "aois"
EXPECTED: dict[str, dict[str, str]] = {
    "": {
        "accepted": """
            ne_fiji_antimeridian_multipolygon.geojson ne_switzerland_polygon.geojson up42_bellevue_us.geojson
            up42_berlin_featurecollection.geojson up42_chuquicamata.geojson up42_multipolygon.geojson
            up42_portinho_arrabida.geojson up42_portugal_envelope.geojson up42_search_footprints.geojson
            up42_washington_featurecollection.geojson
        """,
        "antimeridian": """
            ne_antarctica_pole.geojson
        """,
        "area": """
            ne_russia_multipolygon.geojson
        """,
        "holes": """
            ne_south_africa_polygon_with_hole.geojson
        """,
        "type": """
            geojson_utf8_bom_point.json
        """,
        "vertices": """
            ne_177_countries_featurecollection.geojson
        """,
    },
    "antimeridian_suite/input": {
        "accepted": """
            issues-201.json
        """,
        "antimeridian": """
            almost-180.json both-poles.json complex-split.json crossing-latitude.json cw-split.json extra-crossing.json
            force-north-pole.json great-circle.json issues-124.json issues-164.json issues-171.json issues-174.json
            issues-187.json issues-81.json latitude-band.json multi-split.json north-pole.json one-ccw-hole.json
            one-hole.json over-180.json overlap.json point-on-antimeridian.json south-pole.json split.json
            two-holes.json
        """,
        "area": """
            cw-only.json multi-no-antimeridian.json simple.json
        """,
        "holes": """
            simple-with-ccw-hole.json
        """,
        "simple": """
            issues-182.json
        """,
        "type": """
            line.json multi-line.json
        """,
    },
    "antimeridian_suite/ogr2ogr": {
        "accepted": """
            great-circle.json point-on-antimeridian.json
        """,
        "antimeridian": """
            both-poles.json complex-split.json crossing-latitude.json cw-split.json extra-crossing.json
            force-north-pole.json issues-124.json issues-81.json latitude-band.json multi-split.json north-pole.json
            one-ccw-hole.json one-hole.json overlap.json south-pole.json split.json two-holes.json
        """,
        "area": """
            cw-only.json multi-no-antimeridian.json over-180.json simple.json
        """,
        "holes": """
            simple-with-ccw-hole.json
        """,
        "simple": """
            almost-180.json
        """,
        "type": """
            line.json multi-line.json
        """,
    },
    "antimeridian_suite/output/flat": {
        "accepted": """
            almost-180.json great-circle.json issues-174.json issues-187.json issues-201.json issues-81.json
            point-on-antimeridian.json
        """,
        "antimeridian": """
            both-poles.json cw-only-no-fix.json cw-split-no-fix.json extra-crossing.json force-north-pole.json
            issues-124.json issues-164.json issues-171.json latitude-band.json north-pole.json ocean.json overlap.json
            south-pole.json
        """,
        "area": """
            complex-split.json crossing-latitude.json cw-only.json cw-split.json multi-no-antimeridian.json
            multi-split.json one-hole.json over-180.json simple.json split.json
        """,
        "holes": """
            issues-134.json two-holes.json
        """,
        "type": """
            line.json multi-line.json
        """,
    },
    "antimeridian_suite/output/spherical": {
        "accepted": """
            great-circle.json issues-174.json issues-187.json issues-201.json
        """,
        "antimeridian": """
            both-poles.json cw-split-no-fix.json extra-crossing.json force-north-pole.json issues-124.json
            issues-164.json issues-171.json north-pole.json overlap.json south-pole.json
        """,
        "area": """
            complex-split.json crossing-latitude.json cw-split.json multi-split.json one-hole.json over-180.json
            simple.json split.json
        """,
        "holes": """
            two-holes.json
        """,
        "json": """
            almost-180.json cw-only-no-fix.json cw-only.json issues-81.json latitude-band.json line.json multi-line.json
            multi-no-antimeridian.json ocean.json point-on-antimeridian.json
        """,
    },
    "geojson_validator_suite/invalid_geometries": {
        "accepted": """
            invalid_exterior_not_ccw.geojson
        """,
        "closed": """
            invalid_less_three_unique_nodes.geojson invalid_unclosed.geojson
        """,
        "holes": """
            invalid_inner_and_exterior_ring_intersect.geojson invalid_interior_not_cw.geojson
        """,
        "type": """
            invalid_incorrect_geometry_data_type.geojson
        """,
    },
    "geojson_validator_suite/invalid_structure": {
        "closed": """
            invalid_feature_no_porperties.geojson
        """,
        "coordinates": """
            invalid_geometry_coordinates_1d.geojson invalid_geometry_coordinates_empty_position.geojson
            invalid_geometry_depth_deep_polygon.geojson invalid_geometry_depth_shallow_multipolygon.geojson
            invalid_geometry_depth_shallow_polygon.geojson invalid_geometry_misslabeled_point.geojson
        """,
        "crs": """
            invalid_featurecollection_crs_defined.geojson
        """,
        "type": """
            invalid_feature_geometry_is_string.geojson invalid_feature_id_type.geojson
            invalid_feature_properties_is_array.geojson invalid_feature_properties_is_int.geojson
            invalid_feature_wrong_geometry_key.geojson invalid_featurecollcetion_features_is_object.geojson
            invalid_featurecollcetion_no_features_member.geojson invalid_featurecollection_feature_nullfeature.geojson
            invalid_featurecollection_nulltype.geojson invalid_featurecollection_type_lowercase.geojson
            invalid_featurecollection_unknown_type.geojson invalid_geometry_bbox_not4or6.geojson
            invalid_geometry_bbox_not_list.geojson invalid_geometry_bbox_not_numbers.geojson
            invalid_geometry_coordinates_4d.geojson invalid_geometry_coordinates_missing.geojson
            invalid_geometry_coordinates_string.geojson invalid_geometry_depth_deep_point.geojson
            invalid_geometry_depth_shallow_linestring.geojson invalid_geometry_geometrycollection_nested.geojson
            invalid_geometry_geometrycollection_null_geometry.geojson invalid_geometry_geometrycollection_single.geojson
            invalid_geometry_missing_type.geojson invalid_geometry_wrong_geometry_type.geojson
        """,
    },
    "geojson_validator_suite/problematic_geometries": {
        "accepted": """
            problematic_duplicate_nodes.geojson problematic_excessive_coordinate_precision.geojson
            problematic_multitype_geometry_with_just_one_geometry.geojson
            problematic_wrong_bbox_coordinate_order.geojson
        """,
        "antimeridian": """
            problematic_crosses_antimeridian.geojson problematic_outside_lat_lon_boundaries.geojson
        """,
        "holes": """
            problematic_holes.geojson
        """,
        "no-z": """
            problematic_3d_coordinates.geojson
        """,
        "simple": """
            problematic_self_intersection_large.geojson problematic_self_intersection_small.geojson
        """,
        "type": """
            problematic_feature_null_geometry.geojson problematic_zero_length_linestring.geojson
        """,
        "vertices": """
            problematic_excessive_vertices.geojson
        """,
    },
    "geojson_validator_suite/problematic_structure": {
        "crs": """
            invalid_crs_defined.geojson
        """,
    },
    "geojson_validator_suite/valid": {
        "accepted": """
            valid_feature_null_properties.geojson valid_featurecollection.geojson valid_featurecollection_bboxes.geojson
            valid_geometry_bbox.geojson valid_geometry_polygon.geojson
        """,
        "area": """
            valid_geometry_multipolygon.geojson
        """,
        "type": """
            valid_feature.geojson valid_feature_null_geometry.geojson valid_feature_with_bbox.geojson
            valid_feature_with_id.geojson valid_feature_with_string_id.geojson
            valid_featurecollcetion_with_geometrycollection.geojson valid_featurecollection_empty_features.geojson
            valid_featurecollection_multiple_feature_types.geojson valid_geometry.geojson
            valid_geometry_3d_coordinates.geojson valid_geometry_geometrycollection.geojson
            valid_geometry_geometrycollection_empty_geometries.geojson valid_geometry_linestring.geojson
            valid_geometry_multilinestring.geojson valid_geometry_multipoint.geojson valid_geometry_point.geojson
        """,
    },
    "made": {
        "accepted": """
            polygon_bare_geometry.geojson polygon_clockwise.geojson polygon_latlon_swapped.geojson
            utf8_bom_polygon.geojson
        """,
        "antimeridian": """
            polygon_crossing_antimeridian_negative_jump.geojson polygon_crossing_antimeridian_over180.geojson
            polygon_world.geojson
        """,
        "area": """
            polygon_tiny_1m.geojson
        """,
        "closed": """
            polygon_unclosed.geojson
        """,
        "coordinates": """
            polygon_empty_coordinates.geojson string_coordinates.geojson
        """,
        "crs": """
            crs_member_epsg25833.geojson
        """,
        "encoding": """
            utf16_polygon.geojson
        """,
        "holes": """
            polygon_hole_outside.geojson
        """,
        "json": """
            nan_coordinates.geojson truncated.geojson
        """,
        "no-z": """
            polygon_3d.geojson
        """,
        "range": """
            polygon_latlon_swapped_out_of_range.geojson
        """,
        "simple": """
            multipolygon_overlapping_parts.geojson polygon_bowtie.geojson polygon_zero_area.geojson
        """,
        "type": """
            feature_null_geometry.geojson featurecollection_empty.geojson geometrycollection.geojson
            linestring_only.geojson point_only.geojson
        """,
        "vertices": """
            polygon_20000_vertices.geojson
        """,
    },
}


def cases() -> list:
    return [
        pytest.param(f"{folder}/{name}".lstrip("/"), outcome, id=f"{folder}/{name}".lstrip("/"))
        for folder, outcomes in EXPECTED.items()
        for outcome, names in outcomes.items()
        for name in names.split()
    ]


needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the collection of sample AOI files is not here")


@needs_samples
@pytest.mark.parametrize(("file", "outcome"), cases())
def test_sample_file(file: str, outcome: str) -> None:
    if outcome == "accepted":
        found = read_aoi(SAMPLES / file)
        assert found.geometry.is_valid
        assert found.name == Path(file).stem
        return
    with pytest.raises(AoiRejected, match=re.escape(file)) as caught:
        read_aoi(SAMPLES / file)
    assert caught.value.rule == outcome


@needs_samples
def test_every_sample_file_has_an_expected_outcome() -> None:
    present = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*json")}
    assert present == {case.values[0] for case in cases()}
