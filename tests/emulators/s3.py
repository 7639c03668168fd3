"""Moto's S3 as a process: prints its URL and serves until it is killed.

Added is what moto leaves out and uploads rest on: the checksum that comes with a body is compared, and an upload that
is over is not found any more. A test sets at `/switches` of how many bodies one bit is changed on the way, `damage`;
how many uploads are completed and then answered with 503, `lose_answers`; and `refuse`, a pattern: requests whose
method and path it matches get 403.
"""

import base64
import io
import json
import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import google_crc32c

# Without this library, moto answers with a CRC-32 where it was asked for a CRC-32C.
sys.modules["crc32c"] = crc32c = ModuleType("crc32c")
crc32c.__spec__, crc32c.crc32c = ModuleSpec("crc32c", None), google_crc32c.value

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

moto = DomainDispatcherApplication(create_backend_app)
switches = {"damage": 0, "lose_answers": 0, "refuse": ""}
over = set()  # query strings of uploads that were completed or aborted
_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>'


def application(environ, start_response):
    """One request: the switches, or moto's."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if path == "/switches":
        switches.update(json.loads(body or "{}"))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(switches).encode()]
    if switches["refuse"] and re.search(switches["refuse"], f"{method} {path}?{environ['QUERY_STRING']}"):
        return _refusal(start_response, "403 Forbidden", "AccessDenied")
    announced = environ.get("HTTP_X_AMZ_CHECKSUM_CRC32C")
    if method == "PUT" and announced:
        if switches["damage"]:
            switches["damage"] -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        if announced != base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode():
            return _refusal(start_response, "400 Bad Request", "BadDigest")
    environ["wsgi.input"] = io.BytesIO(body)
    query = environ["QUERY_STRING"]
    if method in {"POST", "DELETE"} and "uploadId=" in query:
        if query in over:
            return _refusal(start_response, "404 Not Found", "NoSuchUpload")
        over.add(query)
        if switches["lose_answers"]:
            switches["lose_answers"] -= 1
            moto(environ, lambda *_: None)
            return _refusal(start_response, "503 Service Unavailable", "ServiceUnavailable")
    return moto(environ, start_response)


def _refusal(start_response, status, code):
    start_response(status, [("Content-Type", "application/xml")])
    return [(_ERROR % (code, "Told so by a test.")).encode()]


MotoRequestHandler.disable_nagle_algorithm = (
    True  # headers and body are two packets, and the second would wait for 40 ms
)
# One request at a time: moto looks first and writes then, so two requests at once could both be the first to create.
server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
sys.stdout.write(f"http://127.0.0.1:{server.port}\n")
sys.stdout.flush()
server.serve_forever()
