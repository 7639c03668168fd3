"""What faults change in an answer, as pure functions of its parts."""

from __future__ import annotations

from typing import Any

EXTRA_FIELDS: dict[str, Any] = {
    "unknownText": "added by a fault",
    "unknownNumber": 12.5,
    "unknownFlag": True,
    "unknownNothing": None,
    "unknownList": [1, "two", {"three": 3}],
    "unknownObject": {"nested": {"deeper": []}},
}
STATUS_KEYS = frozenset({"status", "subStatus", "decision", "geospatialMetadataExtractionStatus"})
UNKNOWN_STATUS = "NEVER_HEARD_OF"


def with_extra_fields(value: Any) -> Any:
    """Add fields of several types to every record of a JSON document.

    An object of nothing but objects, such as the assets of a STAC item, is no record but a table by name: a field there
    would be another entry. Only at the top it gains fields too.
    """
    if isinstance(value, dict):
        return {**_inside(value), **EXTRA_FIELDS}
    return _inside(value)


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _inside(entry) if _is_table(entry) else with_extra_fields(entry)  # a table's entries are records
            for key, entry in value.items()
        }
    return [with_extra_fields(entry) for entry in value] if isinstance(value, list) else value


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(entry, dict) for entry in value.values())


def with_unknown_statuses(value: Any) -> Any:
    """Replace every status of a JSON document by one that nobody knows, in the case that it was written in."""
    if isinstance(value, list):
        return [with_unknown_statuses(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: (UNKNOWN_STATUS.lower() if entry.islower() else UNKNOWN_STATUS)
        if key in STATUS_KEYS and isinstance(entry, str)
        else with_unknown_statuses(entry)
        for key, entry in value.items()
    }


def shown_etag(etag: str, changes: int) -> str:
    """Return the ETag of an object after so many changes that did not happen."""
    return f'{etag[:-1]}-{changes}"'


def meant_etags(condition: str, changes: int) -> str:
    """Translate an If-Match or If-Range header for the object as it really is: only its last ETag matches."""
    mark = f'-{changes}"'
    tags = [tag.strip() for tag in condition.split(",")]
    return ", ".join(
        tag if tag == "*" else f'{tag.removesuffix(mark)}"' if tag.endswith(mark) else '"outdated"' for tag in tags
    )
