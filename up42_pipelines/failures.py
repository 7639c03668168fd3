"""How our errors reach a person through Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from up42_pipelines.errors import Up42Error


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn our errors into one Dagster failure that says what to do; anything else is a bug and passes."""
    try:
        yield
    except Up42Error as error:
        raise dg.Failure(f"{what}: {error}", metadata={"error": dg.MetadataValue.text(type(error).__name__)}) from error
