"""What all suites share: sandboxes as real processes, and a way to wait that is not a sleep."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from hypothesis import settings

from tests.launch import Forked, launch
from up42_pipelines.api import Credentials, Hosts, Patience, Up42Client
from up42_pipelines.lake import RasterWorker, VectorWorker

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_WITHOUT_BOTO3 = str(Path(__file__).with_name("without_boto3"))
_KIND_SEED = 1200


def pytest_configure() -> None:
    """Hide boto3 from this process and its children. A property takes as long as it takes on a busy machine."""
    settings.register_profile("suite", deadline=None)
    settings.load_profile("suite")
    if _WITHOUT_BOTO3 not in sys.path:
        sys.path.insert(0, _WITHOUT_BOTO3)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_WITHOUT_BOTO3, os.environ.get("PYTHONPATH")]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items) -> None:
    """The slow ones first, or one core waits for them at the end; otherwise in the (random) order that they had."""
    items.sort(key=lambda item: not ({"slow", "browser"} & {mark.name for mark in item.iter_markers()}))


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: each full collection would look at all of them again."""
    gc.collect()
    gc.freeze()


class SandboxProcess:
    """A sandbox started with the product's own command; `state` outlives it."""

    seed = 0

    def __init__(self, state: Path, *options: str, forked: bool = False) -> None:
        self.state = state
        self._options = options
        self._launch = Forked if forked else launch
        self.start()

    def start(self, port: int = 0) -> None:
        arguments = ["sandbox", "--port", str(port), "--state", str(self.state), *self._options]
        log = self.state.with_suffix(".log")
        self.process = self._launch("up42_pipelines.cli", arguments, log)
        self.url = self.process.stdout.readline().strip()
        assert self.url, log.read_text()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def client(self, **options) -> Up42Client:
        options.setdefault("patience", Patience(connect_s=5, read_s=20, retries=2, backoff_s=0.05))
        return Up42Client(
            Credentials(username="sandbox@example.com", password="sandbox"), Hosts.of(api_url=self.url), **options
        )

    def ledger(self) -> list[dict]:
        """Every order that exists, whoever placed it."""
        answer = requests.get(f"{self.url}/sandbox/ledger", timeout=10)
        answer.raise_for_status()
        body = answer.json()
        return body["orders"] if isinstance(body, dict) else body

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(20)
        self.process.stdout.close()
        return code


@contextmanager
def _sandboxes(tmp_path_factory) -> Iterator[Callable[..., SandboxProcess]]:
    started = []

    def start(*options: str) -> SandboxProcess:
        started.append(SandboxProcess(tmp_path_factory.mktemp("sandbox") / "state", *options, forked=True))
        return started[-1]

    yield start
    running = [sandbox for sandbox in started if sandbox.process.poll() is None]
    for sandbox in running:
        sandbox.process.terminate()  # all at once, then wait for each
    for sandbox in running:
        sandbox.stop()


@pytest.fixture(scope="module")
def start_sandbox(tmp_path_factory) -> Iterator[Callable[..., SandboxProcess]]:
    with _sandboxes(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def start_lasting_sandbox(tmp_path_factory) -> Iterator[Callable[..., SandboxProcess]]:
    """For all modules of a session."""
    with _sandboxes(tmp_path_factory) as start:
        yield start


@pytest.fixture
def start_sandbox_on() -> type[SandboxProcess]:
    """Starts a sandbox on a state that exists; the test stops it."""
    return SandboxProcess


@pytest.fixture(scope="session")
def sandbox(start_lasting_sandbox) -> SandboxProcess:
    """Orders are fulfilled within a fraction of a second.

    How an order fares depends on how often its scene was ordered before, and so on which tests came before. With this
    seed none of the first hundred orders of the scene that most tests buy (Berlin, 2026-06-01) is given up.
    """
    started = start_lasting_sandbox("--speed", "5000", "--seed", str(_KIND_SEED))
    started.seed = _KIND_SEED
    return started


@pytest.fixture(scope="session")
def slow_sandbox(start_lasting_sandbox) -> SandboxProcess:
    """Orders take their minutes: nothing is delivered while a test runs."""
    return start_lasting_sandbox("--speed", "0.01")


class ObjectStore(NamedTuple):
    """An empty bucket, and what reaches it."""

    url: str
    storage_options: dict[str, Any]


@contextmanager
def _emulated(kind: str) -> Iterator[ObjectStore]:
    script = Path(__file__).parent / "emulators" / {"s3": "s3.py", "gs": "gcs.py"}[kind]
    with (
        pytest.MonkeyPatch.context() as environment,
        subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": ""},  # moto needs boto3
        ) as server,
    ):
        try:
            endpoint = server.stdout.readline().strip()
            assert endpoint, f"{script} did not start"
            for name, value in {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true",
                # gcsfs would ask a gRPC service about each bucket first, and an emulator has none
                "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
                "STORAGE_EMULATOR_HOST": endpoint,
            }.items():
                environment.setenv(name, value)
            if kind == "s3":
                requests.put(f"{endpoint}/bucket", timeout=10).raise_for_status()
            else:
                requests.post(f"{endpoint}/storage/v1/b", json={"name": "bucket"}, timeout=10).raise_for_status()
            options = {"endpoint_url": endpoint} | ({"token": "anon"} if kind == "gs" else {})
            yield ObjectStore(f"{kind}://bucket", options)
        finally:
            server.kill()


@pytest.fixture(scope="module", params=["s3", "gs"])
def object_store(request) -> Iterator[ObjectStore]:
    """S3 and Google Cloud Storage as emulators on loopback; both refuse to create what exists, as the real ones do."""
    with _emulated(request.param) as store:
        yield store


@pytest.fixture(scope="session")
def emulated() -> Callable[[str], AbstractContextManager[ObjectStore]]:
    """`with emulated("s3") as store`: what `object_store` is, of one kind."""
    return _emulated


@pytest.fixture(scope="session")
def lasting_helpers() -> Iterator[None]:
    """Runs in this process share one helper of each kind: to start one takes longer than most of what it then does."""
    from up42_pipelines.assets import landing

    with RasterWorker() as rasters, VectorWorker() as vectors, pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing, "RasterWorker", lambda: nullcontext(rasters))
        patch.setattr(landing, "VectorWorker", lambda: nullcontext(vectors))
        yield


@pytest.fixture(scope="session")
def wait_for() -> Callable:
    """`wait_for(condition, seconds)`: asks until the answer is true, and returns it."""

    def wait(condition, seconds: float = 30):
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"nothing happened within {seconds} s"
            time.sleep(0.05)
        return answer

    return wait


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared test data is not beside this checkout")
    return SHARED_DATA
