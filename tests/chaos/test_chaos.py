"""The short form of the chaos suite: paths killed at some of their points, some of what a seed draws, races."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTHING = {"bought twice": 0, "lost": 0, "credits over ceilings": 0, "left unfinished": 0}


def chaos(*options):
    """Run it; what it printed, and its figures by name."""
    command = [sys.executable, "-m", "tests.chaos.run", "--seed", "4", "--workers", "3", *options]
    run = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=110)
    printed = run.stdout + run.stderr
    assert run.returncode == 0, printed
    figures = {name: int(number) for name, number in re.findall(r"^([a-z ]+?) +(\d+)$", run.stdout, re.MULTILINE)}
    return figures, printed


@pytest.mark.slow
def test_killed_anywhere_and_raced_for_nothing_is_bought_twice_or_lost_or_above_a_ceiling():
    """In a race eight processes want the same thing. Of the paths, those in doubt show most of what can be broken."""
    paths = "plain", "lost", "takeover", "reclaim"
    figures, printed = chaos("--what", "orders", "--paths", *paths, "--every", "7", "--schedules", "3", "--races", "5")
    assert NOTHING.items() <= figures.items(), printed
    assert figures["kills"] >= figures["points of paths"] > 50, printed
    assert figures["races"] == 5, printed
    assert figures["bought"] >= figures["points of paths"] + figures["races"], printed


@pytest.mark.slow
def test_jobs_killed_at_every_point_of_their_execution_drawn_and_raced_for():
    """Up to the execution a job goes the same way as an order; `make chaos` goes all of it."""
    figures, printed = chaos("--what", "jobs", "--paths", "plain", "--near", "--schedules", "3", "--races", "1")
    assert NOTHING.items() <= figures.items(), printed
    assert figures["kills"] >= figures["points of paths"] > 24, printed
    assert figures["bought"] > figures["points of paths"], printed
