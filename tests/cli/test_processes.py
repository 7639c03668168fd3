"""Commands as processes of their own: pipes, terminals, signals."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from importlib.metadata import entry_points

import pytest

from up42_pipelines.cli import main

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def many(shop):
    """More orders than fit on a page."""
    return shop.order("one of many", times=120, tags=("many",))


@pytest.fixture
def second_page_never_comes(shop):
    never = {"kind": "delay", "seconds": 600, "path": "/v2/orders", "method": "GET", "skip": 1}
    shop.control("faults", {"faults": [never]})
    yield
    shop.control("faults", method="DELETE")


class Terminal:
    """A command on a terminal of 100 columns."""

    def __init__(self, start_cli, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        settings = {"COLUMNS": "100", "TERM": "xterm", "NO_COLOR": ""}
        self.process = start_cli(*arguments, env=settings, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = ""

    def read_until(self, words: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while words not in self.shown:
            ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{words!r} never came: {self.shown!r}"
            self.shown += os.read(self._ours, 65536).decode()
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        code = None
        while True:
            try:
                more = os.read(self._ours, 65536)
            except OSError:  # Linux says so when nobody holds the other end
                more = b""
            if not more:
                break
            self.shown += more.decode()
        code = self.process.wait(20)
        os.close(self._ours)
        return code

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.shown).replace("\r\n", "\n")


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=20)
    return process.returncode, stdout, stderr


def test_an_error_leaves_stdout_alone(start_cli):
    code, stdout, stderr = ended(start_cli("orders", "show", "00000000-0000-4000-8000-000000000000"))
    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: GET ")
    assert "\x1b" not in stderr


def test_the_installed_command_is_the_same():
    (command,) = entry_points(group="console_scripts", name="up42-pipelines")
    assert command.load() is main


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_has_enough_ends_it_quietly(start_cli, many, second_page_never_comes, options):
    listing = start_cli("orders", "list", "--tag", "many", *options.split())
    head = subprocess.Popen(["head", "-1"], stdin=listing.stdout, stdout=subprocess.PIPE, text=True)
    first, _ = head.communicate(timeout=20)
    listing.stdout.close()
    assert first
    # Nobody reads any more; the next write finds out.
    with listing.stderr as stderr:
        assert stderr.read() == ""
    assert listing.wait(20) == 1


def test_rows_are_there_before_the_next_page_and_ctrl_c_ends_it(start_cli, many, second_page_never_comes):
    listing = start_cli("orders", "list", "--tag", "many")
    first = [listing.stdout.readline() for _ in range(101)]
    assert len([line for line in first if UUID.match(line)]) == 100
    listing.send_signal(signal.SIGINT)
    code, stdout, stderr = ended(listing)
    assert (code, stdout) == (130, "")
    assert "Traceback" not in stderr


def test_json_that_is_interrupted_is_still_json(start_cli, shop, many, second_page_never_comes, wait_for, tmp_path):
    file = tmp_path / "orders.json"
    with file.open("w") as out:
        listing = start_cli("orders", "list", "--tag", "many", "--json", stdout=out)
        wait_for(lambda: shop.control("faults", method="GET")["log"])  # it waits for the second page
        listing.send_signal(signal.SIGINT)
        assert ended(listing)[0] == 130
    assert len(json.loads(file.read_text())) == 100


def test_tables_fit_a_terminal_of_100_columns_with_whole_ids(start_cli, many, fulfilled):
    for arguments in (["orders", "list", "--limit", "5"], ["orders", "show", fulfilled]):
        terminal = Terminal(start_cli, *arguments)
        assert terminal.end() == 0, terminal.text
        lines = terminal.text.splitlines()
        assert max(map(len, lines)) <= 100
        assert any(UUID.search(line) for line in lines)


def test_a_question_on_a_terminal(start_cli, shop):
    order_id = shop.tasking_order("asked about")
    for answer, code, status in (("n\n", 1, "CREATED"), ("y\n", 0, "CANCELED")):
        terminal = Terminal(start_cli, "orders", "cancel", order_id)
        terminal.read_until("[y/N]")
        assert "asked about" in terminal.text
        terminal.type(answer)
        assert terminal.end() == code, terminal.text
        assert shop.client.orders.get(order_id).status == status


def test_a_secret_that_is_typed_is_not_shown(start_cli, shop):
    create = ["webhooks", "create", "--name", "typed", "--url", "https://example.com/", "--event", "order.status"]
    terminal = Terminal(start_cli, *create)
    for prompt in ("messages): ", "confirmation: "):
        terminal.read_until(prompt)
        terminal.type("s3cret\n")
    assert terminal.end() == 0, terminal.text
    assert "s3cret" not in terminal.text
    (webhook,) = [one for one in shop.client.webhooks.list() if one.name == "typed"]
    shop.client.webhooks.delete(webhook.id)
    assert webhook.secret.get_secret_value() == "s3cret"


def test_a_download_shows_its_progress_on_a_terminal(start_cli, shop, fulfilled, tmp_path):
    (archive,) = shop.client.storage.assets.of_order(fulfilled)
    terminal = Terminal(start_cli, "assets", "download", archive.id, "--to", str(tmp_path))
    assert terminal.end() == 0, terminal.text
    assert archive.id in terminal.text
    assert "MB" in terminal.text
    assert (tmp_path / archive.name).stat().st_size == archive.size


def test_ctrl_c_while_downloading_leaves_nothing(start_cli, shop, fulfilled, tmp_path, wait_for):
    (archive,) = shop.client.storage.assets.of_order(fulfilled)
    shop.control("faults", {"faults": [{"kind": "slow", "bytes_per_second": 1000, "path": "/storage/*"}]})
    try:
        download = start_cli("assets", "download", archive.id, "--to", str(tmp_path))
        wait_for(lambda: list(tmp_path.iterdir()))
        download.send_signal(signal.SIGINT)
        code, stdout, _ = ended(download)
    finally:
        shop.control("faults", method="DELETE")
    assert (code, stdout) == (130, "")
    assert list(tmp_path.iterdir()) == []
