"""What is bought at the sandbox, how long is waited, and the real orders with a test between a call and its answer."""

from __future__ import annotations

from collections.abc import Callable

from shapely.geometry import box

from up42_pipelines.errors import AnswerLost, ApiError, ServerProblem, UnexpectedAnswer
from up42_pipelines.purchasing.protocol import Timing

AREA = box(-9.15, 38.71, -9.14, 38.72)
TIMING = Timing(lease_s=60, start_s=20, settling_s=30, looks=3, gap_s=1, skew_s=1)


def api_error(kind: type[ApiError], status: int, title: str = "as the server words it") -> ApiError:
    return kind(method="POST", url="https://api.example.com/v2/orders", status=status, title=title)


AMBIGUOUS = [AnswerLost("no answer came back."), api_error(ServerProblem, 503), UnexpectedAnswer("not JSON.")]


class Watched:
    """The real orders; remembers which calls were made, and lets a test stand between a call and its answer.

    A fault is a function that is given the real call and makes of it what it likes.
    """

    def __init__(self, orders, **faults: Callable) -> None:
        self._orders, self._faults = orders, faults
        self.asked: list[str] = []

    def _through(self, name: str, call: Callable):
        self.asked.append(name)
        return self._faults[name](call) if name in self._faults else call()

    def estimate(self, order):
        return self._through("estimate", lambda: self._orders.estimate(order))

    def place(self, order, *, not_after=None):
        return self._through("place", lambda: self._orders.place(order, not_after=not_after))

    def get(self, order_id):
        return self._through("get", lambda: self._orders.get(order_id))

    def list(self, **query):
        return iter(self._through("list", lambda: list(self._orders.list(**query))))


def fails(error: Exception) -> Callable:
    def fault(_call):
        raise error

    return fault


def fails_afterwards(error: Exception) -> Callable:
    def fault(call):
        call()
        raise error

    return fault


def in_turn(*faults: Callable) -> Callable:
    """Another fault at each call; no fault once they are used up."""
    left = list(faults)
    return lambda call: left.pop(0)(call) if left else call()


def honest(call):
    return call()


def shows_nothing(_call):
    return []
