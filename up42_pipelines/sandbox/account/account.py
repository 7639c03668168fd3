"""The one account of the sandbox."""

from __future__ import annotations

from up42_pipelines.sandbox.core import chance

USERNAME = "sandbox@example.com"
PASSWORD = "sandbox"  # noqa: S105 - it protects nothing: the server listens on loopback only
CLIENT_IDS = frozenset({"up42-sdk", "up42-api"})
WORKSPACE_ID = chance.name_uuid("workspace")
ACCOUNT_ID = chance.name_uuid("account")
