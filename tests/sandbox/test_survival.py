import contextlib
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
import requests

from tests.launch import launch
from up42_pipelines import __version__
from up42_pipelines.sandbox.core.database import Database


def test_nothing_that_was_answered_is_lost_when_it_is_killed(start_sandbox, take_scene, await_true):
    first = start_sandbox(speed=0.001)
    scene, answered, stop = take_scene(), [], threading.Event()

    def buy():
        with requests.Session() as http:
            http.headers.update(first.http.headers)
            while not stop.is_set():
                try:
                    answer = http.post(
                        f"{first.url}/v2/orders?workspaceId={first.workspace_id}",
                        json=first.order_body(scene.id),
                        timeout=5,
                    )
                except requests.RequestException:
                    return
                answered.append(answer.json()["results"][0]["id"])

    buyers = [threading.Thread(target=buy) for _ in range(4)]
    for buyer in buyers:
        buyer.start()
    await_true(lambda: len(answered) > 40)
    first.kill()
    stop.set()
    for buyer in buyers:
        buyer.join()
    second = start_sandbox(first.state)
    ledger = second.get("/sandbox/ledger").json()["orders"]
    ids = [order["id"] for order in ledger]
    assert set(answered) <= set(ids)
    assert len(ids) - len(answered) <= len(buyers)
    # Whatever is there is there wholly: it can be read.
    for order_id in ids[-len(buyers) :]:
        assert second.get(f"/v2/orders/{order_id}").json()["status"] == "CREATED"


def test_a_commit_that_fails_is_undone_and_blocks_nothing(tmp_path):
    database = Database(tmp_path)

    def fail():
        with database.transaction():
            database.write("PRAGMA defer_foreign_keys=ON")
            database.write("INSERT INTO order_events VALUES ('of no order', 0, 0, 'CREATED', NULL)")

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    with database.transaction():
        database.write("INSERT INTO settings VALUES ('next', 'done')")
    assert database.rows("SELECT * FROM order_events") == []
    database.close()


def test_files_are_the_same_after_a_restart_even_when_they_were_lost(start_sandbox, take_scene):
    first = start_sandbox()
    order_id = first.place(take_scene().id)
    first.wait_for_end(order_id)
    (item,) = first.wait_for_items(order_id)
    archive = f"/v2/assets/{item['properties']['up42-system:asset_id']}"
    before = first.data_of(item), first.get(archive).content
    first.kill()
    for file in (first.state / "files").iterdir():
        file.unlink()
    # Another seed changes what is for sale, not what was sold.
    second = start_sandbox(first.state, seed=7)
    (again,) = second.items_of(order_id)
    assert (second.data_of(again), second.get(archive).content) == before
    assert again["id"] == item["id"]


def test_a_second_sandbox_on_the_same_state_is_refused(sandbox):
    command = [sys.executable, "-m", "up42_pipelines.sandbox", "--port", "0", "--state", str(sandbox.state)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2
    assert "Another sandbox is running" in result.stderr
    assert result.stdout == ""


def test_the_state_of_another_version_is_refused_and_left_alone(start_sandbox):
    old = start_sandbox()
    old.stop()
    with contextlib.closing(sqlite3.connect(old.state / "sandbox.sqlite")) as database:
        database.execute("PRAGMA user_version = 1")
    command = [sys.executable, "-m", "up42_pipelines.sandbox", "--port", "0", "--state", str(old.state)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 2
    assert "another version of the sandbox (1," in result.stderr
    with contextlib.closing(sqlite3.connect(old.state / "sandbox.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM settings").fetchone() == (1,)


def test_it_stops_at_once_when_told_although_connections_are_open(start_sandbox):
    one = start_sandbox(run=launch)
    health = one.get("/sandbox/health").json()
    assert (health["status"], health["version"]) == ("ok", __version__)
    before = time.monotonic()
    assert one.stop() == 0
    assert time.monotonic() - before < 2


def test_two_sandboxes_with_one_seed_sell_the_same_and_another_seed_something_else(start_sandbox, sandbox):
    body = {"bbox": [13.3, 52.4, 13.4, 52.5], "datetime": "2026-03-01T00:00:00Z/2026-03-31T00:00:00Z"}
    path = "/catalog/hosts/sandbox-host/stac/search"
    mine = sandbox.post(path, body).json()["features"]
    assert start_sandbox(seed=0).post(path, body).json()["features"] == mine
    assert start_sandbox(seed=1).post(path, body).json()["features"] != mine
