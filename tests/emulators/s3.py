"""Moto's S3 as a process: prints its URL and serves until it is killed."""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

# One request at a time: moto looks first and writes then, so two requests at once could both be the first to create.
application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
sys.stdout.write(f"http://127.0.0.1:{server.port}\n")
sys.stdout.flush()
server.serve_forever()
