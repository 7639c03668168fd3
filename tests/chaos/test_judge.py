"""The judge of the chaos suite sees each thing that must not happen."""

from dataclasses import replace

import pytest

from tests.chaos.judge import Facts, judge

KEY, OTHER = "aa" * 16, "bb" * 16


def thing(one, key=KEY, credits=100):
    return {"id": one, "key": key, "credits": credits}


def sheet(version, credits=100, state="spent", key=KEY):
    return {"version": version, "entries": {key: {"credits": credits, "state": state}}}


CLEAN = Facts(
    bought=[thing("one")],
    intents=[{"key": KEY, "purchase_ids": ["one"]}, {"key": OTHER, "purchase_ids": []}],
    sheets=[sheet(1), sheet(2)],
    sheet=sheet(2),
    prices={KEY: 100, OTHER: 60},
    outcomes={KEY: "bought", OTHER: "refused"},
    ceiling=150,
)


def test_a_round_in_which_all_is_bought_or_too_dear_is_clean():
    assert judge(CLEAN).is_clean


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        ({"bought": [thing("one"), thing("two", credits=50)]}, {"duplicates": 1, "lost": 1}),
        ({"intents": []}, {"lost": 1}),
        ({"bought": []}, {"lost": 1, "stuck": 2}),  # the other one would have fitted then
        ({"intents": [{"key": KEY, "purchase_ids": ["one", "gone"]}]}, {"lost": 1}),
        ({"intents": [{"key": OTHER, "purchase_ids": ["one"]}]}, {"lost": 2}),
        ({"ceiling": 90}, {"over": 30}),  # in what was bought, and in both versions of the ledger
        ({"sheets": [sheet(1, credits=170), sheet(2)]}, {"over": 20}),
        ({"sheet": sheet(2, state="reserved")}, {"stuck": 1}),
        ({"ceiling": 160}, {"stuck": 1}),
        ({"ceiling": None}, {"stuck": 1}),
        ({"outcomes": {KEY: "bought", OTHER: "bought"}}, {"stuck": 1}),
        ({"outcomes": {KEY: "refused", OTHER: "refused"}}, {"stuck": 1}),
        ({"outcomes": {KEY: "bought"}}, {"stuck": 1}),
        ({"unfinished": 2}, {"stuck": 2}),
    ],
)
def test_what_must_not_happen_is_counted(changes, figures):
    verdict = judge(replace(CLEAN, **changes))
    none = {"duplicates": 0, "lost": 0, "over": 0, "stuck": 0}
    assert {name: getattr(verdict, name) for name in none} == none | figures
    assert not verdict.is_clean


def test_credits_that_were_given_back_are_not_over_the_ceiling():
    given_back = sheet(1, credits=170, state="returned")
    assert judge(replace(CLEAN, sheets=[given_back, sheet(2)])).is_clean
