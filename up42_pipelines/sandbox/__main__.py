"""`python -m up42_pipelines.sandbox`: the sandbox without the rest of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from up42_pipelines.sandbox.core.database import StateUnusable
from up42_pipelines.sandbox.server import serve


def main() -> int:
    """Read the arguments and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m up42_pipelines.sandbox", description="Run a local UP42.")
    parser.add_argument("--port", type=int, default=8042, help="TCP port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for database and files")
    parser.add_argument("--speed", type=float, default=60.0, help="simulated seconds per real second")
    parser.add_argument("--seed", type=int, default=0, help="decides scenes and the fate of orders")
    parser.add_argument("--imagery", type=Path, help="folder of rasters to sell beside the synthetic scenes")
    arguments = parser.parse_args()
    try:
        serve(**vars(arguments))
    except (StateUnusable, OSError, ValueError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
