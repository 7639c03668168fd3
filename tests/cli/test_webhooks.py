"""`webhooks`: above all, where a secret goes."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

SECRET = "correct horse battery staple"
WITH_SECRET = {"UP42_WEBHOOK_SECRET": SECRET}
CREATE = "webhooks create --name hook --url https://example.com/up42 --event order.status"


@pytest.fixture
def webhook_id(cli, shop):
    made = cli(f"{CREATE} --json", env=WITH_SECRET).json["id"]
    yield made
    shop.client.webhooks.delete(made)


@pytest.fixture
def receiver():
    """Answers every call with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Silence."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_creating(cli, shop):
    made = cli(f"{CREATE} --event job.status --active", env=WITH_SECRET)
    (webhook,) = [one for one in shop.client.webhooks.list() if one.id in made.stdout]
    shop.client.webhooks.delete(webhook.id)
    assert (webhook.name, webhook.url, webhook.active) == ("hook", "https://example.com/up42", True)
    assert list(webhook.events) == ["order.status", "job.status"]
    assert webhook.secret.get_secret_value() == SECRET
    assert SECRET not in made.stdout + made.stderr


def test_without_a_secret_it_has_to_be_said(cli, shop):
    said = cli(CREATE)
    assert (said.code, said.stdout) == (2, "")
    assert "UP42_WEBHOOK_SECRET" in said.stderr
    made = cli(f"{CREATE} --no-secret --json").json
    shop.client.webhooks.delete(made["id"])
    assert made["secret"] == ""


@pytest.mark.parametrize("arguments", ["webhooks list", "webhooks show {}", "webhooks replace {} --name same"])
def test_a_secret_is_shown_only_when_asked_for(cli, webhook_id, arguments):
    command = arguments.format(webhook_id)
    for options in ("", " --json"):
        said = cli(command + options)
        assert webhook_id in said.stdout
        assert SECRET not in said.stdout + said.stderr
    assert SECRET in cli(f"{command} --show-secret --json").stdout


def test_the_list(cli, webhook_id):
    (line,) = [line for line in cli("webhooks list").lines if webhook_id in line]
    assert line.split() == [webhook_id, "no", "yes", "hook", "order.status", "https://example.com/up42"]


def test_replacing_keeps_what_is_not_given(cli, shop, webhook_id):
    cli(f"webhooks replace {webhook_id} --active")
    now = shop.client.webhooks.get(webhook_id)
    assert (now.name, now.url, now.active) == ("hook", "https://example.com/up42", True)
    assert list(now.events) == ["order.status"]
    assert now.secret.get_secret_value() == SECRET


def test_replacing_changes_what_is_given(cli, shop, webhook_id):
    new = {"UP42_WEBHOOK_SECRET": "another secret"}
    options = "--name new --url https://example.com/new --event job.status --inactive --new-secret"
    assert cli(f"webhooks replace {webhook_id} {options}", env=new).code == 0
    now = shop.client.webhooks.get(webhook_id)
    assert (now.name, now.url, list(now.events)) == ("new", "https://example.com/new", ["job.status"])
    assert now.secret.get_secret_value() == "another secret"
    cli(f"webhooks replace {webhook_id} --no-secret")
    assert shop.client.webhooks.get(webhook_id).secret.get_secret_value() == ""
    assert cli(f"webhooks replace {webhook_id} --no-secret --new-secret").code == 2


def test_deleting(cli, shop):
    made = cli(f"{CREATE} --json", env=WITH_SECRET).json["id"]
    assert cli(f"webhooks delete {made}").code == 2
    gone = cli(f"webhooks delete {made} --yes --json").json
    assert (gone["id"], gone["secret"]) == (made, "***")
    assert made not in cli("webhooks list").stdout
    assert cli(f"webhooks delete {made} --yes").code == 1


def test_a_test_that_passes(cli, shop, receiver, webhook_id):
    cli(f"webhooks replace {webhook_id} --url {receiver}")
    said = cli(f"webhooks test {webhook_id}")
    assert said.code == 0
    assert "result  passed" in said.lines
    assert cli(f"webhooks test {webhook_id} --json").json["testsSucceeded"] == 1


def test_a_test_that_fails_is_a_failure(cli, webhook_id):
    cli(f"webhooks replace {webhook_id} --url http://127.0.0.1:9/")
    said = cli(f"webhooks test {webhook_id}")
    assert said.code == 1
    assert "result  failed" in said.lines


def test_events(cli):
    said = cli("webhooks events")
    assert [line.split()[0] for line in said.lines] == ["event", "order.status", "job.status"]
