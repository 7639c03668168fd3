"""What can go wrong while something is bought, and when: answers of UP42, and an `At` for each way to be disturbed."""

from __future__ import annotations

from collections.abc import Callable

from up42_pipelines.errors import (
    AnswerLost,
    InvalidRequest,
    LegalBlock,
    NotAuthorized,
    OrderRefused,
    RateLimited,
    ServerProblem,
    UnexpectedAnswer,
    Unreachable,
)


def api_error(kind, status, title="as the server words it"):
    return kind(method="POST", url="https://api.example.com/v2/orders", status=status, title=title)


AMBIGUOUS = [AnswerLost("No answer came back."), api_error(ServerProblem, 503), UnexpectedAnswer("not JSON.")]
REFUSALS = [
    OrderRefused("UP42 did not take the order."),
    api_error(LegalBlock, 451),
    api_error(NotAuthorized, 403),
    api_error(InvalidRequest, 400),
    api_error(RateLimited, 429),
]


def kind(error: Exception) -> str:
    return type(error).__name__


class Gone(BaseException):
    """The process was killed: nothing it does from now on has an effect."""


class Interrupted(BaseException):
    """Somebody ended the run; the process tidies up."""


class Log(list):
    """An `At` that remembers."""

    def __call__(self, doing: str) -> None:
        self.append(doing)

    def of_up42(self) -> list[str]:
        return [one for one in self if one in {"find", "price", "funds", "post", "get"}]


def once(moment: str, act: Callable[[], None], *, skip: int = 0):
    """An `At` that does something at a moment."""
    left = [skip + 1]

    def at(doing: str) -> None:
        if doing == moment:
            left[0] -= 1
            if left[0] == 0:
                act()

    return at


def dies_at(moment: str, after: int = 0):
    """An `At` under which a process is gone from a moment on."""
    left: list[int] = []

    def at(doing: str) -> None:
        if left or doing == moment:
            left.append(1)
            if len(left) > after:
                raise Gone

    return at


def fails_from(moment: str, skip: int):
    left = [skip]

    def at(doing: str) -> None:
        if doing == moment:
            left[0] -= 1
            if left[0] < 0:
                raise Unreachable("No network.")

    return at


def fails_times(moment: str, times: int):
    left = [times]

    def at(doing: str) -> None:
        if doing == moment and left[0] > 0:
            left[0] -= 1
            raise Unreachable("No network.")

    return at


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act
