"""The programs and packages that we are measured beside, installed by the benchmark itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SDK_PYTHON = REPOSITORY / ".venv-sdk" / "bin" / "python"
# Debian's package for each program.
_PACKAGES = {"aria2c": "aria2", "curl": "curl", "nginx": "nginx-light", "openssl": "openssl"}
_VERSION_OPTION = {"nginx": "-v", "aria2c": "--version", "curl": "--version", "openssl": "version"}
_OURS = (
    "up42-pipelines",
    "urllib3",
    "requests",
    "google-crc32c",
    "gcsfs",
    "rasterio",
    "rio-cogeo",
    "numpy",
    "pystac",
    "pyarrow",
    "jsonschema-rs",
)


def need(*programs: str) -> None:
    """Install what is missing with apt-get, as root; anybody else is told what to install.

    Raises:
        SystemExit: a program is missing and cannot be installed.
    """
    missing = [_PACKAGES[program] for program in programs if find(program) is None]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(f"Missing: {', '.join(missing)}. Install them first, on Debian: sudo {' '.join(command)}")
    # RUNLEVEL=1: Debian would start nginx as a service.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for attempt in (command, ["apt-get", "update"], command):
        done = subprocess.run(attempt, env=quiet, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if attempt is command and done.returncode == 0:
            return
    raise SystemExit(f"{' '.join(command)} failed.")


def find(program: str) -> str | None:
    """Path of an installed program; nginx is outside an ordinary user's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def need_sdk() -> Path:
    """The interpreter of the environment that holds up42-py (requirements/sdk.txt).

    Raises:
        SystemExit: it is not there.
    """
    if not SDK_PYTHON.exists():
        raise SystemExit("up42-py is not installed. Run: make .venv-sdk/.synced")
    return SDK_PYTHON


def versions() -> dict[str, str]:
    """Of everything that takes part and is installed."""
    found = {}
    for package in _OURS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if SDK_PYTHON.exists():
        found["up42-py"] = _first_line(
            [str(SDK_PYTHON), "-c", "import importlib.metadata as m; print(m.version('up42-py'))"]
        )
    for program, option in _VERSION_OPTION.items():
        if path := find(program):
            found[program] = _number(_first_line([path, option]))
    return found


def _number(line: str) -> str:
    match = re.search(r"\d+(\.\d+)+", line)
    return match[0] if match else line


def _first_line(command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout.partition("\n")[0].strip()
