"""`aoi`: whether UP42 takes an area, and the area as the GeoJSON that pipelines read."""

from __future__ import annotations

import json
from pathlib import Path

import click

from up42_pipelines.cli.output import Output, example, json_option
from up42_pipelines.cli.wording import number


@click.command(epilog=example("aoi harbour.kml --to aois/harbour.geojson"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--layer", help="Which one, where the file has several.")
@click.option("--to", "target", type=click.Path(path_type=Path), metavar="FILE", help="Write the area as GeoJSON.")
@json_option
def aoi(file: Path, layer: str | None, target: Path | None, out: Output) -> None:
    """Check an area against UP42's rules, and make GeoJSON of it.

    FILE is GeoJSON, GeoPackage, shapefile (zipped or not), KML, FlatGeobuf or WKT, in any CRS that it names. What
    breaks a rule is never repaired: the message says what to change. No account is needed.
    """
    from up42_pipelines.ordering.vector_aoi import read_vector_aoi

    area = read_vector_aoi(file, layer=layer)
    feature = {
        "type": "Feature",
        "bbox": area.bbox,
        "properties": {"name": area.name},
        "geometry": area.__geo_interface__,
    }
    if target is not None:
        _write(target, json.dumps(feature) + "\n")
    out.record(
        feature,
        {
            "aoi": area.name,
            "area": f"{number(area.area_km2, 4)} km²",
            "vertices": str(area.vertices),
            "west, south": f"{area.bbox[0]:.6f}, {area.bbox[1]:.6f}",
            "east, north": f"{area.bbox[2]:.6f}, {area.bbox[3]:.6f}",
            "written to": None if target is None else str(target),
        },
    )


def _write(target: Path, text: str) -> None:
    """Write a new file; none that is there is overwritten."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x") as file:
            file.write(text)
    except OSError as error:
        raise click.UsageError(f"--to {target}: {error.strerror}.") from error
