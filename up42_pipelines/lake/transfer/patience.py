"""How long to wait for a server, and how often to try."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Time-outs and retries of a transfer.

    Attributes:
        connect_s: to establish a connection.
        silence_s: without a byte, before a connection is given up.
        block_s: for an answer's headers, and then for each 256 KiB: what trickles slower is given up, although it is
            never silent.
        attempts: in a row that bring less than 1 MiB, before a part fails; also starts of one file from zero.
        first_pause_s: upper bound of the first pause; each further one doubles it.
        longest_pause_s: upper bound of all of them.
        longest_retry_after_s: a server may ask for an hour; a run that sleeps that long holds its slot for nothing.
    """

    connect_s: float = 10
    silence_s: float = 30
    block_s: float = 60
    attempts: int = 5
    first_pause_s: float = 0.5
    longest_pause_s: float = 30
    longest_retry_after_s: float = 60

    def pause_s(self, failures: int, retry_after_s: float | None) -> float:
        """Seconds to wait after the n-th failure: what the server asks, within reason, else drawn with full jitter.

        Full jitter spreads a crowd of clients best: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if retry_after_s is not None:
            return min(retry_after_s, self.longest_retry_after_s)
        longest = min(self.longest_pause_s, self.first_pause_s * 2 ** min(failures - 1, 30))
        return random.uniform(0, longest)  # noqa: S311 - no secret


def retry_after_s(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or a date (RFC 9110, section 10.2.3)."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
