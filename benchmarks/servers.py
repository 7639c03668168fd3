"""The servers that the clients talk to: nginx where it can be had, with a certificate made for the occasion."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.harness import python, serving

_NGINX = """
{user}
daemon off;
master_process on;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  types {{ }}
  default_type application/octet-stream;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_session_cache shared:benchmarks:1m;
    root {files};
    {locations}
  }}
}}
"""
# The announcement that Google Cloud Storage makes of each object.
_LOCATION = 'location = /{name} {{ add_header x-goog-hash "crc32c={crc32c}"; }}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A running file server.

    Attributes:
        https: base URL over TLS.
        http: base URL without.
        certificate: PEM file that clients have to trust.
        kind: which server it is.
    """

    https: str
    http: str
    certificate: Path
    kind: str

    def trust(self) -> dict[str, str]:
        """Environment in which requests, Python and curl trust the certificate; nobody's checks are turned off."""
        path = str(self.certificate)
        return {"REQUESTS_CA_BUNDLE": path, "SSL_CERT_FILE": path, "CURL_CA_BUNDLE": path}


def certify(folder: Path) -> Path:
    """A certificate of this machine's loopback that vouches for itself, valid for two days."""
    peers.need("openssl")
    certificate = folder / "server.pem"
    if not certificate.exists() or time.time() - certificate.stat().st_mtime > 86_400:
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(folder / "server.key")]
        made = ["req", "-x509", *key, "-out", str(certificate), "-days", "2", *subject, *usage]
        command = [str(peers.find("openssl")), *made]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    return certificate


@contextmanager
def file_server(files: Path, checksums: Mapping[str, int], folder: Path) -> Iterator[Files]:
    """Serve a folder in other processes; nginx, or Python where nginx is not and cannot be installed.

    Args:
        files: what is served.
        checksums: crc32c by name, announced as `x-goog-hash`.
        folder: for the certificate, configuration and logs.
    """
    certificate = certify(folder)
    try:
        peers.need("nginx")
    except SystemExit:
        yield from _python_server(files, checksums, certificate)
        return
    port, tls_port = _free_port(), _free_port()
    configuration = folder / "nginx.conf"
    settings = {
        # Started by root, workers would be somebody who may not read the folder.
        "user": "user root;" if os.geteuid() == 0 else "",
        "workers": len(os.sched_getaffinity(0)),
        "folder": folder,
        "files": files,
        "port": port,
        "tls_port": tls_port,
        "locations": "\n    ".join(
            _LOCATION.format(name=name, crc32c=encoded(value)) for name, value in checksums.items()
        ),
    }
    configuration.write_text(_NGINX.format(**settings))
    command = [str(peers.find("nginx")), "-c", str(configuration)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        _await(tls_port, process)
        yield Files(
            https=f"https://127.0.0.1:{tls_port}",
            http=f"http://127.0.0.1:{port}",
            certificate=certificate,
            kind="nginx",
        )
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)


def _python_server(files: Path, checksums: Mapping[str, int], certificate: Path) -> Iterator[Files]:
    announced = [f"{name}={encoded(value)}" for name, value in checksums.items()]
    with serving(python("benchmarks.fileserver", files, certificate, *announced)) as ports:
        http, https = ports.split()
        yield Files(
            https=f"https://127.0.0.1:{https}", http=f"http://127.0.0.1:{http}", certificate=certificate, kind="python"
        )


def encoded(crc32c: int) -> str:
    """As Google Cloud Storage writes it: base64 of four bytes, big end first."""
    return base64.b64encode(crc32c.to_bytes(4, "big")).decode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("nginx did not start")
