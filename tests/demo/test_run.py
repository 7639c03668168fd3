"""What the demo says when one of its processes dies."""

from __future__ import annotations

import io
import json
import os
import signal
from types import SimpleNamespace

import pytest
from rich.console import Console

from up42_pipelines.demo.processes import Children
from up42_pipelines.demo.run import _watch
from up42_pipelines.errors import AnswerLost, Up42Error


def test_a_sandbox_that_dies_under_a_question_is_named(tmp_path, wait_for):
    with Children(tmp_path, tmp_path) as children:
        environment = dict(os.environ)
        children.start("sandbox", ["http.server", "0", "--bind", "127.0.0.1"], env=environment, cwd=tmp_path)

        def look(_):
            os.kill(json.loads((tmp_path / "children.json").read_text())["sandbox"]["pid"], signal.SIGKILL)
            wait_for(children.ended)
            raise AnswerLost("no answer")

        with pytest.raises(Up42Error, match=r"The sandbox ended unexpectedly \(exit code -9\).*Run the demo again"):
            _watch(
                SimpleNamespace(look=look),
                None,
                SimpleNamespace(partition_keys=["berlin|2026-06-01"]),
                children,
                SimpleNamespace(poll=lambda: None),
                Console(file=io.StringIO()),
                longest_s=30,
            )
