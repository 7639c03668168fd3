"""Whether a webhook message comes from UP42, and whole. Pure; what a receiver calls first.

UP42 signs with a scheme of its own that looks like an early draft of HTTP message signatures: the values of the
headers that `signature-input` lists, joined without anything between them, under HMAC-SHA256 (UP42's sample receiver).
Which headers are listed is not documented, so the list is taken from the message, and a message whose body is not
covered by a listed and matching digest is refused.

The list itself and `created` are not signed. So whoever has recorded a message can send it again with a new `created`,
but no other body: what was handled once must be recognised by its `message_id`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from up42_pipelines.api.webhooks import WebhookMessage
from up42_pipelines.errors import UnexpectedAnswer, UntrustedMessage

MAX_AGE_S = 300
_VALUE = r"""(?:"[^"]*"|[^\s",;()]*)"""
_PARAMETER = re.compile(rf";\s*([\w*.-]+)(?:=({_VALUE}))?", re.ASCII)
_INPUT = re.compile(rf"[\w*.-]+=\(([^()]*)\)((?:\s*;\s*[\w*.-]+(?:={_VALUE})?)*)", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}")
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
    signed = _read_input(_only(headers, "signature-input"))
    values = {name: _only(headers, name) for name in signed.headers}
    expected = hmac.new(_utf8(secret), _utf8("".join(values.values())), hashlib.sha256).digest()
    given = _only(headers, "signature").partition("=")[2]
    if not _is_base64_of(expected, given):
        raise UntrustedMessage("The signature does not match: another secret, or the headers were changed.")
    if not 0 <= now - signed.created <= max_age_s:
        raise UntrustedMessage(f"The signature is older than {max_age_s:g} s, or from the future: check the clock.")
    digests = [value for name, value in values.items() if name in _DIGESTS]
    if not digests or not all(_digest_matches(digest, body) for digest in digests):
        raise UntrustedMessage("No signed digest matches the body: it was changed, or it is not covered.")


@dataclass(frozen=True, slots=True)
class _SignatureInput:
    """What a signature says about itself: the headers it covers, in lower case and in order, and when it was made."""

    headers: tuple[str, ...]
    created: int


def _read_input(text: str) -> _SignatureInput:
    found = _INPUT.fullmatch(text)
    if found is None:
        raise UntrustedMessage("The header signature-input is not one list of headers with parameters.")
    names = tuple(name.strip('"').lower() for name in found[1].split())
    if not names or len(set(names)) < len(names):
        raise UntrustedMessage("The signature must cover headers, each of them once.")
    created = [value for key, value in _PARAMETER.findall(found[2]) if key == "created"]
    if len(created) != 1 or not _SECONDS.fullmatch(created[0]):
        raise UntrustedMessage("The signature must say once when it was created, in seconds since 1970.")
    return _SignatureInput(names, int(created[0]))


def _only(headers: Mapping[str, str], name: str) -> str:
    """The value of a header. One that comes twice is refused: others might read the other value."""
    values = [value for key, value in headers.items() if key.lower() == name]
    if len(values) != 1:
        raise UntrustedMessage(f"The message has {len(values)} headers {name!r:.100}; its signature needs one.")
    return values[0]


def _digest_matches(header: str, body: bytes) -> bool:
    """Whether every digest of a known algorithm in the header matches, and there is one."""
    verdicts = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        algorithm = _ALGORITHMS.get(name.lower())
        if algorithm is not None:
            verdicts.append(_is_base64_of(algorithm(body).digest(), value.strip().strip(":")))
    return bool(verdicts) and all(verdicts)


def _is_base64_of(data: bytes, text: str) -> bool:
    """Compare as text: several base64 texts decode to the same bytes."""
    return hmac.compare_digest(base64.b64encode(data), _utf8(text))


def _utf8(text: str) -> bytes:
    """Encode what a server made of header bytes; it may hold surrogates."""
    return text.encode("utf-8", "surrogatepass")
