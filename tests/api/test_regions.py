"""Where UP42 lives, and which base URLs are refused."""

import pytest

from up42_pipelines.api import Hosts
from up42_pipelines.errors import ConfigurationError


def test_regions():
    assert Hosts.of("eu") == Hosts(api="https://api.up42.com", auth="https://auth.up42.com")
    assert Hosts.of("sa") == Hosts(api="https://api.sa.up42.com", auth="https://auth.sa.up42.com")


def test_base_urls_instead_of_a_region():
    both = Hosts.of(api_url="https://proxy.example.com/", auth_url="https://auth.example.com//")
    assert both == Hosts(api="https://proxy.example.com", auth="https://auth.example.com")
    assert Hosts.of(api_url="http://127.0.0.1:8042").auth == "http://127.0.0.1:8042"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://example.com"])
def test_plain_http_is_for_this_machine(url):
    assert Hosts.of(api_url=url).api == url


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region": "us"}, "eu, sa"),
        ({"auth_url": "https://auth.example.com"}, "without an API URL"),
        ({"api_url": "http://up42.example.com"}, "unencrypted"),
        ({"api_url": "https://api.example.com", "auth_url": "http://auth.example.com"}, "unencrypted"),
        ({"api_url": "up42.example.com"}, "not a base URL"),
        ({"api_url": "ftp://up42.example.com"}, "not a base URL"),
        ({"api_url": "https://api.example.com/?x=1"}, "not a base URL"),
        ({"api_url": "https://api.example.com/#x"}, "not a base URL"),
        ({"api_url": "https://[::1"}, "not a base URL"),
        ({"api_url": "https://api.example.com:80a"}, "not a base URL"),
        ({"api_url": "https://me:geheim@api.example.com"}, "no user name or password"),
        ({"api_url": "https://me:geheim@[::1"}, "no user name or password"),
    ],
)
def test_contradictions_are_explained(options, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Hosts.of(options.pop("region", "eu"), **options)
    assert "geheim" not in str(caught.value)
