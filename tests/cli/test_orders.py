"""`orders`."""

import pytest

from up42_pipelines.api import OrderStatus
from up42_pipelines.cli.orders import changed_tags


def ids(said):
    return [line.split()[0] for line in said.lines[1:]]


def test_the_list(cli, shop):
    newest = shop.order("newest order")[0]
    said = cli("orders list")
    assert said.lines[0].split() == ["order", "created", "status", "name"]
    assert ids(said)[0] == newest
    assert said.lines[1].endswith("newest order")
    assert [one["id"] for one in cli("orders list --json").json] == ids(said)


def test_json_is_what_up42_sent(cli, shop):
    order_id = shop.tasking_order("raw order")
    shop.client.orders.update(order_id, tags=["json"])
    shop.client.orders.cancel(order_id)
    assert cli("orders list --tag json --json").json == [order.raw for order in shop.client.orders.list(tags=["json"])]
    assert cli(f"orders show {order_id} --json").json == shop.client.orders.get(order_id).raw


def test_filters(cli, shop, wait_for):
    given_up = shop.order("given up", fate="failed", tags=("filtered",))[0]
    tasking = shop.tasking_order("filtered tasking")
    wait_for(lambda: shop.client.orders.get(given_up).is_failed)
    wait_for(lambda: shop.client.orders.get(tasking).sub_status == "FEASIBILITY_WAITING_RESPONSE")
    assert ids(cli("orders list --tag filtered --tag other")) == [given_up]
    assert given_up in ids(cli("orders list --status failed_permanently"))
    assert given_up not in ids(cli("orders list --status FULFILLED --status CREATED"))
    assert ids(cli("orders list --name 'tered task' --type tasking")) == [tasking]
    assert tasking in ids(cli("orders list --sub-status FEASIBILITY_WAITING_RESPONSE"))
    assert "CREATED (your turn)" in cli("orders list --name 'filtered tasking'").stdout


def test_nothing_found_is_no_failure(cli):
    said = cli("orders list --tag nobody-has-this")
    assert (said.code, said.stdout, said.stderr) == (0, "", "No orders.\n")
    assert cli("orders list --tag nobody-has-this --json").json == []


def test_a_limit_asks_for_no_more_than_it_needs(cli, shop):
    shop.order("many", times=5)
    shop.control("faults", {"faults": [{"kind": "delay", "seconds": 0, "path": "/v2/orders", "times": None}]})
    try:
        assert len(cli("orders list --limit 2 --json").json) == 2
        assert len(shop.control("faults", method="GET")["log"]) == 1
    finally:
        shop.control("faults", method="DELETE")


def test_an_order_in_words_with_its_items(cli, shop, fulfilled):
    said = cli(f"orders show {fulfilled}")
    assert f"status        FULFILLED: {OrderStatus.FULFILLED.meaning}" in said.lines
    (item,) = shop.client.storage.items_of_order(fulfilled)
    for key, asset in item.assets.items():
        asset_id = asset.href.rpartition("/")[2]
        assert [item.id, key, asset_id] in [line.split() for line in said.lines]


def test_the_sub_status_in_words(cli, shop, wait_for):
    order_id = shop.tasking_order()
    wait_for(lambda: shop.client.orders.get(order_id).waits_for_user)
    assert (
        "sub-status    FEASIBILITY_WAITING_RESPONSE: choose an option of the feasibility study"
        in cli(f"orders show {order_id}").lines
    )


def test_a_status_that_nobody_knows_yet_is_shown(cli, shop, fulfilled):
    shop.control("faults", {"faults": [{"kind": "unknown_status", "path": f"/v2/orders/{fulfilled}"}]})
    try:
        assert "this version does not know it" in cli(f"orders show {fulfilled}").stdout
    finally:
        shop.control("faults", method="DELETE")


def test_cancelling(cli, shop):
    order_id = shop.tasking_order("to be cancelled")
    said = cli(f"orders cancel {order_id} --yes")
    assert said.code == 0
    assert "status  CANCELED: it was cancelled" in said.lines
    assert shop.client.orders.get(order_id).status == OrderStatus.CANCELED


def test_cancelling_prints_the_order_as_json(cli, shop):
    order_id = shop.tasking_order("to be cancelled")
    cancelled = cli(f"orders cancel {order_id} --yes --json").json
    assert (cancelled["id"], cancelled["status"]) == (order_id, "CANCELED")


def test_nothing_is_cancelled_when_nobody_can_be_asked(cli, shop):
    order_id = shop.tasking_order("to be kept")
    said = cli(f"orders cancel {order_id}", typed="y\n")
    assert (said.code, said.stdout) == (2, "")
    assert "give --yes" in said.stderr
    assert shop.client.orders.get(order_id).status == OrderStatus.CREATED


def test_a_question_that_is_left_without_an_answer(cli, shop, monkeypatch):
    monkeypatch.setattr("up42_pipelines.cli.consent.somebody_is_there", lambda: True)
    order_id = shop.tasking_order("to be kept")
    said = cli(f"orders cancel {order_id}", typed="")  # as after Ctrl-C or Ctrl-D
    assert (said.code, said.stdout) == (130, "")
    assert shop.client.orders.get(order_id).status == OrderStatus.CREATED


def test_too_late_to_cancel(cli, fulfilled):
    said = cli(f"orders cancel {fulfilled} --yes")
    assert said.code == 1
    assert "FULFILLED" in said.stderr


def test_tags_are_added_and_removed_and_the_others_stay(cli, shop):
    order_id = shop.order("tagged", tags=("draft", "harbour"))[0]
    assert cli(f"orders tag {order_id} --add reviewed --remove draft --json").json["tags"] == ["harbour", "reviewed"]
    assert shop.client.orders.get(order_id).tags == ("harbour", "reviewed")
    said = cli(f"orders tag {order_id} --add harbour")
    assert (said.code, said.stderr) == (0, "The tags are like that already.\n")


def test_a_tag_by_which_a_pipeline_finds_its_order_is_not_removed_unasked(cli, shop):
    order_id = shop.order("bought by a pipeline", tags=("key:4711", "x"))[0]
    said = cli(f"orders tag {order_id} --remove key:4711")
    assert said.code == 2
    assert "may buy the same again" in said.stderr
    assert "key:4711" in shop.client.orders.get(order_id).tags
    assert cli(f"orders tag {order_id} --remove key:4711 --yes --json").json["tags"] == ["x"]


def test_tagging_with_nothing_to_do_is_wrong_usage(cli, fulfilled):
    assert cli(f"orders tag {fulfilled}").code == 2


@pytest.mark.parametrize(
    ("tags", "add", "remove", "afterwards"),
    [
        (["a", "b"], ["c"], [], ["a", "b", "c"]),
        (["a", "b"], ["a"], [], ["a", "b"]),
        (["a", "b"], [], ["a", "z"], ["b"]),
        (["a"], ["a"], ["a"], ["a"]),
        ([], ["x", "x"], [], ["x"]),
    ],
)
def test_changed_tags(tags, add, remove, afterwards):
    assert changed_tags(tags, add=add, remove=remove) == afterwards


def test_watching_tells_each_change_until_the_end(cli, shop):
    [order_id] = shop.order("watched")
    said = cli(f"orders watch {order_id} --every 0.1 --for 30")
    assert (said.code, said.stderr) == (0, "")
    assert {line.split()[0] for line in said.lines} == {order_id}
    assert said.lines[-1] == f"{order_id} FULFILLED: {OrderStatus.FULFILLED.meaning}"
    assert cli(f"orders watch {order_id} --json").json == [shop.client.orders.get(order_id).raw]


def test_watching_what_fails_or_takes_too_long_fails(cli, shop):
    [given_up] = shop.order("to be given up", fate="failed")
    said = cli(f"orders watch {given_up} --every 0.1 --for 30")
    assert (said.code, said.stderr) == (1, "")
    assert said.lines[-1].startswith(f"{given_up} FAILED_PERMANENTLY: ")
    waiting = shop.tasking_order("nobody decides")
    said = cli(f"orders watch {waiting} --every 0.1 --for 0.05")
    assert said.code == 1
    assert f"error: After 0.05 s UP42 is not done: {waiting} is " in said.stderr
