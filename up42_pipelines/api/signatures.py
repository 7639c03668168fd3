"""Whether a webhook message comes from UP42, and whole. Pure; what a receiver calls first.

UP42 signs with a scheme of its own that looks like an early draft of HTTP message signatures: the values of the
headers that `signature-input` lists, joined without anything between them, under HMAC-SHA256 (UP42's sample receiver).
Which headers are listed is not documented, so the list is taken from the message, and a message whose body is not
covered by a listed and matching digest is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping

from up42_pipelines.api.webhooks import WebhookMessage
from up42_pipelines.errors import UnexpectedAnswer, UntrustedMessage

MAX_AGE_S = 300
_INPUT = re.compile(r"""[\w-]+=\((?P<headers>[^)]*)\)(?P<parameters>.*)""", re.DOTALL)
_CREATED = re.compile(r";\s*created=(\d{1,12})(?=;|\s*$)")
_DIGESTS = ("digest", "content-digest")
_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def read_message(
    headers: Mapping[str, str], body: bytes, *, secret: str, now: float, max_age_s: float = MAX_AGE_S
) -> WebhookMessage:
    """Verify a message and read it.

    Args:
        headers: of the request, names in any case.
        body: the raw request body.
        secret: the webhook's.
        now: seconds since 1970.
        max_age_s: how old a signature may be.

    Raises:
        UntrustedMessage: no signature, a wrong or an old one, or a body that it does not cover.
        UnexpectedAnswer: signed by UP42, and no message.
    """
    verify(headers, body, secret=secret, now=now, max_age_s=max_age_s)
    try:
        decoded = json.loads(body)
    except ValueError as error:
        raise UnexpectedAnswer(f"A signed webhook message is not JSON: {body[:200]!r}.") from error
    return WebhookMessage.parse(decoded)


def verify(headers: Mapping[str, str], body: bytes, *, secret: str, now: float, max_age_s: float = MAX_AGE_S) -> None:
    """Check signature, age and digest of a message; arguments and errors as for `read_message`."""
    if not secret:
        raise UntrustedMessage("The webhook has no secret, so nothing proves where a message comes from: give it one.")
    sent = {name.lower(): value for name, value in headers.items()}
    signed_by = _INPUT.fullmatch(sent.get("signature-input", "").strip())
    given = sent.get("signature", "").partition("=")[2].strip()
    if signed_by is None or not given:
        raise UntrustedMessage("The message carries no signature.")
    names = [name.strip('"').lower() for name in signed_by["headers"].split()]
    created = _CREATED.search(signed_by["parameters"])
    missing = [name for name in names if name not in sent]
    if not names or missing:
        raise UntrustedMessage(f"The signature covers headers that are not there: {', '.join(missing) or 'none'}.")
    expected = hmac.new(secret.encode(), "".join(sent[name] for name in names).encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(expected, _decoded(given)):
        raise UntrustedMessage("The signature does not match: another secret, or the headers were changed.")
    if created is None or not 0 <= now - int(created[1]) <= max_age_s:
        raise UntrustedMessage(f"The signature is older than {max_age_s:g} s, or from the future: check the clock.")
    if not any(name in _DIGESTS and _digest_matches(sent[name], body) for name in names):
        raise UntrustedMessage("No signed digest matches the body: it was changed, or it is not covered.")


def _digest_matches(header: str, body: bytes) -> bool:
    """Whether every digest of a known algorithm in the header matches, and there is one."""
    verdicts = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        algorithm = _ALGORITHMS.get(name.lower())
        if algorithm is not None:
            verdicts.append(hmac.compare_digest(algorithm(body).digest(), _decoded(value.strip().strip(":"))))
    return bool(verdicts) and all(verdicts)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
