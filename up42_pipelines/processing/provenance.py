"""What an item in the lake tells about the job that made it, and the links from it to what it was made of. Pure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import pystac

from up42_pipelines.api.processing import Job
from up42_pipelines.api.storage import STAC_PATH
from up42_pipelines.lake import item_folder
from up42_pipelines.processing.keys import TITLE, JobTitle

FORMAT = "up42-process"
"""Of `processing:expression` (STAC processing extension 1.2): process, job and inputs as UP42 was given them."""


def source_ids(inputs: Mapping[str, Any]) -> list[str]:
    """Ids of the items among a job's inputs, in the order of the inputs, each once."""
    paths = (urlsplit(value).path for value in _texts(inputs) if STAC_PATH in value)
    return list(dict.fromkeys(path.rstrip("/").rpartition("/")[2] for path in paths if "/items/" in path))


def told_of_job(item: pystac.Item, job: Job) -> pystac.Item:
    """A copy of a result item that tells which job made it, of what, with which parameters, for how much."""
    inputs = {name: value for name, value in job.inputs.items() if name != TITLE}
    told: dict[str, Any] = {
        "processing:facility": "UP42",
        "processing:lineage": f"Result of UP42's process {job.process_id}, job {job.id}.",
        "processing:expression": {
            "format": FORMAT,
            "expression": {"process": job.process_id, "job": job.id, "inputs": inputs},
        },
        "up42:process_id": job.process_id,
        "up42:job_id": job.id,
    }
    if job.finished is not None:
        told["processing:datetime"] = job.finished.isoformat()
    if job.credits is not None:
        told["up42:credits"] = job.credits
    if (title := JobTitle.read(job.title)) is not None:
        told["up42:job_key"] = title.key
    return _changed(item, lambda document: document["properties"].update(told))


def inputs_of(item: pystac.Item) -> Mapping[str, Any]:
    """The inputs of the job that made an item, as `told_of_job` wrote them; empty when nobody did."""
    expression = item.properties.get("processing:expression")
    if not isinstance(expression, dict) or expression.get("format") != FORMAT:
        return {}
    inputs: Mapping[str, Any] = expression["expression"]["inputs"]
    return inputs


def linked_to_sources(item: pystac.Item, sources: Sequence[pystac.Item]) -> pystac.Item:
    """A copy of a result item with links to the lake's items that it was made of, relative to its own place there."""
    links = [
        {
            "rel": "derived_from",
            "href": _from_another_item(source),
            "type": "application/geo+json",
            "title": f"{source.id} in this lake",
        }
        for source in sources
    ]
    return _changed(item, lambda document: document["links"].extend(links))


def _from_another_item(item: pystac.Item) -> str:
    """The relative href of an item of the lake, seen from an item of any collection."""
    _, collection, folder = item_folder(str(item.collection_id), item.id)
    return f"../../{collection}/{folder}/{folder}.json"


def _changed(item: pystac.Item, change: Callable[[dict[str, Any]], None]) -> pystac.Item:
    # Never `item.clone()` or plain `to_dict()`: both fetch the item's root from UP42 to make its links relative.
    document = copy.deepcopy(item.to_dict(transform_hrefs=False))
    change(document)
    return pystac.Item.from_dict(document)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
