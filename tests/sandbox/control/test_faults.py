import email.utils
import hashlib
import time

import pytest
import requests

from up42_pipelines.sandbox.control import fault_answers
from up42_pipelines.sandbox.control.fault_rules import FaultOrder
from up42_pipelines.sandbox.control.faults import Entry, FaultBook, choose


@pytest.fixture(scope="module")
def running(start_sandbox):
    return start_sandbox()


@pytest.fixture
def faulty(running):
    """A sandbox without faults when a test begins and when it ends; none of them may look like an error of its own."""
    before = len(running.log.read_text())
    yield running
    running.http.delete(f"{running.url}/sandbox/faults").raise_for_status()
    assert "ERROR" not in running.log.read_text()[before:]


@pytest.fixture(scope="module")
def stored(running, take_scene):
    """A signed URL and the bytes behind it."""
    order_id = running.place(take_scene().id)
    running.wait_for_end(order_id)
    (item,) = running.wait_for_items(order_id)
    url = running.post(f"{_data_href(item)}/download-url").json()["url"]
    return url, requests.get(url).content


@pytest.fixture
def inject(faulty):
    def inject(*rules, seed=0):
        answer = requests.post(f"{faulty.url}/sandbox/faults", json={"faults": list(rules), "seed": seed})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return inject


def _data_href(item):
    href = next(asset["href"] for asset in item["assets"].values() if "data" in asset["roles"])
    return "/" + href.split("/", 3)[3]


def report(sandbox):
    return requests.get(f"{sandbox.url}/sandbox/faults").json()


def order_count(sandbox):
    return len(requests.get(f"{sandbox.url}/sandbox/ledger").json()["orders"])


def place(sandbox, scene):
    return sandbox.post(f"/v2/orders?workspaceId={sandbox.workspace_id}", sandbox.order_body(scene.id))


def test_dropped_before_nothing_is_bought_dropped_after_it_is(faulty, inject, take_scene):
    scene, before = take_scene(), order_count(faulty)
    inject({"kind": "drop_before", "method": "POST", "path": "/v2/orders"})
    with pytest.raises(requests.ConnectionError):
        place(faulty, scene)
    assert order_count(faulty) == before
    inject({"kind": "drop_after", "method": "POST", "path": "/v2/orders"})
    with pytest.raises(requests.ConnectionError):
        place(faulty, scene)
    assert order_count(faulty) == before + 1
    assert place(faulty, scene).status_code == 201


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_drop_reaches_a_connection_that_was_used_before(faulty, inject, kind):
    with requests.Session() as http:
        assert http.get(f"{faulty.url}/v2/collections").status_code == 200
        inject({"kind": kind, "path": "/v2/collections"})
        with pytest.raises(requests.ConnectionError):
            http.get(f"{faulty.url}/v2/collections")
        assert http.get(f"{faulty.url}/v2/collections").status_code == 200


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/orders", lambda body: (body["status"], body["title"]) == (401, "Unauthorized")),
        ("/v2/collections", lambda body: (body["status"], body["title"]) == (401, "Unauthorized")),
        ("/webhooks/events", lambda body: (body["error"]["code"], body["data"]) == ("UNAUTHORIZED", None)),
        ("/realms/public/protocol/openid-connect/userinfo", lambda body: body["error"] == "invalid_token"),
    ],
)
def test_unauthorized_comes_in_the_way_of_each_part(faulty, inject, path, told):
    inject({"kind": "unauthorized"})
    answer = faulty.get(path)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "ACCESS_TOKEN_EXPIRED" in answer.text
    assert told(answer.json())


def test_any_status_with_retry_after_and_body(faulty, inject):
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    inject(
        {"kind": "status", "status": 429, "retry_after": 3},
        {"kind": "status", "status": 503, "retry_after": date},
        {"kind": "status", "status": 500, "body": ["what", None]},
        {"kind": "status", "status": 500, "body": None},
        {"kind": "status", "status": 204},
    )
    seen = [faulty.get("/v2/orders") for _ in range(6)]
    assert [answer.status_code for answer in seen] == [429, 503, 500, 500, 204, 200]
    assert [answer.headers.get("Retry-After") for answer in seen[:3]] == ["3", date, None]
    assert seen[0].headers["Content-Type"] == "application/problem+json"
    assert (seen[0].json()["status"], seen[0].json()["title"]) == (429, "Too Many Requests")
    assert [answer.text for answer in seen[2:5]] == ['["what",null]', "null", ""]


def test_the_default_body_of_a_status_is_of_the_part_that_was_asked(faulty, inject, stored):
    inject({"kind": "status", "status": 502, "times": None})
    assert faulty.post("/catalog/hosts/sandbox-host/stac/search", {}).json()["error"]["code"] == 502
    assert faulty.get("/v2/orders").json()["status"] == 502
    assert "<Code>BadGateway</Code>" in requests.get(stored[0]).text
    assert requests.post(f"{faulty.url}/realms/public/protocol/openid-connect/token").json()["error"] == "unknown_error"


def test_a_delayed_request_is_carried_out_although_the_client_gives_up(faulty, inject, take_scene, await_true):
    scene, before = take_scene(), order_count(faulty)
    inject({"kind": "delay", "seconds": 0.3, "method": "POST", "path": "/v2/orders", "times": 2})
    asked = time.monotonic()
    assert place(faulty, scene).status_code == 201
    assert time.monotonic() - asked >= 0.3
    url = f"{faulty.url}/v2/orders?workspaceId={faulty.workspace_id}"
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, json=faulty.order_body(scene.id), headers=faulty.http.headers, timeout=0.1)
    await_true(lambda: order_count(faulty) == before + 2)


def test_a_truncated_download_announces_the_whole(inject, stored):
    url, whole = stored
    inject({"kind": "truncate", "bytes": 1000}, {"kind": "truncate", "bytes": 10**9})
    with requests.get(url, stream=True) as answer:
        assert (answer.status_code, int(answer.headers["Content-Length"])) == (200, len(whole))
        received = b""
        with pytest.raises(requests.exceptions.ChunkedEncodingError):  # noqa: PT012 - what came before counts
            for piece in answer.iter_content(100):
                received += piece
    assert received == whole[:1000]
    assert requests.get(url).content == whole


def test_a_slow_download_takes_its_time(inject, stored):
    url, whole = stored
    inject({"kind": "slow", "bytes_per_second": 1000})
    asked = time.monotonic()
    assert requests.get(url, headers={"Range": "bytes=0-299"}).content == whole[:300]
    assert time.monotonic() - asked >= 0.3


@pytest.mark.parametrize(("at", "index"), [(0, 0), (700, 700), (10**9, -1)])
def test_one_byte_differs(inject, stored, at, index):
    url, whole = stored
    inject({"kind": "flip_byte", "at": at})
    answer = requests.get(url)
    expected = bytearray(whole)
    expected[index] ^= 1
    assert hashlib.md5(answer.content).digest() == hashlib.md5(expected).digest()
    assert requests.get(url).content == whole


def test_a_length_that_is_too_small_passes_for_whole(inject, stored):
    url, whole = stored
    inject({"kind": "wrong_length", "by": -5})
    answer = requests.get(url)
    assert (answer.headers["Content-Length"], answer.content) == (str(len(whole) - 5), whole[:-5])
    assert answer.headers["x-goog-stored-content-length"] == str(len(whole))


def test_a_length_that_is_too_large_ends_in_a_broken_connection(inject, stored):
    url, whole = stored
    inject({"kind": "wrong_length", "by": 5})
    answer = requests.get(url, stream=True)
    assert answer.headers["Content-Length"] == str(len(whole) + 5)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = answer.content


def test_an_expired_url_is_told_as_the_bucket_does_and_nothing_else_is_hit(faulty, inject, stored):
    inject({"kind": "expired_url"})
    assert faulty.get("/v2/orders").status_code == 200
    answer = requests.get(stored[0])
    assert (answer.status_code, "<Code>ExpiredToken</Code>" in answer.text) == (400, True)
    assert requests.get(stored[0]).status_code == 200


def test_an_etag_changes_for_good_and_conditions_follow(inject, stored):
    url, whole = stored
    old = requests.get(url).headers
    inject({"kind": "changed_etag", "skip": 1})
    assert requests.get(url).headers["ETag"] == old["ETag"]
    new = requests.get(url).headers
    assert new["ETag"] not in ("", old["ETag"])
    assert int(new["x-goog-generation"]) != int(old["x-goog-generation"])
    assert requests.get(url).headers["ETag"] == new["ETag"]

    def ask(**headers):
        answer = requests.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return answer.status_code, answer.content

    assert ask(If_Match=old["ETag"])[0] == 412
    assert ask(If_Match=new["ETag"]) == (200, whole)
    assert ask(If_Match=f"{old['ETag']}, {new['ETag']}")[0] == 200
    assert ask(If_Match="*")[0] == 200
    assert ask(Range="bytes=5-9", If_Range=old["ETag"]) == (200, whole)
    assert ask(Range="bytes=5-9", If_Range=new["ETag"]) == (206, whole[5:10])


def test_clearing_gives_the_old_etag_back(faulty, inject, stored):
    old = requests.get(stored[0]).headers["ETag"]
    inject({"kind": "changed_etag"})
    assert requests.get(stored[0]).headers["ETag"] != old
    requests.delete(f"{faulty.url}/sandbox/faults")
    assert requests.get(stored[0]).headers["ETag"] == old


def test_ranges_can_be_unknown(inject, stored):
    url, whole = stored
    inject({"kind": "no_range"})
    answer = requests.get(url, headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (200, whole)
    assert not {"accept-ranges", "content-range"} & {name.lower() for name in answer.headers}
    assert requests.get(url, headers={"Range": "bytes=5-9"}).status_code == 206


def test_every_record_gains_unknown_fields(faulty, inject):
    plain = faulty.get("/v2/collections").json()
    inject({"kind": "extra_fields"})
    answer = faulty.get("/v2/collections")
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    extended = answer.json()
    names = set(extended) - set(plain)
    assert {type(extended[name]) for name in names} == {str, float, bool, type(None), list, dict}
    collection = extended["content"][0]
    for record in (extended["pageable"], collection, collection["providers"][0], collection["metadata"]):
        assert names <= set(record)
    assert set(plain["content"][0]) < set(collection)


def test_tables_by_name_gain_no_entries():
    item = {"assets": {"data": {"href": "a"}}, "properties": {"x": 1}, "bbox": [1, 2]}
    extended = fault_answers.with_extra_fields(item)
    assert set(extended["assets"]) == {"data"}
    assert set(extended["assets"]["data"]) > {"href", "unknownText"}
    assert extended["properties"]["x"] == 1
    assert extended["properties"]["unknownFlag"] is True
    assert extended["bbox"] == [1, 2]


def test_statuses_nobody_knows(faulty, inject, take_scene):
    order_id = faulty.place(take_scene().id)
    inject({"kind": "unknown_status", "path": f"/v2/orders/{order_id}"})
    assert faulty.get(f"/v2/orders/{order_id}").json()["status"] == fault_answers.UNKNOWN_STATUS
    assert faulty.status(order_id) != fault_answers.UNKNOWN_STATUS
    changed = fault_answers.with_unknown_statuses(
        {"status": 404, "jobs": [{"status": "running"}], "orderDetails": {"subStatus": "X"}, "decision": None}
    )
    assert changed == {
        "status": 404,
        "jobs": [{"status": "never_heard_of"}],
        "orderDetails": {"subStatus": "NEVER_HEARD_OF"},
        "decision": None,
    }


def test_faults_combine_what_is_said_before_how_much_of_it_arrives(faulty, inject):
    inject({"kind": "truncate", "bytes": 20}, {"kind": "extra_fields"}, {"kind": "delay", "seconds": 0})
    answer = requests.get(f"{faulty.url}/v2/collections", stream=True)
    assert int(answer.headers["Content-Length"]) > len(faulty.get("/v2/collections").content)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        _ = answer.content


def test_rules_are_listed_with_what_is_left_and_logged(faulty, inject):
    body = inject({"kind": "status", "status": 500, "path": "/v2/ord*", "times": 2}, {"kind": "delay", "seconds": 0})
    assert [rule["left"] for rule in body["faults"]] == [2, 1]
    faulty.get("/v2/orders?size=1")
    faulty.get("/sandbox/health")
    body = report(faulty)
    assert [(rule["kind"], rule["left"], rule["applied"]) for rule in body["faults"]] == [
        ("status", 1, 1),
        ("delay", 1, 0),
    ]
    (entry,) = body["log"]
    assert (entry.pop("at") > "2026", entry) == (True, {"method": "GET", "path": "/v2/orders", "kind": "status"})
    requests.delete(f"{faulty.url}/sandbox/faults")
    assert report(faulty) == {"faults": [], "log": []}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "faults: "),
        ({"faults": {}}, "faults: "),
        ({"faults": [], "seed": "1"}, "seed: "),
        ({"faults": [], "sede": 1}, "sede: "),
        ({"faults": [{"kind": "drop"}]}, "'drop'"),
        ({"faults": [{"path": "/x"}]}, "faults[0]: "),
        ({"faults": ["drop_before"]}, "faults[0]: "),
        ({"faults": [{"kind": "delay", "seconds": 1}, {"kind": "delay"}]}, "faults[1].seconds: "),
        ({"faults": [{"kind": "delay", "seconds": "1"}]}, "faults[0].seconds: "),
        ({"faults": [{"kind": "delay", "seconds": True}]}, "faults[0].seconds: "),
        ({"faults": [{"kind": "drop_before", "seconds": 1}]}, "faults[0].seconds: "),
        ({"faults": [{"kind": "list_lag"}]}, "faults[0].seconds: "),
        ({"faults": [{"kind": "list_lag", "seconds": -1}]}, "faults[0].seconds: "),
        ({"faults": [{"kind": "drop_before", "times": 0}]}, "faults[0].times: "),
        ({"faults": [{"kind": "drop_before", "times": 1.5}]}, "faults[0].times: "),
        ({"faults": [{"kind": "drop_before", "skip": -1}]}, "faults[0].skip: "),
        ({"faults": [{"kind": "drop_before", "probability": 1.1}]}, "faults[0].probability: "),
        ({"faults": [{"kind": "drop_before", "path": "v2/orders"}]}, "faults[0].path: "),
        ({"faults": [{"kind": "drop_before", "method": "post"}]}, "faults[0].method: "),
        ({"faults": [{"kind": "status", "status": 99}]}, "faults[0].status: "),
        ({"faults": [{"kind": "status", "status": 503, "retry_after": "soon"}]}, "faults[0].retry_after: "),
        ({"faults": [{"kind": "status", "status": 503, "retry_after": -1}]}, "faults[0].retry_after: "),
        ({"faults": [{"kind": "wrong_length", "by": 0}]}, "faults[0].by: "),
        ({"faults": [{"kind": "reorder_webhooks", "path": "/x"}]}, "faults[0].path: "),
    ],
)
def test_rules_that_make_no_sense_are_named_and_none_is_kept(faulty, body, named):
    answer = requests.post(f"{faulty.url}/sandbox/faults", json=body)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]
    assert report(faulty)["faults"] == []


def fired(rule, number, seed=0):
    """Which of so many requests a rule applies to."""
    (rule,) = FaultOrder.model_validate({"faults": [rule]}).faults
    entries, hits = (Entry(rule, (seed, 0)),), []
    for index in range(number):
        entries, applied = choose(entries, lambda _: True)
        hits += [index] * len(applied)
    return hits


def test_skip_and_times_count_matches():
    assert fired({"kind": "drop_before"}, 5) == [0]
    assert fired({"kind": "drop_before", "times": 2, "skip": 1}, 5) == [1, 2]
    assert fired({"kind": "drop_before", "times": None, "skip": 3}, 5) == [3, 4]


def test_draws_follow_from_the_seed():
    rule = {"kind": "drop_before", "times": None, "probability": 0.3}
    hits = fired(rule, 1000)
    assert hits == fired(rule, 1000)
    assert hits != fired(rule, 1000, seed=1)
    assert 250 < len(hits) < 350
    assert fired({**rule, "times": 2}, 1000) == hits[:2]
    assert fired({**rule, "probability": 0}, 100) == []


def test_only_the_first_rule_that_replaces_an_answer_is_used_up():
    book = FaultBook()
    rules = [{"kind": "delay", "seconds": 0}, {"kind": "status", "status": 500}, {"kind": "drop_before"}]
    book.add(FaultOrder.model_validate({"faults": [*rules, {"kind": "duplicate_webhook"}]}))
    seen = [[rule.kind for rule in book.meet_request("GET", "/v2/orders", 0)] for _ in range(3)]
    assert seen == [["delay", "status"], ["drop_before"], []]
    assert [rule.kind for rule in book.meet_message("duplicate_webhook", "http://localhost", 0)] == [
        "duplicate_webhook"
    ]


def test_methods_and_paths_are_matched():
    def hit(asked_method, asked_path, **rule):
        (rule,) = FaultOrder.model_validate({"faults": [{"kind": "drop_before", **rule}]}).faults
        return rule.matches(asked_method, asked_path)

    assert hit("GET", "/v2/orders")
    assert hit("GET", "/v2/orders/1/cancellation", path="/v2/orders/*")
    assert not hit("GET", "/v2/orders", path="/v2/orders/*")
    assert not hit("GET", "/v2/orders", method="POST")
