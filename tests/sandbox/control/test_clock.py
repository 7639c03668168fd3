import requests

from up42_pipelines.sandbox.core.clock import Clock, parse_instant, real_now


def clock(sandbox):
    return requests.get(f"{sandbox.url}/sandbox/clock").json()


def advance(sandbox, seconds):
    answer = requests.post(f"{sandbox.url}/sandbox/clock", json={"advance": seconds})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_time_passes_at_once_for_orders_and_deliveries_and_for_good(start_sandbox, take_scene):
    first = start_sandbox(speed=0.001)
    order_id = first.place(take_scene().id)
    assert first.status(order_id) in ("CREATED", "BEING_PLACED")
    # Ten simulated minutes are the most that an order takes.
    assert advance(first, 600 / 0.001)["aheadSeconds"] == 600_000
    assert first.status(order_id) == "FULFILLED"
    advance(first, 120 / 0.001)
    (item,) = first.items_of(order_id)
    # Tokens and signed URLs are on real time: both are younger than five minutes.
    assert first.data_of(item)
    order = first.get(f"/v2/orders/{order_id}").json()
    assert (parse_instant(order["updatedAt"]) - parse_instant(order["createdAt"])).total_seconds() > 100_000
    ahead = clock(first)["aheadSeconds"]
    assert ahead == 720_000
    first.kill()
    second = start_sandbox(first.state)
    assert clock(second)["aheadSeconds"] == ahead
    assert second.status(order_id) == "FULFILLED"
    health = requests.get(f"{second.url}/sandbox/health").json()
    assert (health["status"], health["clock"]["aheadSeconds"]) == ("ok", ahead)


def test_what_is_no_time_is_refused(start_sandbox):
    running = start_sandbox()
    before = clock(running)["aheadSeconds"]
    for body in (
        {},
        {"advance": -1},
        {"advance": "1"},
        {"advance": True},
        {"advance": 1, "speed": 2},
        {"advance": 1e300},
    ):
        answer = requests.post(f"{running.url}/sandbox/clock", json=body)
        assert answer.status_code == 400, body
    assert advance(running, 0)["aheadSeconds"] == before == 0
    assert advance(running, 0.5)["aheadSeconds"] == 0.5


def test_a_clock_runs_ahead_of_the_real_one():
    now = Clock(ahead=1_000_000)
    now.advance(500_000)
    before = real_now()
    assert before + 1_500_000 <= now() <= real_now() + 1_500_000
    assert now.ahead == 1_500_000
