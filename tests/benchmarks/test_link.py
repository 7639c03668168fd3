import socket
import struct
import threading
import time

import pytest

from benchmarks.harness import python, serving
from benchmarks.link import BYTES_PER_S, FIRST_WINDOW, ROUND_TRIP_S


@pytest.fixture(scope="module")
def echo():
    """A server that answers each connection with what it sent, once it has sent all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=[connection], daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def answer(connection):
    with connection:
        connection.sendall(received(connection))


def received(connection):
    pieces = []
    while piece := connection.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture(scope="module")
def link(echo):
    with serving(python("benchmarks.link", echo)) as address:
        host, _, port = address.rpartition(":")
        yield host, int(port)


def send(link, content):
    """What comes back, and how long that took."""
    began = time.monotonic()
    with socket.create_connection(link) as connection:
        sending = threading.Thread(target=lambda: (connection.sendall(content), connection.shutdown(socket.SHUT_WR)))
        sending.start()
        back = received(connection)
        sending.join()
    return back, time.monotonic() - began


def test_first_bytes_take_two_round_trips(link):
    back, took_s = send(link, b"ping")
    assert back == b"ping"
    assert took_s >= 2 * ROUND_TRIP_S


def test_a_connection_starts_slowly(link):
    _, took_s = send(link, bytes(900_000))
    # Five round trips bring 31 windows, and this is 62 of them.
    assert took_s >= 2 * ROUND_TRIP_S + 2 * 5 * ROUND_TRIP_S


def test_bytes_arrive_unchanged_and_no_faster_than_the_link(link):
    content = bytes(range(256)) * 48_000
    back, took_s = send(link, content)
    assert back == content
    # Up and down, each with a slow start of six round trips that brings 63 windows.
    rest_s = (len(content) - 63 * FIRST_WINDOW) / BYTES_PER_S
    assert took_s >= 2 * ROUND_TRIP_S + 2 * (6 * ROUND_TRIP_S + rest_s) * 0.9


def test_connections_do_not_share_a_limit(link):
    content = bytes(2_000_000)
    _, alone_s = send(link, content)
    threads = [threading.Thread(target=send, args=[link, content]) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together_s = time.monotonic() - began
    # Alone once more: on a busy machine that takes longer as well.
    assert together_s < 2.5 * max(alone_s, send(link, content)[1])


def test_a_client_that_goes_away_does_not_disturb_others(link):
    for _ in range(5):
        connection = socket.create_connection(link)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets, does not end
        connection.sendall(bytes(100_000))
        connection.close()
    content = bytes(2_000_000)  # takes longer than the link needs to notice
    assert send(link, content)[0] == content
