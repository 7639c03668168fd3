"""The folder a demo lives in, and the environment its processes share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from up42_pipelines.errors import ConfigurationError

SANDBOX_USER = "sandbox@example.com"
SANDBOX_PASSWORD = "sandbox"  # noqa: S105 - the sandbox's only, public password

_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:
  max_concurrent_runs: 3
  dequeue_interval_seconds: 1
run_monitoring:
  enabled: true
sensors:
  use_threads: true
  num_workers: 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where things are.

    Attributes:
        folder: everything below is in it.
        project: the checkout, with `workspace.yaml` and `assets_defs`.
        settings: environment variables of the pipeline besides the account and the lake.
    """

    folder: Path
    project: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def lake(self) -> Path:
        """Where deliveries land."""
        return self.folder / "lake"

    @property
    def sandbox(self) -> Path:
        """State of the sandbox."""
        return self.folder / "sandbox"

    @property
    def dagster_home(self) -> Path:
        """The isolated Dagster instance."""
        return self.folder / "dagster"

    @property
    def logs(self) -> Path:
        """What the processes print."""
        return self.folder / "logs"

    @property
    def workspace_yaml(self) -> Path:
        """The code location."""
        return self.project / "workspace.yaml"

    def prepare(self, *, fresh_instance: bool) -> None:
        """Make the folders and `dagster.yaml`.

        Args:
            fresh_instance: forget Dagster's history. Orders, lake and sandbox stay: nothing is bought twice.

        Raises:
            ConfigurationError: this is not a checkout of the project.
        """
        if not self.workspace_yaml.is_file():
            raise ConfigurationError(
                f"{self.workspace_yaml} does not exist: run this in a checkout of the project, where assets_defs is."
            )
        if fresh_instance:
            shutil.rmtree(self.dagster_home, ignore_errors=True)
        for folder in (self.lake, self.sandbox, self.dagster_home, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        (self.dagster_home / "dagster.yaml").write_text(_DAGSTER_YAML)

    def environment(self, sandbox_url: str) -> dict[str, str]:
        """The environment of the Dagster processes: this one's, with the account of the sandbox and nothing else's."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("UP42_", "DAGSTER_"))}
        return ours | {
            "DAGSTER_HOME": str(self.dagster_home.resolve()),
            # rioxarray opens files itself; listing their folder costs time and, over HTTP, holds the GIL
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "UP42_API_URL": sandbox_url,
            "UP42_AUTH_URL": sandbox_url,
            "UP42_USERNAME": SANDBOX_USER,
            "UP42_PASSWORD": SANDBOX_PASSWORD,
            "UP42_LAKE_URL": str(self.lake.resolve()),
            # The sandbox lists an order at once, so that after a crash nothing has to wait for long.
            "UP42_LEASE_S": "6",
            "UP42_SETTLING_S": "2",
            **self.settings,
        }
