"""What the chaos suite draws: the same for the same seed, and nothing that was not promised."""

from tests.chaos.schedule import (
    JOBS,
    LONG_STALL_S,
    ORDERS,
    SHORT_STALL_S,
    TIMING,
    drawn,
    killed_at,
    path,
    stall_s,
    written_ahead,
)

PLAIN = [*["open"] * 60, "connect", "send POST /v2/orders", "send body", "sent", "answered", *["open"] * 15]
MANY = [drawn(7, number, plain=PLAIN) for number in range(500)]


def test_the_same_seed_draws_the_same_schedules():
    assert [drawn(7, number, plain=PLAIN) for number in range(500)] == MANY
    assert [drawn(8, number, plain=PLAIN) for number in range(500)] != MANY


def test_lists_never_lag_as_long_as_the_settling_delay():
    lags = [rule["seconds"] for one in MANY for rule in one.rules if rule["kind"] == "list_lag"]
    assert TIMING.lease_s + TIMING.skew_s < max(lags) < TIMING.settling_s - TIMING.start_s


def test_lists_do_not_lag_when_a_process_stalls():
    stalled = [one for one in MANY if any(part.stall for part in one.parts)]
    assert stalled
    assert not [one for one in stalled for rule in one.rules if rule["kind"] == "list_lag"]


def test_stalls_are_long_enough_to_be_taken_for_death_and_no_longer_than_is_promised():
    taken_for_dead, doubted = TIMING.lease_s + TIMING.skew_s, TIMING.lease_s + TIMING.skew_s + TIMING.settling_s
    assert taken_for_dead < SHORT_STALL_S < TIMING.lease_s - TIMING.start_s + TIMING.settling_s
    assert doubted < LONG_STALL_S
    stalls = {point: stall_s(point) for point in PLAIN}
    short = dict.fromkeys(("connect", "send POST /v2/orders", "send body"), SHORT_STALL_S)
    assert stalls == {**dict.fromkeys(("open", "sent", "answered"), LONG_STALL_S), **short}


def test_everything_that_can_go_wrong_is_drawn():
    kinds = {rule["kind"] for one in MANY for rule in one.rules}
    assert kinds == {"list_lag", "status", "drop_before", "drop_after", "delay"}
    assert {one.ceiling for one in MANY} == {None, "month", "pipeline", "partition", "run"}
    assert {len(one.parts) for one in MANY} == {1, 2, 3}
    assert {one.removed for one in MANY} == {(), ("intents",), ("ledgers",), ("intents", "ledgers")}
    assert {kill for one in MANY for part in one.parts for kill in part.kills} == set(range(1, len(PLAIN) + 1))


def test_a_ceiling_per_run_is_not_asked_to_outlive_its_ledger():
    assert not [one for one in MANY if one.removed and one.ceiling == "run"]


def test_what_was_left_behind_was_left_in_the_request_that_spends():
    assert path("orphan", PLAIN).parts[0].kills == (62,)
    assert path("takeover", PLAIN).parts[0].kills == (64,)
    assert killed_at(path("takeover", PLAIN), 9).parts[0].kills == (64, 9)


def test_each_trade_has_its_own_request_that_spends():
    points = [point.replace("/v2/orders", JOBS.spends_at) for point in PLAIN]
    assert path("orphan", points, trade=JOBS).parts[0].kills == (62,)
    assert path("lost", trade=JOBS).rules[-1]["path"] == JOBS.spends_at
    faults = {(rule["method"], rule["path"]) for rule in drawn_rules(JOBS, points) if rule["kind"] == "status"}
    assert faults == {("GET", JOBS.looks_at), ("POST", JOBS.spends_at)}


def drawn_rules(trade, points):
    return [rule for number in range(100) for rule in drawn(7, number, plain=points, trade=trade).rules]


def test_execution_begins_where_it_is_written_ahead():
    intents = "open purchases/intents/k/.000001.json.part"
    points = [intents, "send POST /token", intents, "fsync", ORDERS.spends, "sent", intents]
    assert written_ahead(points, ORDERS) == 3
    assert written_ahead(["fsync", intents], ORDERS) == 1, "a life that only finds what is there goes all the way"
