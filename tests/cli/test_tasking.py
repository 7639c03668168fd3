"""`tasking`."""

import pytest


@pytest.fixture
def study(shop, wait_for):
    order_id = shop.tasking_order()
    return wait_for(lambda: next(shop.client.tasking.studies(order_id=order_id), None))


@pytest.fixture
def quotation(shop, study, wait_for):
    shop.client.tasking.choose_option(study.id, study.options[0].id)
    return wait_for(lambda: next(shop.client.tasking.quotations(order_id=study.order_id), None))


def test_studies_show_their_options(cli, study):
    said = cli(f"tasking studies --order {study.order_id}")
    assert f"study     {study.id}" in said.lines
    for option in study.options:
        assert f"{option.id}: {option.description}" in said.stdout
    assert cli(f"tasking studies --order {study.order_id} --json").json == [study.raw]


def test_studies_are_paragraphs(cli, shop, study, wait_for):
    other = shop.tasking_order("another")
    wait_for(lambda: next(shop.client.tasking.studies(order_id=other), None))
    paragraphs = cli("tasking studies --limit 2").stdout.split("\n\n")
    assert [paragraph.split()[0] for paragraph in paragraphs] == ["study", "study"]


def test_choosing_an_option(cli, shop, study):
    option = study.options[1]
    said = cli(f"tasking choose {study.id} {option.id} --yes")
    assert f"chosen    {option.id}: {option.description}" in said.lines
    assert study.id not in cli("tasking studies --open").stdout
    again = cli(f"tasking choose {study.id} {option.id} --yes")
    assert again.code == 1
    assert "write-protected" in again.stderr


@pytest.mark.parametrize("nobody", ["00000000-0000-4000-8000-000000000000"])
def test_what_is_not_there(cli, study, nobody):
    assert f"No feasibility study {nobody}" in cli(f"tasking choose {nobody} {nobody} --yes").stderr
    said = cli(f"tasking choose {study.id} {nobody} --yes")
    assert said.code == 1
    assert study.options[0].id in said.stderr
    assert f"No quotation {nobody}" in cli(f"tasking decide {nobody} accept --yes").stderr


def test_nothing_is_chosen_or_spent_when_nobody_can_be_asked(cli, shop, study):
    said = cli(f"tasking choose {study.id} {study.options[0].id}", typed="y\n")
    assert (said.code, said.stdout) == (2, "")
    assert next(shop.client.tasking.studies(study_id=study.id)).is_open


def test_quotations(cli, quotation):
    said = cli(f"tasking quotations --order {quotation.order_id}")
    assert said.lines[1].split() == [quotation.id, quotation.order_id, f"{quotation.credits_price:.0f}", "NOT_DECIDED"]
    assert quotation.id in cli("tasking quotations --open").stdout


def test_deciding_names_the_price_and_spends_nothing_unasked(cli, shop, quotation):
    said = cli(f"tasking decide {quotation.id} accept", typed="y\n")
    assert (said.code, said.stdout) == (2, "")
    assert f"Spend {quotation.credits_price:.0f} credits" in said.stderr
    assert next(shop.client.tasking.quotations(quotation_id=quotation.id)).is_open


def test_accepting(cli, shop, quotation, wait_for):
    accepted = cli(f"tasking decide {quotation.id} accept --yes --json").json
    assert (accepted["id"], accepted["decision"]) == (quotation.id, "ACCEPTED")
    assert quotation.id not in cli("tasking quotations --open").stdout
    wait_for(lambda: shop.client.orders.get(quotation.order_id).is_fulfilled)
    assert cli(f"tasking coverage {quotation.order_id}").lines[0].startswith("covered    100 % (7.56 km²)")
    again = cli(f"tasking decide {quotation.id} accept --yes")
    assert again.code == 1


def test_rejecting(cli, shop, quotation):
    assert "decision   REJECTED" in cli(f"tasking decide {quotation.id} reject --yes").lines
    assert next(shop.client.tasking.quotations(quotation_id=quotation.id)).decision == "REJECTED"


def test_there_is_no_third_decision(cli, quotation):
    assert cli(f"tasking decide {quotation.id} maybe --yes").code == 2
