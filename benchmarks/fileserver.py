"""A file server for machines without nginx, and slower: ranges, strong ETags, x-goog-hash, over http and https."""

from __future__ import annotations

import argparse
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PIECE_BYTES = 1 << 20


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of the files in one folder."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    announced: dict[str, str]

    def do_GET(self) -> None:
        """Answer with the file, or with the range that was asked for."""
        path = self.folder / Path(urlsplit(self.path).path).name
        if not path.is_file():
            self.send_error(404)
            return
        status = path.stat()
        first, last = 0, status.st_size - 1
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or last), last)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{status.st_size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
        if path.name in self.announced:
            self.send_header("x-goog-hash", f"crc32c={self.announced[path.name]}")
        self.end_headers()
        if self.command == "GET":
            self._send(path, first, last - first + 1)

    def do_HEAD(self) -> None:
        """The same headers."""
        self.do_GET()

    def _send(self, path: Path, first: int, length: int) -> None:
        buffer = memoryview(bytearray(_PIECE_BYTES))
        with path.open("rb", buffering=0) as file:
            file.seek(first)
            while length:
                taken = file.readinto(buffer[: min(length, _PIECE_BYTES)])
                self.wfile.write(buffer[:taken])
                length -= taken

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


def main() -> None:
    """Print both ports, then serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("certificate", type=Path, help="PEM; the key is beside it as server.key")
    parser.add_argument("announced", nargs="*", help="name=crc32c")
    options = parser.parse_args()
    Handler.folder = options.folder
    Handler.announced = dict(pair.split("=", 1) for pair in options.announced)
    plain, secure = (ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.certificate.with_suffix(".key"))
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    sys.stdout.write(f"{plain.server_port} {secure.server_port}\n")
    sys.stdout.flush()
    secure.serve_forever()


if __name__ == "__main__":
    main()
