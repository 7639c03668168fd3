"""What an account may buy and cancel, at a sandbox of its own: access and the fate of orders hold for everybody."""

import pytest
import requests
from shapely.geometry import box

from up42_pipelines.errors import ApiError, LegalBlock, NotAuthorized

AREA = box(12.48, 41.88, 12.49, 41.89)


@pytest.fixture(scope="module")
def own(start_sandbox):
    return start_sandbox("--speed", "5000")


@pytest.fixture(scope="module")
def client(own):
    client = own.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def wanted(client, scenes_at, order_input):
    return order_input(client, AREA, scene=scenes_at(client, AREA)[0])


@pytest.fixture(scope="module")
def tell(own):
    def tell(path, body):
        requests.post(f"{own.url}/sandbox/{path}", json=body, timeout=10).raise_for_status()

    return tell


def test_a_eula_that_is_not_accepted(client, wanted, tell):
    product = client.catalog.collection("sandbox-optical").data_product(wanted.data_product)
    tell("access", {"eulas": {product.eula_id: False}})
    with pytest.raises(LegalBlock, match=f"Accept EULA {product.eula_id} in the UP42 console") as caught:
        client.orders.place(wanted)
    assert (caught.value.eula_id, caught.value.collection) == (product.eula_id, None)
    assert not client.processing.eula(product.eula_id).is_accepted
    tell("access", {"eulas": {product.eula_id: True}})
    assert client.orders.place(wanted).results


def test_a_collection_that_is_restricted(client, wanted, tell):
    tell("access", {"collections": {"sandbox-optical": False}})
    with pytest.raises(LegalBlock, match="Request access to collection sandbox-optical") as caught:
        client.orders.place(wanted)
    assert (caught.value.eula_id, caught.value.collection) == (None, "sandbox-optical")
    tell("access", {"collections": {"sandbox-optical": True}})
    assert client.orders.place(wanted).results


def test_an_order_without_the_budget_that_is_demanded(client, wanted, tell):
    tell("access", {"budgetEnforcement": True})
    with pytest.raises(NotAuthorized):
        client.orders.place(wanted)
    budget = next(client.account.budgets(status=["ACTIVE"]))
    order_id = client.orders.place(wanted.model_copy(update={"budget_id": budget.id})).results[0].id
    with pytest.raises(NotAuthorized):
        client.orders.update(order_id, budget_id=None)
    assert client.orders.get(order_id).budget_id == budget.id
    tell("access", {"budgetEnforcement": False})


def test_an_order_that_is_too_far_to_be_cancelled(client, wanted, tell, wait_for):
    tell("fates", {"kind": "order", "fate": "fulfilled"})
    order_id = client.orders.place(wanted).results[0].id
    wait_for(lambda: client.orders.get(order_id).is_final)
    with pytest.raises(ApiError, match=f"cannot be canceled.*{order_id} is FULFILLED") as caught:
        client.orders.cancel(order_id)
    assert caught.value.status == 409
    assert client.orders.get(order_id).is_fulfilled


def test_an_order_that_failed(client, wanted, tell, wait_for):
    tell("fates", {"kind": "order", "fate": "failed"})
    order_id = client.orders.place(wanted).results[0].id
    order = wait_for(lambda: (order := client.orders.get(order_id)).is_final and order)
    assert order.is_failed
    assert not order.is_fulfilled
