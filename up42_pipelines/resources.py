"""Dagster resources: the account and the lake. Thin: all work happens in `api` and `lake`."""

import os
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from up42_pipelines.api import Credentials, Hosts, Patience, Up42Client
from up42_pipelines.lake import Lake

_HASTY = Patience(connect_s=5, read_s=10, retries=2, longest_pause_s=5)
"""For sensors: a tick has about 40 s."""


def _variable(name: str, default: str = "") -> Any:
    """The environment variable for run time, or `default` when it is not set at all.

    A secret must stay a `dg.EnvVar`, so that its value shows up in no definition; but an `EnvVar` that is not set
    fails with a message that cannot say what it is for.
    """
    return dg.EnvVar(name) if os.environ.get(name) else default


class Up42Resource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A UP42 account. Loading definitions never calls UP42; missing credentials are explained at the first call.

    Example:
        >>> import dagster as dg
        >>> up42 = Up42Resource(username=dg.EnvVar("UP42_USERNAME"), password=dg.EnvVar("UP42_PASSWORD"))
    """

    username: str = Field(default="", description="E-mail of a UP42 console user.")
    password: str = Field(default="", description="Password of that user. Give it as dg.EnvVar.")
    region: str = Field(default="eu", description="`eu` or `sa`; ignored when api_url is given.")
    api_url: str = Field(default="", description="Base URL of the API instead of a region's, e.g. of the sandbox.")
    auth_url: str = Field(default="", description="Base URL of the token endpoint; api_url when empty.")
    workspace_id: str = Field(default="", description="Workspace that orders; the user's own when empty.")

    _client: Up42Client | None = PrivateAttr(default=None)

    @classmethod
    def from_env(cls) -> "Up42Resource":
        """The account that the environment names.

        Read are UP42_USERNAME, UP42_PASSWORD, UP42_REGION, UP42_API_URL, UP42_AUTH_URL and UP42_WORKSPACE_ID.
        """
        return cls(
            username=_variable("UP42_USERNAME"),
            password=_variable("UP42_PASSWORD"),
            region=_variable("UP42_REGION", "eu"),
            api_url=_variable("UP42_API_URL"),
            auth_url=_variable("UP42_AUTH_URL"),
            workspace_id=_variable("UP42_WORKSPACE_ID"),
        )

    @property
    def client(self) -> Up42Client:
        """The client, made at the first use and kept for the run.

        Raises:
            ConfigurationError: no credentials, or contradictory hosts.
        """
        if self._client is None:
            self._client = self._new_client(Patience())
        return self._client

    def hasty_client(self) -> Up42Client:
        """A client that gives up soon, for sensors."""
        return self._new_client(_HASTY)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Close idle connections at the end of a run."""
        if self._client is not None:
            self._client.transport.close()

    def _new_client(self, patience: Patience) -> Up42Client:
        return Up42Client(
            Credentials(username=self.username, password=self.password),
            Hosts.of(self.region, api_url=self.api_url or None, auth_url=self.auth_url or None),
            workspace_id=self.workspace_id or None,
            patience=patience,
        )


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where deliveries land: any fsspec URL.

    Example:
        >>> LakeResource(url="gs://my-bucket/lake").url
        'gs://my-bucket/lake'
    """

    url: str = Field(default="lake", description="Local folder, gs://, s3:// or any other fsspec URL.")
    storage_options: dict[str, Any] = Field(default_factory=dict, description="Options of the fsspec filesystem.")

    @classmethod
    def from_env(cls) -> "LakeResource":
        """The lake that UP42_LAKE_URL names; the folder `lake` in the working directory when it is not set."""
        return cls(url=_variable("UP42_LAKE_URL", "lake"))

    @property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.url, self.storage_options)
