"""What `doctor` looks at, one by one."""

import os
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from up42_pipelines.api import Hosts, Patience
from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.cli.checks import (
    DRIVERS,
    Check,
    Finding,
    Outcome,
    check_base_url,
    check_clock,
    check_credentials,
    check_credits,
    check_gdal,
    check_lake,
    check_workspace,
    judge_clock,
    judge_drivers,
    run_checks,
)
from up42_pipelines.cli.dagster_checks import check_daemon, check_home, check_instance, judge_daemons
from up42_pipelines.errors import ConfigurationError, LakeError, NotAuthorized, Unreachable, WrongCredentials

HASTY = Patience(connect_s=2, read_s=5, retries=0)


@pytest.fixture
def settings(shop):
    def make(**changes):
        environ = {**shop.environment, **changes}
        return AccountSettings.of(environ, region=None, api_url=None, workspace_id=None)

    return make


def ok():
    return Finding(outcome=Outcome.OK, detail="fine")


def warning():
    return Finding(outcome=Outcome.WARNING, detail="well")


def failing():
    raise ConfigurationError("It is broken. Mend it, then run again.")


def test_an_error_of_ours_is_a_failure_with_its_remedy():
    ((name, finding),) = run_checks([Check("thing", failing)])
    assert name == "thing"
    assert finding == Finding(outcome=Outcome.FAILURE, detail="It is broken", remedy="Mend it, then run again.")


def test_what_needs_something_broken_is_skipped_and_what_needs_that_too():
    checks = [
        Check("a", failing),
        Check("b", ok, needs=("a",)),
        Check("c", ok, needs=("b",)),
        Check("d", warning),
        Check("e", ok, needs=("d",)),
    ]
    found = dict(run_checks(checks))
    assert [finding.outcome for finding in found.values()] == ["failure", "skipped", "skipped", "warning", "ok"]
    assert found["c"].detail == "needs b"


def test_a_sandbox_is_named_as_such(settings, shop):
    finding = check_base_url(settings())
    assert finding.outcome is Outcome.OK
    assert finding.detail.startswith("sandbox ")
    assert shop.url in finding.detail
    assert "not UP42" in finding.detail


def test_a_base_url_that_is_no_sandbox_says_that_credits_are_spent(settings):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers everything with 501
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        finding = check_base_url(settings(UP42_API_URL=f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
        thread.join()
    assert finding.outcome is Outcome.OK
    assert "orders spend credits" in finding.detail


def test_nobody_there(settings):
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        check_base_url(settings(UP42_API_URL="http://127.0.0.1:9"))


def test_the_clock_of_the_server(shop):
    assert check_clock(Hosts.of(api_url=shop.url)).outcome is Outcome.OK


def test_a_clock_that_is_wrong(shop):
    far = iter((4_000_000_000.0, 4_000_000_001.0))
    finding = check_clock(Hosts.of(api_url=shop.url), now=lambda: next(far))
    assert finding.outcome is Outcome.WARNING
    assert "ahead of the server's" in finding.detail
    assert "NTP" in finding.remedy


@pytest.mark.parametrize(
    ("date", "outcome", "detail"),
    [
        (formatdate(1000, usegmt=True), "ok", "0 s from the server's"),
        (formatdate(970, usegmt=True), "ok", "30 s from the server's"),
        (formatdate(969, usegmt=True), "warning", "31 s ahead of the server's"),
        (formatdate(1100, usegmt=True), "warning", "100 s behind the server's"),
        (None, "warning", "the server does not tell its time"),
        ("yesterday", "warning", "the server does not tell its time"),
    ],
)
def test_judging_a_clock(date, outcome, detail):
    finding = judge_clock(date, ours=1000.0)
    assert (finding.outcome, finding.detail) == (outcome, detail)


def test_credentials(settings):
    assert check_credentials(settings(), HASTY).outcome is Outcome.OK
    with pytest.raises(WrongCredentials):
        check_credentials(settings(UP42_PASSWORD="wrong"), HASTY)
    with pytest.raises(ConfigurationError, match="No UP42 username"):
        check_credentials(settings(UP42_USERNAME=""), HASTY)


def test_credentials_are_checked_although_the_workspace_is_known(settings):
    with pytest.raises(WrongCredentials):
        check_credentials(settings(UP42_PASSWORD="wrong", UP42_WORKSPACE_ID="w"), HASTY)


def test_the_workspace(settings, shop):
    finding = check_workspace(settings(), shop.client)
    assert finding.detail == f"{shop.client.workspace_id}, the user's own; its orders are readable"


def test_a_workspace_whose_orders_cannot_be_read(settings, shop):
    shop.control("faults", {"faults": [{"kind": "status", "status": 403, "path": "/v2/orders"}]})
    try:
        with pytest.raises(NotAuthorized):
            check_workspace(settings(), shop.client)
    finally:
        shop.control("faults", method="DELETE")


@pytest.mark.parametrize(("amount", "outcome"), [(1, "ok"), (0, "warning"), (-5, "warning")])
def test_credits(amount, outcome):
    client = SimpleNamespace(account=SimpleNamespace(balance=lambda: SimpleNamespace(credits=amount)))
    assert check_credits(client).outcome == outcome


def test_credits_that_are_not_told(shop):
    shop.control("faults", {"faults": [{"kind": "status", "status": 404, "path": "/v2/payments/balances"}]})
    try:
        assert check_credits(shop.client).outcome == Outcome.WARNING
    finally:
        shop.control("faults", method="DELETE")


def test_a_lake_is_left_as_it_was(tmp_path):
    (tmp_path / "lake").mkdir()
    assert check_lake(str(tmp_path / "lake")).outcome is Outcome.OK
    assert list((tmp_path / "lake").iterdir()) == []


def test_a_lake_that_was_not_there_is_not_there_afterwards(tmp_path):
    assert check_lake(str(tmp_path / "new" / "lake")).outcome is Outcome.OK
    assert not (tmp_path / "new" / "lake").exists()


def test_a_lake_on_another_file_system():
    assert check_lake("memory://doctor").outcome is Outcome.OK


def test_a_lake_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="cannot write"):
        check_lake(str(tmp_path / "file" / "lake"))


def test_a_lake_that_gives_back_something_else(tmp_path, monkeypatch):
    monkeypatch.setattr("up42_pipelines.lake.Lake.read_bytes", lambda *_: b"else")
    with pytest.raises(LakeError, match="not what is read"):
        check_lake(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_our_gdal_has_what_is_needed():
    finding = check_gdal()
    assert finding.outcome is Outcome.OK
    assert "JP2OpenJPEG" in finding.detail


def test_a_gdal_without_jpeg_2000():
    finding = judge_drivers({name: "rw" for name in DRIVERS if name != "JP2OpenJPEG"}, version="3.0")
    assert finding.outcome is Outcome.FAILURE
    assert "JP2OpenJPEG (reads JPEG 2000 deliveries)" in finding.detail
    assert "wheel" in finding.remedy


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dagster")
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return str(folder)


def test_dagster_home(home, tmp_path):
    assert check_home(home).outcome is Outcome.OK
    assert check_home("").outcome is Outcome.WARNING
    assert check_home(str(tmp_path / "nowhere")).outcome is Outcome.FAILURE
    assert check_home(os.path.relpath(home)).outcome is Outcome.FAILURE
    assert "holds no dagster.yaml" in check_home(str(tmp_path)).detail


def test_an_instance(home):
    assert check_instance("").outcome is Outcome.SKIPPED
    assert check_instance(home).detail == "loads, its storage answers (0 runs)"


def test_an_instance_that_does_not_load(tmp_path):
    (tmp_path / "dagster.yaml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigurationError, match=r"DagsterInvalidConfigError.*nonsense.* Check dagster.yaml"):
        check_instance(str(tmp_path))


def test_a_daemon_that_never_ran(home):
    assert check_daemon("").outcome is Outcome.SKIPPED
    finding = check_daemon(home)
    assert finding.outcome is Outcome.WARNING
    assert "sensor" in finding.detail
    assert "dagster-daemon run" in finding.remedy


def test_daemons():
    def status(*, healthy, required=True):
        return SimpleNamespace(healthy=healthy, required=required)

    alive = judge_daemons({"SENSOR": status(healthy=True), "ASSET": status(healthy=None, required=False)})
    assert alive.outcome is Outcome.OK
    half = judge_daemons({"SENSOR": status(healthy=False), "SCHEDULER": status(healthy=True)})
    assert (half.outcome, half.detail) == (Outcome.WARNING, "no heartbeat of sensor")


NAMES = ["base URL", "clock", "credentials", "workspace", "credits", "lake", "GDAL"]
NAMES += ["Dagster home", "Dagster instance", "Dagster daemon"]


def test_the_whole_of_it(cli, home, tmp_path):
    env = {"UP42_LAKE_URL": str(tmp_path / "lake"), "DAGSTER_HOME": home}
    said = cli("doctor", env=env)
    assert said.code == 0
    assert said.stderr == ""
    assert [line.split()[0] for line in said.lines] == ["ok"] * 9 + ["warning"]
    assert [line[9:27].strip() for line in said.lines] == NAMES


def test_one_failure_is_enough_to_fail(cli, tmp_path):
    said = cli("doctor", env={"UP42_LAKE_URL": str(tmp_path), "UP42_PASSWORD": "wrong"})
    assert said.code == 1
    outcomes = {line[9:26].strip(): line.split()[0] for line in said.lines}
    assert outcomes["credentials"] == "failure"
    assert outcomes["workspace"] == outcomes["credits"] == "skipped"
    assert outcomes["lake"] == "ok"
    assert "Check UP42_USERNAME and UP42_PASSWORD" in said.stdout
    assert "wrong" not in said.stdout


def test_where_nobody_answers_nothing_more_is_asked(cli, tmp_path):
    nowhere = {"UP42_LAKE_URL": str(tmp_path), "UP42_API_URL": "http://127.0.0.1:9"}
    told = cli("doctor --json", env=nowhere).json
    assert [one["outcome"] for one in told[:5]] == ["failure", *["skipped"] * 4]


def test_without_credentials_it_still_looks_at_the_rest(cli, tmp_path):
    told = cli("doctor --json", env={"UP42_LAKE_URL": str(tmp_path), "UP42_PASSWORD": None}).json
    outcomes = {one["check"]: one["outcome"] for one in told}
    assert list(outcomes) == NAMES
    assert (outcomes["credentials"], outcomes["lake"], outcomes["GDAL"]) == ("failure", "ok", "ok")
