"""Tasking at the sandbox: whole orders, from form to last delivery. Nothing happens until a test lets time pass."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from shapely import unary_union
from shapely.geometry import box, shape

from up42_pipelines.api import Decision, OrderStatus, OrderSubStatus, QuotationSort, StudySort
from up42_pipelines.errors import AlreadyDecided, InvalidParams, InvalidRequest, NotFound

AREA = box(12.40, 41.85, 12.46, 41.90)
HALF = box(12.40, 41.85, 12.43, 41.90)
NOBODY = str(uuid.UUID(int=1))


@pytest.fixture(scope="module")
def client(paused):
    client = paused.client()
    yield client
    client.transport.close()


@pytest.fixture(scope="module")
def let_pass(steer):
    """Advance the sandbox's clock, seconds."""
    return lambda seconds: steer("clock", advance=seconds)


@pytest.fixture(scope="module")
def task(client, steer, order_input):
    """`task(fate=None, area=AREA, **params)`: places a tasking order, after checking its form, and returns its id."""
    [collection] = client.catalog.collections(type="TASKING")
    form = client.catalog.order_form(collection.data_product("analytic").id)
    where = {"collection": collection.name, "product": "analytic"}
    first = datetime.now(UTC) + timedelta(days=3)

    def task(fate="fulfilled", area=AREA, **changes):
        params = {
            "acquisitionStart": first.isoformat(),
            "acquisitionEnd": (first + timedelta(days=20)).isoformat(),
            "cloudCoverage": 10,
            **changes,
        }
        form.check(params)
        steer("fates", kind="order", fate=fate)
        order = order_input(client, area, scene=None, params=params, **where)
        [line] = client.orders.place(order).results
        return line.id

    return task


@pytest.fixture
def offered(client, task, let_pass):
    """Places an order and lets time pass until there is its study."""

    def offered(*args, **options):
        order_id = task(*args, **options)
        let_pass(180)
        [study] = client.tasking.studies(order_id=order_id)
        return study

    return offered


@pytest.fixture
def priced(client, offered, let_pass):
    """The same until there is its quotation."""

    def priced(*args, **options):
        study = offered(*args, **options)
        client.tasking.choose_option(study.id, study.options[0].id)
        let_pass(180)
        [quotation] = client.tasking.quotations(order_id=study.order_id)
        return quotation

    return priced


def credits_of(paused, order_id):
    [entry] = [one for one in paused.ledger() if one["id"] == order_id]
    return sum(charge["credits"] for charge in entry["charges"])


class TestForm:
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"cloudCoverage": 60}, "cloudCoverage"),
            ({"cloudcover": 10}, "cloudcover"),
            ({"acquisitionMode": "tri"}, "acquisitionMode: 'tri' is none of 'mono', 'stereo'"),
            ({"acquisitionStart": "tomorrow"}, "acquisitionStart"),
        ],
    )
    def test_is_checked_before_anything_is_sent(self, task, paused, changes, told):
        before = len(paused.ledger())
        with pytest.raises(InvalidParams, match=told):
            task(**changes)
        assert len(paused.ledger()) == before


class TestLife:
    """One order each, from its placement to its end."""

    def test_to_the_last_delivery(self, client, task, let_pass, paused):
        tasking, orders = client.tasking, client.orders
        order_id = task("in_parts")
        order = orders.get(order_id)
        assert (order.type, order.status) == ("TASKING", OrderStatus.CREATED)
        assert (order.sub_status, order.waits_for_user) == (OrderSubStatus.FEASIBILITY_WAITING_UPLOAD, False)
        assert shape(order.aoi).equals(AREA)
        assert list(tasking.studies(order_id=order_id)) == []

        let_pass(180)
        order = orders.get(order_id)
        assert (order.sub_status, order.waits_for_user) == (OrderSubStatus.FEASIBILITY_WAITING_RESPONSE, True)
        [study] = tasking.studies(order_id=order_id)
        assert (study.is_open, study.workspace_id, study.type) == (True, client.workspace_id, "MANUAL")
        assert {option.study_id for option in study.options} == {study.id}
        assert all(option.description for option in study.options)
        option = study.options[-1]

        chosen = tasking.choose_option(study.id, option.id)
        assert (chosen.id, chosen.is_open, chosen.decision, chosen.decision_option.id) == (
            study.id,
            False,
            Decision.ACCEPTED,
            option.id,
        )
        assert (chosen.decision_by_id, chosen.decision_by_type) == (client.workspace_id, "USER")
        assert chosen.decision_at > study.created_at
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_WAITING_UPLOAD
        assert list(tasking.quotations(order_id=order_id)) == []

        let_pass(180)
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_WAITING_RESPONSE
        [quotation] = tasking.quotations(order_id=order_id)
        assert quotation.is_open
        assert quotation.credits_price > 0
        assert credits_of(paused, order_id) == 0

        accepted = tasking.accept_quotation(quotation.id)
        assert (accepted.decision, accepted.credits_price) == (Decision.ACCEPTED, quotation.credits_price)
        assert credits_of(paused, order_id) == quotation.credits_price
        assert orders.get(order_id).sub_status is OrderSubStatus.QUOTATION_ACCEPTED

        percent = []
        while not (order := orders.get(order_id)).is_final:
            percent.append(tasking.coverage(order_id).covered.percentage)
            let_pass(60)
        assert order.is_fulfilled
        assert percent == sorted(percent)
        assert percent[0] == 0
        assert 0 < percent[-1] < 100
        coverage = tasking.coverage(order_id)
        assert (coverage.covered.percentage, coverage.remainder.percentage) == (100, 0)
        assert coverage.covered.sq_km_area == pytest.approx(27.6, abs=1)
        let_pass(120)
        items = client.storage.items_of_order(order_id)
        assert len(items) >= 2
        delivered = unary_union([shape(item.geometry) for item in items])
        assert delivered.buffer(1e-6).covers(AREA)

    def test_rejected(self, client, priced, let_pass, paused):
        quotation = priced()
        rejected = client.tasking.reject_quotation(quotation.id)
        assert (rejected.decision, rejected.is_open) == (Decision.REJECTED, False)
        let_pass(60)
        order = client.orders.get(quotation.order_id)
        assert (order.status, order.sub_status) == (OrderStatus.CANCELED, OrderSubStatus.QUOTATION_REJECTED)
        assert not order.waits_for_user
        assert credits_of(paused, order.id) == 0
        assert client.tasking.coverage(order.id).covered.percentage == 0

    def test_given_up(self, client, priced, let_pass):
        quotation = priced("failed")
        client.tasking.accept_quotation(quotation.id)
        let_pass(2000)
        assert client.orders.get(quotation.order_id).status is OrderStatus.FAILED_PERMANENTLY

    def test_cancelled_while_it_waits(self, client, offered):
        study = offered()
        assert client.orders.cancel(study.order_id) == "CANCELED"
        order = client.orders.get(study.order_id)
        assert (order.is_final, order.waits_for_user) == (True, False)
        with pytest.raises(AlreadyDecided):
            client.tasking.choose_option(study.id, study.options[0].id)


class TestTwice:
    def test_study(self, client, offered):
        study = offered()
        first, second = study.options
        client.tasking.choose_option(study.id, first.id)
        for option in (first, second):
            with pytest.raises(AlreadyDecided, match="write-protected"):
                client.tasking.choose_option(study.id, option.id)
        [kept] = client.tasking.studies(study_id=study.id)
        assert kept.decision_option.id == first.id

    @pytest.mark.parametrize("first", ["accept_quotation", "reject_quotation"])
    def test_quotation(self, client, priced, paused, first):
        quotation = priced()
        decided = getattr(client.tasking, first)(quotation.id)
        for decide in (client.tasking.accept_quotation, client.tasking.reject_quotation):
            with pytest.raises(AlreadyDecided, match="write-protected"):
                decide(quotation.id)
        assert next(client.tasking.quotations(quotation_id=quotation.id)).decision == decided.decision
        price = quotation.credits_price if first == "accept_quotation" else 0
        assert credits_of(paused, quotation.order_id) == price


class TestUnknown:
    def test_study(self, client):
        with pytest.raises(NotFound, match=NOBODY):
            client.tasking.choose_option(NOBODY, NOBODY)

    def test_option_of_another_study(self, client, offered):
        one, other = offered(), offered()
        with pytest.raises(InvalidRequest, match="acceptedOptionId"):
            client.tasking.choose_option(one.id, other.options[0].id)
        assert next(client.tasking.studies(study_id=one.id)).is_open

    def test_quotation(self, client):
        for decide in (client.tasking.accept_quotation, client.tasking.reject_quotation):
            with pytest.raises(NotFound, match="does not exist"):
                decide(NOBODY)

    def test_order(self, client):
        with pytest.raises(NotFound, match=NOBODY):
            client.tasking.coverage(NOBODY)


@pytest.fixture(scope="module")
def listed(client, task, let_pass):
    """Studies and quotations of three orders in the order of their making; the decisions fell in another order.

    Quotations: the first accepted last, the second rejected, the third, the cheapest, open. A fourth order has only a
    study, which is open.
    """
    tasking = client.tasking
    studies, quotations = [], []
    for area in (AREA, AREA.buffer(0.01).envelope, HALF):
        order_id = task(area=area)
        let_pass(180)
        studies += tasking.studies(order_id=order_id)
    for number in (1, 0, 2):
        tasking.choose_option(studies[number].id, studies[number].options[0].id)
        let_pass(180)
    for study in studies:
        quotations += tasking.quotations(order_id=study.order_id)
    tasking.reject_quotation(quotations[1].id)
    let_pass(1)
    tasking.accept_quotation(quotations[0].id)
    order_id = task()
    let_pass(180)
    studies += tasking.studies(order_id=order_id)
    return [study.id for study in studies], [quotation.id for quotation in quotations]


class TestLists:
    """What the fixture made, told apart from what other tests made by its ids."""

    @pytest.mark.parametrize(
        ("decision", "numbers"),
        [
            ([], [0, 1, 2, 3]),
            ([Decision.ACCEPTED], [0, 1, 2]),
            (["NOT_DECIDED"], [3]),
            (["ACCEPTED", Decision.NOT_DECIDED], [0, 1, 2, 3]),
        ],
    )
    def test_studies_by_decision(self, client, listed, decision, numbers):
        ids, _ = listed
        found = client.tasking.studies(decision=decision)
        assert sorted(ids.index(study.id) for study in found if study.id in ids) == numbers

    @pytest.mark.parametrize(
        ("decision", "numbers"),
        [
            ([], [0, 1, 2]),
            (["ACCEPTED"], [0]),
            ([Decision.REJECTED, "NOT_DECIDED"], [1, 2]),
            (["ACCEPTED", "REJECTED", "NOT_DECIDED"], [0, 1, 2]),
        ],
    )
    def test_quotations_by_decision(self, client, listed, decision, numbers):
        _, ids = listed
        found = client.tasking.quotations(decision=decision)
        assert sorted(ids.index(quotation.id) for quotation in found if quotation.id in ids) == numbers

    def test_by_id_and_order(self, client, listed):
        study_ids, quotation_ids = listed
        [study] = client.tasking.studies(study_id=study_ids[1])
        [quotation] = client.tasking.quotations(quotation_id=quotation_ids[1])
        assert study.id == study_ids[1]
        assert [one.id for one in client.tasking.studies(order_id=study.order_id)] == [study.id]
        assert [one.id for one in client.tasking.quotations(order_id=study.order_id)] == [quotation.id]
        assert list(client.tasking.studies(study_id=study.id, order_id=NOBODY)) == []
        assert list(client.tasking.quotations(quotation_id=quotation.id, decision=["ACCEPTED"])) == []
        assert list(client.tasking.studies(study_id=NOBODY)) == list(client.tasking.quotations(order_id=NOBODY)) == []

    @pytest.mark.parametrize(
        ("sort", "numbers"),
        [
            (StudySort.created_at, [0, 1, 2, 3]),
            (StudySort.decided_at, [3, 1, 0, 2]),
            (StudySort.updated_at, [1, 0, 2, 3]),
        ],
    )
    def test_studies_sorted(self, client, listed, sort, numbers):
        ids, _ = listed
        for direction, expected in ((sort.asc, numbers), (sort.desc, numbers[::-1])):
            found = client.tasking.studies(sort=direction)
            assert [ids.index(study.id) for study in found if study.id in ids] == expected

    @pytest.mark.parametrize(
        ("sort", "numbers"),
        [
            (QuotationSort.created_at, [1, 0, 2]),
            (QuotationSort.decided_at, [2, 1, 0]),
            (QuotationSort.updated_at, [2, 1, 0]),
            (QuotationSort.credits_price, [2, 0, 1]),
        ],
    )
    def test_quotations_sorted(self, client, listed, sort, numbers):
        _, ids = listed
        for direction, expected in ((sort.asc, numbers), (sort.desc, numbers[::-1])):
            found = client.tasking.quotations(sort=direction)
            assert [ids.index(quotation.id) for quotation in found if quotation.id in ids] == expected

    def test_newest_first_when_not_said(self, client, listed):
        study_ids, quotation_ids = listed
        assert [one.id for one in client.tasking.studies() if one.id in study_ids] == study_ids[::-1]
        made = [one.created_at for one in client.tasking.quotations() if one.id in quotation_ids]
        assert made == sorted(made, reverse=True)

    @pytest.mark.usefixtures("listed")
    def test_of_another_workspace(self, paused):
        stranger = paused.client(workspace_id=NOBODY)
        assert [*stranger.tasking.studies(), *stranger.tasking.quotations()] == []
        stranger.transport.close()

    def test_refused(self, client):
        with pytest.raises(InvalidRequest, match="sort must be one of"):
            list(client.tasking.studies(sort=QuotationSort.credits_price))
        with pytest.raises(InvalidRequest, match="decision must be one of"):
            list(client.tasking.studies(decision=[Decision.REJECTED]))
