"""The whole API as one Starlette application. A part of the API is one module with its ROUTES."""

from __future__ import annotations

import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from up42_pipelines.sandbox.account import access, auth, budgets, eulas
from up42_pipelines.sandbox.catalog import glossary, search, stac_catalog
from up42_pipelines.sandbox.control import api_page, controls, fates, inspection, ledger
from up42_pipelines.sandbox.control.fault_middleware import FaultMiddleware
from up42_pipelines.sandbox.core import problems
from up42_pipelines.sandbox.core.database import Database
from up42_pipelines.sandbox.core.problems import Refused
from up42_pipelines.sandbox.imagery.imagery_folder import read_folder
from up42_pipelines.sandbox.imagery.synthetic import SyntheticScenes
from up42_pipelines.sandbox.ordering import coverage, orders, tasking
from up42_pipelines.sandbox.processing import jobs
from up42_pipelines.sandbox.storage import assets, bucket, stac
from up42_pipelines.sandbox.webhooks import webhook_calls
from up42_pipelines.sandbox.world import Source, World

logger = logging.getLogger(__name__)
_PARTS = (
    *(auth, budgets, eulas, access),
    *(glossary, search, stac_catalog),
    *(orders, tasking, coverage),
    *(stac, assets, bucket),
    *(jobs, webhook_calls),
    *(controls, fates, ledger, inspection, api_page),
)


def open_world(*, state: Path, speed: float = 60.0, seed: int = 0, imagery: Path | None = None) -> World:
    """Open a state folder, created when absent, and gather the scenes.

    Args:
        state: folder for database and files.
        speed: simulated seconds per real second; applies to orders placed from now on.
        seed: decides the synthetic scenes and the fate of orders.
        imagery: folder of rasters to sell beside the synthetic scenes.

    Raises:
        StateUnusable: another sandbox runs on the folder, or one of another version wrote it.
        ValueError: the speed is not positive, or the imagery is not a folder.
    """
    if not speed > 0:
        raise ValueError(f"speed must be greater than 0, got {speed}")
    if imagery is not None and not imagery.is_dir():
        raise ValueError(f"imagery: {imagery} is not a folder")
    database = Database(state)
    sources: list[Source] = [SyntheticScenes(seed)]
    if imagery is not None:
        sources.append(read_folder(imagery, keep=state / "sources"))
    now = controls.open_clock(database)
    return World(database=database, state=state, sources=tuple(sources), seed=seed, speed=speed, now=now)


def create_app(world: World) -> Starlette:
    """Serve a world."""
    app = Starlette(
        routes=[route for part in _PARTS for route in part.ROUTES],
        middleware=[Middleware(FaultMiddleware, world=world)],
        exception_handlers={Refused: _refused, HTTPException: _http_error, Exception: _malfunction},
    )
    app.router.redirect_slashes = False
    app.state.world = world
    return app


def _refused(request: Request, refused: Exception) -> Response:
    if not isinstance(refused, Refused):
        raise refused
    return problems.answer(refused, request.url.path)


def _http_error(request: Request, error: Exception) -> Response:
    """Answer what no route takes: unknown paths, wrong methods."""
    if not isinstance(error, HTTPException):
        raise error
    detail = f"{request.method} {request.url.path}"
    return problems.answer(Refused(error.status_code, error.detail, detail, headers=error.headers), request.url.path)


def _malfunction(request: Request, error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problems.answer(Refused(500, "Internal Server Error", type(error).__name__), request.url.path)
