"""Whose account a command uses."""

import pytest

from up42_pipelines.api import Hosts
from up42_pipelines.cli.account import AccountSettings
from up42_pipelines.errors import ConfigurationError

SANDBOX = {"UP42_API_URL": "http://127.0.0.1:8042", "UP42_AUTH_URL": "http://127.0.0.1:8043"}


def settings(environ, *, region=None, api_url=None, workspace_id=None):
    return AccountSettings.of(environ, region=region, api_url=api_url, workspace_id=workspace_id)


def test_the_environment_counts():
    environ = {
        "UP42_USERNAME": "me@example.com",
        "UP42_PASSWORD": "geheim",
        "UP42_REGION": "sa",
        "UP42_WORKSPACE_ID": "w",
        "UP42_LAKE_URL": "gs://bucket/lake",
    }
    found = settings(environ)
    assert (found.username, found.password, found.workspace_id) == ("me@example.com", "geheim", "w")
    assert found.hosts() == Hosts.of("sa")
    assert found.lake_url == "gs://bucket/lake"
    assert "geheim" not in repr(found)
    assert "me@example.com" not in repr(found)


def test_without_anything_it_is_up42_in_europe_and_the_folder_lake():
    found = settings({"UP42_REGION": "", "UP42_LAKE_URL": ""})
    assert found.hosts() == Hosts.of("eu")
    assert found.lake_url == "lake"


def test_both_base_urls_of_the_environment():
    assert settings(SANDBOX).hosts() == Hosts(api="http://127.0.0.1:8042", auth="http://127.0.0.1:8043")


def test_a_region_given_stands_for_the_urls_of_the_environment():
    assert settings(SANDBOX, region="sa").hosts() == Hosts.of("sa")


def test_a_url_given_serves_authentication_as_well_so_that_no_password_goes_elsewhere():
    given = settings(SANDBOX | {"UP42_REGION": "sa"}, api_url="http://127.0.0.1:9999")
    assert given.hosts() == Hosts(api="http://127.0.0.1:9999", auth="http://127.0.0.1:9999")


def test_a_workspace_given_stands_for_the_one_of_the_environment():
    assert settings({"UP42_WORKSPACE_ID": "a"}, workspace_id="b").workspace_id == "b"


def test_region_and_url_at_once_are_refused():
    with pytest.raises(ConfigurationError, match="--region or --api-url"):
        settings({}, region="eu", api_url="http://127.0.0.1:1")


def test_the_options_reach_the_request(cli, shop):
    other = "77777777-0000-4000-8000-000000000000"
    shop.order("of another workspace")
    assert cli(f"--workspace {other} orders list --json").json == []
    assert cli(f"--api-url {shop.url} orders list --limit 1", env={"UP42_API_URL": "http://127.0.0.1:1"}).code == 0
