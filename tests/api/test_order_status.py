"""What each status of an order means, by our own table and by the contract's."""

import copy
import json
import pickle
import re

import pytest

from up42_pipelines.api import Order, OrderStatus, OrderSubStatus
from up42_pipelines.api.order_status import DELIVERING_STATUSES

MEANING = {
    "CREATED": (False, False, False),
    "BEING_PLACED": (False, False, False),
    "PLACED": (False, False, False),
    "PLACEMENT_FAILED": (False, False, False),
    "BEING_FULFILLED": (False, False, True),
    "DELIVERY_INITIALIZATION_FAILED": (False, False, False),
    "DOWNLOAD_FAILED": (False, False, False),
    "DOWNLOADED": (False, False, True),
    "FULFILLED": (True, False, True),
    "FAILED_PERMANENTLY": (True, True, False),
    "FAILED": (True, True, False),
    "CANCELED": (True, True, False),
}
"""Whether it is terminal, a failure, delivering."""
WAITING = {"FEASIBILITY_WAITING_RESPONSE", "QUOTATION_WAITING_RESPONSE"}


def order(status, sub_status=None):
    details = {"geometry": {}} | ({"subStatus": sub_status} if sub_status is not None else {})
    return Order.parse({"id": "o-1", "status": status, "type": "TASKING", "orderDetails": details})


class TestStatus:
    def test_all_are_in_the_table(self):
        assert [status.value for status in OrderStatus] == list(MEANING)

    @pytest.mark.parametrize(("value", "meaning"), MEANING.items())
    def test_what_it_means(self, value, meaning):
        status = OrderStatus(value)
        assert (status.is_terminal, status.is_failure, status.is_delivering) == meaning
        assert (status in DELIVERING_STATUSES) == status.is_delivering
        assert re.fullmatch(r"[a-zA-Z].{10,}", status.meaning)

    @pytest.mark.parametrize(("value", "meaning"), MEANING.items())
    def test_what_it_means_for_an_order(self, value, meaning):
        terminal, failure, _ = meaning
        found = order(value)
        assert (found.is_final, found.is_failed, found.is_fulfilled) == (terminal, failure, value == "FULFILLED")

    @pytest.mark.parametrize("status", ["QUALITY_CONTROL", "CANCELLED", "FAILED PERMANENTLY", "created", ""])
    def test_an_unknown_one_is_carried_as_text_and_not_final(self, status):
        found = order(status)
        assert found.status == status
        assert not isinstance(found.status, OrderStatus)
        assert (found.is_final, found.is_failed, found.is_fulfilled) == (False, False, False)

    def test_members_are_their_text_everywhere(self):
        status = OrderStatus.CREATED
        assert f"{status} {status!s}" == "CREATED CREATED"
        assert json.dumps([status]) == '["CREATED"]'
        assert pickle.loads(pickle.dumps(status)) is copy.deepcopy(status) is status


class TestSubStatus:
    @pytest.mark.parametrize("sub_status", list(OrderSubStatus))
    def test_whose_turn_it_is(self, sub_status):
        assert sub_status.waits_for_user == (sub_status.value in WAITING)
        assert re.fullmatch(r"[a-zA-Z].{10,}", sub_status.meaning)
        found = order("CREATED", sub_status.value)
        assert found.sub_status is sub_status
        assert found.waits_for_user == (sub_status.value in WAITING)

    @pytest.mark.parametrize("status", ["PLACED", "SOMETHING_NEW"])
    def test_it_is_the_users_turn_in_any_status_that_goes_on(self, status):
        assert order(status, "QUOTATION_WAITING_RESPONSE").waits_for_user

    @pytest.mark.parametrize("status", ["CANCELED", "FAILED_PERMANENTLY", "FULFILLED"])
    def test_but_not_once_the_order_is_over(self, status):
        assert not order(status, "QUOTATION_WAITING_RESPONSE").waits_for_user

    @pytest.mark.parametrize("sub_status", ["SOMETHING_NEW", "", 5, {"deep": 1}])
    def test_an_unknown_one_is_carried_as_it_is(self, sub_status):
        found = order("CREATED", sub_status)
        assert found.sub_status == sub_status
        assert not found.waits_for_user

    @pytest.mark.parametrize("details", [None, {}, {"aoi": {}, "imageId": "s"}, {"subStatus": None}])
    def test_archive_orders_have_none(self, details):
        found = Order.parse({"id": "o-1", "status": "CREATED", "orderDetails": details})
        assert found.sub_status is None
        assert not found.waits_for_user


@pytest.fixture(scope="module")
def contract(shared_data):
    path = shared_data.parent / "reference" / "up42-api.md"
    if not path.is_file():
        pytest.skip("the contract is not beside this checkout")
    return path.read_text()


class TestContract:
    def test_statuses(self, contract):
        section = contract.split("### 3.7 Order statuses")[1].split("### 3.8")[0]
        rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
        table = {status: end.strip(" *") for names, _, end, _ in rows for status in re.findall(r"`(\w+)`", names)}
        assert set(table) == set(MEANING)
        for status, end in table.items():
            terminal, failure, _ = MEANING[status]
            assert terminal == end.startswith("yes"), status
            if "success" in end or "failure" in end:
                assert failure == ("failure" in end), status

    def test_all_values(self, contract):
        def values(name):
            [row] = [line for line in contract.splitlines() if line.startswith(f"| {name} |")]
            return set(re.findall(r"\b[A-Z][A-Z_]{5,}\b", row.split("|")[2]))

        assert values("order.status") == set(OrderStatus)
        assert values("order.orderDetails.subStatus") == set(OrderSubStatus)
