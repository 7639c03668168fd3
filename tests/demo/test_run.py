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


@pytest.mark.parametrize(("name", "said"), [("sandbox", AnswerLost("no answer")), ("daemon", None)])
def test_a_child_that_dies_is_named(tmp_path, wait_for, name, said):
    """The sandbox is missed when it is asked; the daemon at the next look."""
    with Children(tmp_path, tmp_path) as children:
        environment = dict(os.environ)
        children.start(name, ["http.server", "0", "--bind", "127.0.0.1"], env=environment, cwd=tmp_path)

        def look(_):
            os.kill(json.loads((tmp_path / "children.json").read_text())[name]["pid"], signal.SIGKILL)
            wait_for(children.ended)
            if said is not None:
                raise said
            return []

        with pytest.raises(Up42Error, match=rf"The {name} ended unexpectedly \(exit code -9\).*Run the demo again"):
            _watch(
                SimpleNamespace(look=look),
                None,
                SimpleNamespace(partition_keys=["berlin|2026-06-01"]),
                children,
                SimpleNamespace(poll=lambda: None),
                Console(file=io.StringIO()),
                longest_s=30,
            )
