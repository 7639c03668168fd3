"""The sandbox as a process: it listens on loopback, says where, and stops when told to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from up42_pipelines.sandbox.app import create_app, open_world
from up42_pipelines.sandbox.webhooks.webhook_sender import WebhookSender

HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(*, port: int, state: Path, speed: float = 60.0, seed: int = 0, imagery: Path | None = None) -> None:
    """Run a sandbox until SIGTERM or SIGINT.

    The base URL is the first line on the standard output, written once the socket listens.

    Args:
        port: TCP port on 127.0.0.1; 0 takes a free one.
        state: folder for database and files, created when absent.
        speed: simulated seconds per real second, for orders placed from now on.
        seed: decides the synthetic scenes and the fate of orders.
        imagery: folder of rasters to sell beside the synthetic scenes.

    Raises:
        StateUnusable: another sandbox runs on the folder, or one of another version wrote it.
        OSError: the port is taken.
        ValueError: a setting makes no sense.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    with socket.create_server((HOST, port)) as listener:
        world = open_world(state=state, speed=speed, seed=seed, imagery=imagery)
        try:
            config = uvicorn.Config(
                create_app(world),
                http=_Protocol,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                headers=[("Server", "up42-sandbox")],  # whoever answers is not UP42
                timeout_graceful_shutdown=2,
            )
            with WebhookSender(world):
                _Server(config).run(sockets=[listener])
        finally:
            world.database.close()


class _Protocol(H11Protocol):
    """Shows the application its transport, so that a fault can close the connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Uvicorn that announces itself, and for which a signal is a normal end."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets:
            sys.stdout.write(f"http://{HOST}:{sockets[0].getsockname()[1]}\n")
            sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal without raising it again afterwards, as uvicorn would: the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
