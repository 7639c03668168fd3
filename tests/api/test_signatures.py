"""Who may speak in UP42's name: nobody who does not know the secret, whatever the message looks like."""

import base64
import hashlib
import hmac
import json
import string
from email.message import Message

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from up42_pipelines.api import read_message
from up42_pipelines.api.signatures import MAX_AGE_S, verify
from up42_pipelines.errors import UnexpectedAnswer, UntrustedMessage

SECRET, NOW = "a secret of the webhook", 1_800_000_000
BODY = json.dumps({"event": "order.status", "messageId": "m-1", "body": {"orderId": "o-1"}}).encode()

thoroughly = settings(derandomize=True, deadline=None, max_examples=100)


def sha256(body, name="sha-256"):
    return f"{name}={base64.b64encode(hashlib.sha256(body).digest()).decode()}"


def sign(covered, *, secret=SECRET):
    """Base64 of the HMAC over the values of the covered headers, joined."""
    text = "".join(covered.values())
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def message(body=BODY, *, covered=None, created=NOW, secret=SECRET, listed=None, parameters=None):
    """The headers of a message as UP42 signs it, over `covered`: the digest of the body when nothing else is said."""
    covered = {"digest": sha256(body)} if covered is None else covered
    listed = " ".join(f'"{name}"' for name in covered) if listed is None else listed
    parameters = f";created={created}" if parameters is None else parameters
    return {
        **covered,
        "signature-input": f"up42-sig=({listed}){parameters}",
        "signature": f"up42-sig={sign(covered, secret=secret)}",
    }


def accepted(headers, body=BODY, *, secret=SECRET, now=NOW):
    try:
        verify(headers, body, secret=secret, now=now)
    except UntrustedMessage:
        return False
    return True


header_names = st.text(string.ascii_lowercase + "-", min_size=1, max_size=12).filter(
    lambda name: name not in ("digest", "content-digest", "signature", "signature-input")
)
header_values = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S")), max_size=20)


@st.composite
def signed_messages(draw):
    """Headers, body and secret of a message that UP42 could have sent, with other headers covered too."""
    body, secret = draw(st.binary(max_size=50)), draw(st.text(min_size=1, max_size=20))
    digest = draw(st.sampled_from(["digest", "content-digest"]))
    covered = draw(st.dictionaries(header_names, header_values, max_size=3))
    order = draw(st.permutations([*covered, digest]))
    covered[digest] = sha256(body)
    others = draw(st.dictionaries(header_names, header_values, max_size=3))
    headers = {**others, **message(covered={name: covered[name] for name in order}, secret=secret)}
    return headers, body, secret


class TestWhatUp42Signs:
    @thoroughly
    @given(signed_messages())
    def test_is_accepted(self, sent):
        headers, body, secret = sent
        verify(headers, body, secret=secret, now=NOW)

    def test_and_read(self):
        read = read_message(message(), BODY, secret=SECRET, now=NOW)
        assert (read.event, read.message_id, read.order_id) == ("order.status", "m-1", "o-1")

    @pytest.mark.parametrize("write", [str.upper, str.title, str.lower])
    def test_header_names_in_any_case(self, write):
        headers = message(covered={"digest": sha256(BODY), "date": "today"})
        assert accepted({write(name): value for name, value in headers.items()})
        listed = f'"{write("digest")}" "{write("date")}"'
        assert accepted(message(covered={"digest": sha256(BODY), "date": "today"}, listed=listed))

    @pytest.mark.parametrize("age_s", [0, 0.5, 1, MAX_AGE_S - 1, MAX_AGE_S])
    def test_for_five_minutes(self, age_s):
        assert accepted(message(), now=NOW + age_s)

    def test_or_as_long_as_one_wants(self):
        verify(message(), BODY, secret=SECRET, now=NOW + 3000, max_age_s=3000)
        for check in (verify, read_message):
            with pytest.raises(UntrustedMessage, match="older than 10 s"):
                check(message(), BODY, secret=SECRET, now=NOW + 11, max_age_s=10)

    @pytest.mark.parametrize(
        "parameters",
        [
            f";created={NOW};keyid=up42",
            f'; keyid="up42"; created={NOW}; alg="hmac-sha256"',
            f';a="b;created=7;c";created={NOW}',
            f";created={NOW};expires",
        ],
    )
    def test_with_further_parameters(self, parameters):
        assert accepted(message(parameters=parameters))

    @pytest.mark.parametrize("listed", ["digest date", '"digest"  "date"', ' "digest" "date" '])
    def test_lists_in_other_writings(self, listed):
        assert accepted(message(covered={"digest": sha256(BODY), "date": "today"}, listed=listed))

    @pytest.mark.parametrize(
        "digest",
        [
            sha256(BODY, "SHA-256"),
            f"sha-256=:{sha256(BODY).partition('=')[2]}:",
            f"sha-512={base64.b64encode(hashlib.sha512(BODY).digest()).decode()}",
            f"md5=abc,{sha256(BODY)}",
            f"{sha256(BODY)}, unixsum=30637",
            f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:, {sha256(BODY)}",
        ],
    )
    @pytest.mark.parametrize("name", ["digest", "content-digest"])
    def test_digests_in_other_writings(self, digest, name):
        assert accepted(message(covered={name: digest}))

    def test_both_digests(self):
        assert accepted(message(covered={"digest": sha256(BODY), "content-digest": sha256(BODY)}))


class TestChanged:
    """Nothing of a signed message can be changed, only what nobody signs: the label, and (see below) the list."""

    @thoroughly
    @given(signed_messages(), st.data())
    def test_a_byte_of_the_body(self, sent, data):
        headers, body, secret = sent
        other = data.draw(st.one_of(_flipped(body), st.just(body + b"\n"), st.just(body[:-1])).filter(body.__ne__))
        assert not accepted(headers, other, secret=secret)

    @thoroughly
    @given(signed_messages(), st.data())
    def test_a_character_of_a_covered_header(self, sent, data):
        headers, body, secret = sent
        covered = [name.strip('"') for name in headers["signature-input"].partition("(")[2].partition(")")[0].split()]
        name = data.draw(st.sampled_from([name for name in covered if headers[name]]))
        assert not accepted({**headers, name: data.draw(_other_character(headers[name]))}, body, secret=secret)

    @thoroughly
    @given(signed_messages(), st.data())
    def test_a_character_of_the_signature(self, sent, data):
        headers, body, secret = sent
        label, value = headers["signature"].split("=", 1)
        assert not accepted(
            {**headers, "signature": f"{label}={data.draw(_other_character(value))}"}, body, secret=secret
        )

    def test_a_character_that_cannot_be_encoded(self):
        headers = message(covered={"date": "today?", "digest": sha256(BODY)})
        assert accepted(headers)
        assert not accepted({**headers, "date": "today\udcff"})

    def test_bits_of_the_signature_that_base64_ignores(self):
        headers = message()
        value = headers["signature"].removeprefix("up42-sig=")
        alike = [value[:-2] + last + "=" for last in string.ascii_letters + string.digits + "+/" if last != value[-2]]
        same_bytes = [text for text in alike if base64.b64decode(text) == base64.b64decode(value)]
        assert len(same_bytes) == 3
        assert not any(accepted({**headers, "signature": f"up42-sig={text}"}) for text in same_bytes)

    @thoroughly
    @given(signed_messages(), st.data())
    def test_the_secret(self, sent, data):
        headers, body, secret = sent
        other = data.draw(st.one_of(_other_character(secret), st.just(secret + " "), st.text()).filter(secret.__ne__))
        assert not accepted(headers, body, secret=other)

    @pytest.mark.parametrize("left_out", ["signature", "signature-input", "digest", "date"])
    def test_a_header_is_missing(self, left_out):
        headers = message(covered={"digest": sha256(BODY), "date": "today"})
        assert accepted(headers)
        del headers[left_out]
        with pytest.raises(UntrustedMessage, match=f"0 headers '{left_out}'"):
            verify(headers, BODY, secret=SECRET, now=NOW)

    def test_messages_without_any_header(self):
        assert not accepted({})

    def test_the_signature_of_another_message(self):
        other = message(b"{}")
        assert accepted(other, b"{}")
        assert not accepted({**message(), "signature": other["signature"]})


class TestAge:
    @pytest.mark.parametrize("now", [NOW - 1, NOW - 0.001, NOW - 10_000, float("nan"), float("-inf")])
    def test_from_the_future(self, now):
        with pytest.raises(UntrustedMessage, match="from the future"):
            verify(message(), BODY, secret=SECRET, now=now)

    @pytest.mark.parametrize("now", [NOW + 300.001, NOW + 301, NOW * 2, float("inf")])
    def test_too_old(self, now):
        with pytest.raises(UntrustedMessage, match="older than 300 s"):
            verify(message(), BODY, secret=SECRET, now=now)

    @pytest.mark.parametrize(
        "parameters",
        [
            "",
            ";keyid=1",
            ";created",
            ";created=",
            ";created=soon",
            ";created=-5",
            f";created={NOW}.5",
            f";created={NOW}e0",
            f";created={NOW:_}",
            f';created="{NOW}"',
            ";created=" + "9" * 4000,
            ";created=" + str(NOW).translate({ord(digit): 0x660 + int(digit) for digit in string.digits}),
            f';keyid="x;created={NOW}"',
            f';keyid="x;created={NOW};y"',
            f";notcreated={NOW}",
            f";x-created={NOW}",
            f";Created={NOW}",
        ],
    )
    def test_not_said(self, parameters):
        with pytest.raises(UntrustedMessage, match=r"say once when|not one list"):
            verify(message(parameters=parameters), BODY, secret=SECRET, now=NOW)

    @pytest.mark.parametrize(
        "parameters",
        [
            f";created={NOW};created={NOW}",
            f";created=1;created={NOW}",
            f";created={NOW};created=1",
            f";created={NOW};created",
        ],
    )
    def test_said_twice(self, parameters):
        with pytest.raises(UntrustedMessage, match="say once when"):
            verify(message(parameters=parameters), BODY, secret=SECRET, now=NOW)


class TestDigests:
    @pytest.mark.parametrize(
        "covered",
        [
            {"date": "today"},
            {"digest": ""},
            {"digest": "sha-256="},
            {"digest": "sha-256"},
            {"digest": sha256(b"another body")},
            {"digest": f"md5={base64.b64encode(hashlib.md5(BODY).digest()).decode()}"},
            {"digest": sha256(BODY).partition("=")[2]},
            {"digest": f"sha-256={hashlib.sha256(BODY).hexdigest()}"},
            {"digest": f"{sha256(BODY)},{sha256(b'another body')}"},
            {"digest": f"{sha256(b'another body')}, {sha256(BODY)}"},
            {"digest": f"{sha256(BODY)},sha-512=AAAA"},
            {"digest": sha256(BODY), "content-digest": sha256(b"another body")},
            {"content-digest": "", "digest": sha256(BODY)},
            {"x-digest": sha256(BODY)},
        ],
    )
    def test_that_do_not_cover_the_body(self, covered):
        with pytest.raises(UntrustedMessage, match="No signed digest"):
            verify(message(covered=covered), BODY, secret=SECRET, now=NOW)

    def test_that_are_not_signed(self):
        headers = message(covered={"date": "today"})
        with pytest.raises(UntrustedMessage, match="No signed digest"):
            verify({**headers, "digest": sha256(BODY)}, BODY, secret=SECRET, now=NOW)

    def test_of_other_headers_are_nobodys_business(self):
        assert accepted({**message(), "content-digest": sha256(b"another body")})


class TestAttacks:
    """What somebody can try who has recorded a message and may send any headers."""

    @thoroughly
    @given(data=st.data())
    def test_the_signed_text_cut_into_other_headers(self, data):
        """Nothing stands between the values and the list is not signed, so the cuts are anybody's choice."""
        recorded = message(covered={"date": "Mon, 2 Feb 2026", "digest": sha256(BODY), "x-list": "sha-256=, sha-512="})
        text = recorded["date"] + recorded["digest"] + recorded["x-list"]
        names = ["digest", "content-digest", "a", "b"]
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3)))
        pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        forged = dict(zip(data.draw(st.permutations(names)), pieces, strict=False))
        headers = message(covered=forged, created=NOW)
        assert headers["signature"] == recorded["signature"]
        assert not accepted(headers, b"", secret=SECRET)
        assert not accepted(headers, b'{"event": "order.status", "messageId": "forged"}', secret=SECRET)

    @pytest.mark.parametrize("listed", ["", " ", '"" ""'])
    def test_an_empty_list(self, listed):
        headers = {**message(covered={}, listed=listed), "digest": sha256(BODY)}
        with pytest.raises(UntrustedMessage, match="must cover headers"):
            verify(headers, BODY, secret=SECRET, now=NOW)

    def test_a_header_that_is_listed_twice(self):
        digest = sha256(BODY)
        headers = {
            **message(covered={"digest": digest}, listed='"digest" "digest"'),
            "signature": f"up42-sig={sign({1: digest, 2: digest})}",
        }
        with pytest.raises(UntrustedMessage, match="each of them once"):
            verify(headers, BODY, secret=SECRET, now=NOW)

    @pytest.mark.parametrize("name", ["digest", "signature", "signature-input"])
    def test_a_header_that_is_sent_twice(self, name):
        sent = Message()  # what http.server hands out: one name, several values
        for key, value in message().items():
            sent[key] = value
        assert accepted(sent)
        sent[name.upper()] = "something else"
        with pytest.raises(UntrustedMessage, match=f"2 headers '{name}'"):
            verify(sent, BODY, secret=SECRET, now=NOW)

    def test_others_may_come_twice(self):
        sent = Message()
        for key, value in [*message().items(), ("Via", "1.1 one"), ("Via", "1.1 two")]:
            sent[key] = value
        assert accepted(sent)

    @pytest.mark.parametrize(
        "template",
        [
            '{good}, other=("digest");created={now}',
            'other=("digest");created={now}, {good}',
            "{good} {good}",
            'up42-sig=("digest"',
            '("digest");created={now}',
            '=("digest");created={now}',
            'up42-sig=(("digest"));created={now}',
            'up42-sig=("digest")created={now}',
            'up42-sig=("digest");created={now};',
            'up42-sig=("digest");created={now};x="y',
            'up42-sig=("digest");created={now},x',
            'up42-sig=("digest" ("digest"));created={now}',
        ],
    )
    def test_anything_but_one_list(self, template):
        headers = message()
        forged = template.format(good=headers["signature-input"], now=NOW)
        with pytest.raises(UntrustedMessage, match="not one list"):
            verify({**headers, "signature-input": forged}, BODY, secret=SECRET, now=NOW)

    @pytest.mark.parametrize("signature", ["", "=", "up42-sig", "up42-sig=", "up42-sig= ", "up42-sig=AAAA"])
    def test_no_signature_to_speak_of(self, signature):
        with pytest.raises(UntrustedMessage, match="does not match"):
            verify({**message(), "signature": signature}, BODY, secret=SECRET, now=NOW)

    def test_two_signatures(self):
        headers = message()
        for forged in (f"{headers['signature']}, up42-sig=AAAA", f"up42-sig=AAAA, {headers['signature']}"):
            assert not accepted({**headers, "signature": forged})

    def test_webhooks_without_a_secret(self):
        with pytest.raises(UntrustedMessage, match="has no secret"):
            verify(message(secret=""), BODY, secret="", now=NOW)

    def test_no_secret_and_no_signature_is_told(self):
        with pytest.raises(UntrustedMessage) as caught:
            verify({**message(), "digest": sha256(b"x")}, b"x", secret=SECRET, now=NOW)
        assert SECRET not in str(caught.value)
        assert sign({"digest": sha256(b"x")}) not in str(caught.value)

    @thoroughly
    @given(
        st.dictionaries(
            st.sampled_from(["signature", "Signature-Input", "digest", "Content-Digest", "x", "", "é"]),
            st.one_of(
                st.text(),
                st.text(st.characters()),
                st.from_regex(r"up42-sig=\([^)]*\)(;[a-z]+=.*)*", fullmatch=True),
                st.from_regex(r"up42-sig=[A-Za-z0-9+/]{43}=", fullmatch=True),
                st.from_regex(r"(sha-256|sha-512|md5)=.{0,60}", fullmatch=True),
            ),
        ),
        st.binary(),
    )
    @example({"signature": "a=\udcff", "signature-input": f'a=("digest");created={NOW}', "digest": "\ud800"}, b"")
    @example({"signature": "é=é", "signature-input": f'a=("é");created={NOW}', "é": "é"}, b"")
    @example({"signature": "=", "signature-input": 'a=("x")' + ";a" * 20_000 + "!", "x": ""}, b"")
    @example({"signature": "=", "signature-input": "a=(" + "x " * 20_000 + f");created={NOW}", "x": "y" * 20_000}, b"")
    def test_garbage(self, headers, body):
        with pytest.raises(UntrustedMessage):
            read_message(headers, body, secret=SECRET, now=NOW)


class TestSignedAndUnreadable:
    """Whoever knows the secret is UP42: what it says wrongly is another matter than who says it."""

    @pytest.mark.parametrize("body", [b"", b"no JSON", b"\xff\xfe", b"[]", b"null", b'{"event": "order.status"}'])
    def test_is_not_called_untrusted(self, body):
        with pytest.raises(UnexpectedAnswer):
            read_message(message(body), body, secret=SECRET, now=NOW)

    def test_but_what_is_merely_new_is_read(self):
        body = json.dumps({"event": "asset.created", "messageId": "m", "body": {"assetId": "a"}, "v": 2}).encode()
        read = read_message(message(body), body, secret=SECRET, now=NOW)
        assert (read.event, read.order_id, read.job_id, read.body) == ("asset.created", None, None, {"assetId": "a"})
        assert read.raw["v"] == 2


def _flipped(body):
    """Bodies that differ in one bit."""

    def flip(bit):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return st.integers(0, len(body) * 8 - 1).map(flip) if body else st.just(b"x")


def _other_character(text):
    """Texts of the same length that differ in one character."""
    place = st.integers(0, len(text) - 1)
    characters = st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=("Cc",))
    return (
        st.tuples(place, characters)
        .map(lambda change: text[: change[0]] + change[1] + text[change[0] + 1 :])
        .filter(text.__ne__)
    )
