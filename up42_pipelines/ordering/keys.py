"""Names that survive a crash: the order key, and the tags that carry it and the partition inside UP42.

UP42 has no idempotency key. What it has is tags, which it stores with the order, lists by, and passes on to the
delivered assets; they hold letters, digits, space and `. - _ / :` only, at most 30 of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

_COORDINATE_DECIMALS = 7
"""About a centimetre on the ground: finer differences do not make another order."""

_PLAIN = re.compile(r"[A-Za-z0-9._-]")
_PIPELINE, _PARTITION, _KEY, _CREDITS = "pipeline:", "partition:", "key:", "credits:"


def order_key(
    *,
    workspace_id: str,
    data_product: str,
    params: Mapping[str, Any],
    geometry: BaseGeometry | None,
    pipeline: str,
    partition: str,
    generation: int = 1,
) -> str:
    """The identity of one thing to buy: 32 hexadecimal digits, equal for equal orders in every process.

    Args:
        workspace_id: where it is ordered.
        data_product: id of the data product.
        params: order parameters; an archive order names its scene here.
        geometry: ordered area, degrees (EPSG:4326); None for a full scene. Ring start, direction and digits
            beyond the seventh decimal do not matter.
        pipeline: name of the pipeline it is bought for. Two pipelines that want the same scene buy it each for
            itself: an order has one pipeline tag, by which its delivery is found.
        partition: partition it is bought for.
        generation: raised by a person who wants to buy the same thing again.
    """
    canonical = {
        "workspace": workspace_id,
        "data_product": data_product,
        "params": params,
        "geometry": None if geometry is None else _canonical(geometry),
        "pipeline": pipeline,
        "partition": partition,
        "generation": generation,
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _canonical(geometry: BaseGeometry) -> Any:
    rounded = shapely.transform(geometry, lambda coordinates: coordinates.round(_COORDINATE_DECIMALS) + 0.0)
    return mapping(shapely.normalize(rounded))["coordinates"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTags:
    """What the tags of one of our orders say.

    Attributes:
        pipeline: name of the pipeline that ordered; the sensor lists by it.
        partition: partition key, as Dagster spells it.
        key: order key.
        credits: price estimated when it was placed, in credits.
    """

    pipeline: str
    partition: str
    key: str
    credits: int

    def to_tags(self) -> tuple[str, ...]:
        """The tags to place an order with."""
        return (
            pipeline_tag(self.pipeline),
            partition_tag(self.pipeline, self.partition),
            key_tag(self.key),
            f"{_CREDITS}{self.credits}",
        )

    @classmethod
    def read(cls, tags: Iterable[str] | None) -> OrderTags | None:
        """The meaning of an order's tags, or None when it is not one of ours or its tags are damaged.

        Other tags are ignored.
        """
        found: dict[str, str] = {}
        for tag in tags or ():
            for prefix in (_PIPELINE, _PARTITION, _KEY, _CREDITS):
                if tag.startswith(prefix):
                    found[prefix] = tag.removeprefix(prefix)
        if not {_PIPELINE, _PARTITION, _KEY} <= found.keys():
            return None
        try:
            pipeline, both = decode(found[_PIPELINE]), decode(found[_PARTITION])
        except UnicodeDecodeError:
            return None
        if not both.startswith(f"{pipeline}|"):
            return None
        partition, price = both.removeprefix(f"{pipeline}|"), found.get(_CREDITS, "")
        return cls(
            pipeline=pipeline, partition=partition, key=found[_KEY], credits=int(price) if price.isdecimal() else 0
        )


def pipeline_tag(pipeline: str) -> str:
    """The tag shared by all orders of a pipeline."""
    return f"{_PIPELINE}{encode(pipeline)}"


def partition_tag(pipeline: str, partition: str) -> str:
    """The tag shared by the orders of one partition of a pipeline."""
    return f"{_PARTITION}{encode(f'{pipeline}|{partition}')}"


def key_tag(key: str) -> str:
    """The tag of one order key."""
    return f"{_KEY}{key}"


def encode(text: str) -> str:
    """Spell any text in tag characters: `|` becomes `/`, what tags may not hold becomes `:` and its UTF-8 in hex."""
    return "".join(
        char if _PLAIN.match(char) else "/" if char == "|" else "".join(f":{byte:02X}" for byte in char.encode())
        for char in text
    )


def decode(text: str) -> str:
    """The inverse of `encode`."""
    plain = text.replace("/", "|").encode()
    return re.sub(rb":([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), plain).decode()
