"""Which account a command speaks for: the environment's, with what the main group's options say instead."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from up42_pipelines.errors import ConfigurationError

if TYPE_CHECKING:
    from up42_pipelines.api import Hosts, Patience, Up42Client


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """What a client is made of; empty where nothing was said.

    Attributes:
        username: e-mail of a console user.
        password: of that user; comes from the environment only.
        region: `eu` or `sa`.
        api_url: base URL instead of a region's.
        auth_url: base URL of the token endpoint.
        workspace_id: the user's own when empty.
        lake_url: where deliveries land.
    """

    username: str = field(repr=False)
    password: str = field(repr=False)
    region: str
    api_url: str
    auth_url: str
    workspace_id: str
    lake_url: str

    @classmethod
    def of(
        cls, environ: Mapping[str, str], *, region: str | None, api_url: str | None, workspace_id: str | None
    ) -> AccountSettings:
        """The environment's account; an option for region or URL stands for all three variables of them.

        Otherwise a password could go to the token endpoint of another UP42 than the one that was asked for.

        Raises:
            ConfigurationError: a region and a base URL at once.
        """
        if region and api_url:
            raise ConfigurationError("A region and a base URL at once: give --region or --api-url.")
        chosen = bool(region or api_url)
        return cls(
            username=environ.get("UP42_USERNAME", ""),
            password=environ.get("UP42_PASSWORD", ""),
            region=region or environ.get("UP42_REGION") or "eu",
            api_url=(api_url or "") if chosen else environ.get("UP42_API_URL", ""),
            auth_url="" if chosen else environ.get("UP42_AUTH_URL", ""),
            workspace_id=workspace_id or environ.get("UP42_WORKSPACE_ID", ""),
            lake_url=environ.get("UP42_LAKE_URL") or "lake",
        )

    def hosts(self) -> Hosts:
        """The base URLs.

        Raises:
            ConfigurationError: they contradict each other, or are none.
        """
        from up42_pipelines.api import Hosts

        return Hosts.of(self.region, api_url=self.api_url or None, auth_url=self.auth_url or None)

    def connect(self, patience: Patience) -> Up42Client:
        """A client; nothing is sent before its first call.

        Raises:
            ConfigurationError: no credentials, or contradictory hosts.
        """
        from up42_pipelines.api import Credentials, Up42Client

        credentials = Credentials(username=self.username, password=self.password)
        return Up42Client(credentials, self.hosts(), workspace_id=self.workspace_id or None, patience=patience)


def with_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command a client of the account as its first argument."""

    @click.pass_context
    def connected(context: click.Context, /, **options: Any) -> Any:
        from up42_pipelines.api import Patience

        settings: AccountSettings = context.obj
        client = settings.connect(Patience(connect_s=5, retries=3, longest_pause_s=10))  # somebody waits
        context.call_on_close(client.transport.close)
        return context.invoke(command, client, **options)

    return functools.update_wrapper(connected, command)
