"""The client: one object per account, with one attribute per part of the API."""

from __future__ import annotations

import threading

from up42_pipelines.api.account import Account
from up42_pipelines.api.auth import USERINFO_PATH, Credentials
from up42_pipelines.api.catalog import Catalog
from up42_pipelines.api.orders import Orders
from up42_pipelines.api.processing import Processing
from up42_pipelines.api.regions import Hosts
from up42_pipelines.api.storage import Storage
from up42_pipelines.api.tasking import Tasking
from up42_pipelines.api.transport import Patience, Transport
from up42_pipelines.api.webhooks import Webhooks
from up42_pipelines.errors import UnexpectedAnswer


class Up42Client:
    """UP42 for one user and one workspace. Making one does no I/O; any number can live side by side.

    Example:
        >>> client = Up42Client(Credentials(username="me@example.com", password="..."), Hosts.of("eu"))
        >>> [collection.name for collection in client.catalog.collections()]  # doctest: +SKIP

    Args:
        credentials: e-mail and password of a console user.
        hosts: a region, or explicit base URLs.
        workspace_id: whose orders are placed and listed; the user's own when not given.
        patience: time-outs and retries.
    """

    def __init__(
        self,
        credentials: Credentials,
        hosts: Hosts,
        *,
        workspace_id: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.transport = Transport(hosts, credentials, patience=patience)
        self._lock = threading.Lock()
        self._workspace_id = workspace_id or None
        self.account = Account(self.transport)
        self.catalog = Catalog(self.transport)
        self.orders = Orders(self.transport, lambda: self.workspace_id)
        self.tasking = Tasking(self.transport, lambda: self.workspace_id)
        self.storage = Storage(self.transport, lambda: self.workspace_id)
        self.processing = Processing(self.transport, lambda: self.workspace_id)
        self.webhooks = Webhooks(self.transport, lambda: self.workspace_id)

    def __repr__(self) -> str:
        return f"Up42Client({self.transport.hosts.api})"

    @property
    def workspace_id(self) -> str:
        """The workspace; a user's own workspace id is the `sub` of the OIDC user info."""
        with self._lock:
            if self._workspace_id is None:
                info = self.transport.json("GET", f"{self.transport.hosts.auth}{USERINFO_PATH}")
                if not isinstance(info, dict) or not info.get("sub"):
                    raise UnexpectedAnswer("The user info holds no `sub`; give the workspace id explicitly.")
                self._workspace_id = str(info["sub"])
            return self._workspace_id
