"""Connections: proxies, certificates, redirects, reuse, and what trickles."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from up42_pipelines.errors import TransferError
from up42_pipelines.lake.transfer.delivery import Limits
from up42_pipelines.lake.transfer.download import Wanted, download, fetch
from up42_pipelines.lake.transfer.patience import Patience
from up42_pipelines.lake.transfer.plan import Fault
from up42_pipelines.lake.transfer.pool import BLOCK_BYTES, Pool, _merged

CONTENT = bytes(range(256)) * 40
ONCE = Patience(attempts=1, silence_s=5, block_s=5)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def get(files, tmp_path):
    def run(href, server=files, patience=ONCE, **options):
        return download(lambda: server.sign(href), tmp_path / "target", patience=patience, **options)

    return run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate of 127.0.0.1, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path


@pytest.fixture
def secure(start_files, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with start_files(context) as server:
        yield server


@contextmanager
def tunnel():
    """An HTTP proxy that knows nothing but CONNECT; gives its URL and the requests it saw."""
    seen = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay(source, drain):
            with suppress(OSError):
                while data := source.recv(65536):
                    drain.sendall(data)
                drain.shutdown(socket.SHUT_WR)

        def serve():
            with suppress(OSError):
                client, _ = listener.accept()
                with client:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += client.recv(4096)
                    seen.append(head.decode())
                    host, _, port = head.split()[1].decode().rpartition(":")
                    with socket.create_connection((host, int(port))) as upstream:
                        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        back = threading.Thread(target=relay, args=(upstream, client))
                        back.start()
                        relay(client, upstream)
                        back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}", seen
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_are_checked_against_the_bundle_of_the_environment(
    secure, get, certificate, monkeypatch, variable
):
    href = secure.put("scene", CONTENT)
    with pytest.raises(TransferError, match="SSLCertVerificationError"):
        get(href, server=secure)
    monkeypatch.setenv(variable, str(certificate))
    assert get(href, server=secure, part_bytes=1000).path.read_bytes() == CONTENT
    assert len(secure.clients) <= 16


def test_a_folder_of_certificates(secure, get, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.parent))
    with pytest.raises(TransferError, match="SSLCertVerificationError"):
        get(secure.put("scene", CONTENT), server=secure)  # OpenSSL wants hashed names in it: it is empty for it


def test_a_bundle_that_is_not_there_is_named(secure, get, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/missing/bundle.pem")
    with pytest.raises(TransferError, match=r"/missing/bundle\.pem cannot be read"):
        get(secure.put("scene", CONTENT), server=secure)


def test_http_goes_through_the_proxy_of_the_environment(files, get, monkeypatch):
    files.put("scene", CONTENT)
    monkeypatch.setenv("HTTP_PROXY", files.url.replace("http://", "http://me:pass%20word@"))
    assert get("http://bucket.invalid/scene").path.read_bytes() == CONTENT
    path, headers = files.requests[0]
    assert path.startswith("http://bucket.invalid/scene?")
    assert headers["host"] == "bucket.invalid"
    assert headers["proxy-authorization"] == "Basic bWU6cGFzcyB3b3Jk"


def test_no_proxy_for_hosts_that_need_none(files, get, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    assert get(files.put("scene", CONTENT)).size == len(CONTENT)


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_a_proxy_that_is_not_understood_is_refused(files, get, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(TransferError, match="is no http:// proxy"):
        get(files.put("scene", CONTENT))
    assert files.requests == []


def test_https_is_tunnelled_through_the_proxy(secure, get, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with tunnel() as (proxy, seen):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{proxy}")
        href = secure.put("scene", CONTENT)
        assert get(href, server=secure, limits=Limits(connections=1), part_bytes=4000).path.read_bytes() == CONTENT
    assert len(seen) == 1
    assert seen[0].startswith(f"CONNECT {secure.url.removeprefix('https://')} ")
    assert "Proxy-Authorization: Basic bWU6c2VjcmV0" in seen[0]
    assert "Signature" not in seen[0]
    assert all("proxy-authorization" not in headers for _, headers in secure.requests)


def test_a_redirect_is_followed(files, fault, get):
    files.put("elsewhere", CONTENT)
    href = files.put("scene", b"", fault(status=307, headers={"Location": "/elsewhere?Signature=SECRET"}))
    assert get(href).path.read_bytes() == CONTENT


def test_redirects_end(files, fault, get):
    href = files.put("scene", b"", *[fault(status=302, headers={"Location": "/scene"})] * 9)
    with pytest.raises(TransferError, match="redirects more than 3 times"):
        get(href)
    assert len(files.requests) == 4


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/x", "file:///etc/hostname"])
def test_a_redirect_out_of_https_is_refused(secure, fault, get, certificate, monkeypatch, target):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    href = secure.put("scene", b"", fault(status=302, headers={"Location": target}))
    with pytest.raises(TransferError, match="redirects from https"):
        get(href, server=secure)


def test_a_connection_that_the_server_has_closed_is_not_used_again(files, fault, tmp_path):
    """Without a word of it in the answer: a request on it would fail, and count."""
    hrefs = [files.put(str(index), CONTENT, fault(drop_after=len(CONTENT))) for index in range(4)]
    wanted = [
        Wanted(
            name=href,
            sign=lambda href=href: files.sign(href),
            target=tmp_path / href[-1],
            on_arrival=lambda _: files.hung_up.acquire(timeout=10),
        )
        for href in hrefs
    ]
    pauses = []
    outcomes = fetch(wanted, limits=Limits(connections=1), patience=ONCE, sleep=pauses.append)
    assert [result.size for _, result in outcomes] == [len(CONTENT)] * 4
    assert (len(files.requests), len(files.clients), pauses) == (4, 4, [])


@pytest.mark.parametrize("how", [{"trickle": True}, {"silent": True}])
def test_what_trickles_is_given_up(files, fault, get, how):
    """A byte now and then never lets a read time out; here the rule about blocks ends both."""
    href = files.put("scene", CONTENT, fault(**how))
    with pytest.raises(TransferError, match="less than 256 KiB within the time allowed"):
        get(href, patience=Patience(attempts=1, silence_s=30, block_s=0.3))


def test_what_trickles_is_continued_on_a_new_connection(files, fault, get):
    href = files.put("scene", CONTENT, fault(trickle=True))
    received = get(href, patience=Patience(attempts=2, silence_s=30, block_s=0.5, first_pause_s=0.01))
    assert received.path.read_bytes() == CONTENT
    assert len(files.clients) == 2
    first = files.requests[1][1]["range"].removeprefix("bytes=").partition("-")[0]
    assert int(first) > 0, "what trickled in is kept"


def test_a_half_read_connection_is_not_used_again(files, fault):
    go_on = threading.Event()
    content = bytes(2 * BLOCK_BYTES)
    url = files.put("scene", content, fault(halfway=lambda: go_on.wait(20)))
    with Pool(ONCE) as pool:
        answer = pool.open(url, {})
        assert len(answer.read()) == BLOCK_BYTES
        answer.close()  # nothing of the other half has arrived that would betray it
        answer = pool.open(url, {})
        assert len(answer.read() + answer.read() + answer.read()) == len(content)
        answer.close()
        go_on.set()
    assert len(files.clients) == 2


def test_a_pool_that_is_closed_while_it_connects(files, fault, monkeypatch):
    url = files.put("scene", CONTENT, fault(silent=True))
    real, started = HTTPConnection.connect, time.monotonic()
    with Pool(Patience(silence_s=30)) as pool:

        def connect(connection):
            pool.close()  # no socket yet that could be cut
            real(connection)

        monkeypatch.setattr(HTTPConnection, "connect", connect)
        with pytest.raises(Fault, match="the transfer was closed"):
            pool.open(url, {})
    assert time.monotonic() - started < 20


def test_checksums_on_two_lines_are_one_list():
    """As Google Cloud Storage sends them."""
    lines = [("X-Goog-Hash", "crc32c=AAAAAA=="), ("ETag", '"v1"'), ("x-goog-hash", "md5=xyz=")]
    assert _merged(lines) == {"x-goog-hash": "crc32c=AAAAAA==, md5=xyz=", "etag": '"v1"'}
