"""A month's ceiling, and sixteen partitions that begin to buy at the same instant, each in a process of its own."""

from dataclasses import replace
from datetime import UTC, datetime

from tests.purchasing.crowd import PRICE, Crowd, Errand, goods
from up42_pipelines.lake import Lake
from up42_pipelines.ordering.keys import OrderTags

PARTITIONS = [f"lisbon|2026-05-{day:02}" for day in range(1, 17)]
FIT, LEFT = 7, 5
"""How many fit into the month, and the credits that are left then."""
CEILING = FIT * PRICE + LEFT
MID_MONTH = datetime(2026, 6, 15, 12, tzinfo=UTC)
"""What the clocks of the processes show when they begin, so that no month ends meanwhile."""


def test_a_month_holds_in_a_race_and_who_was_refused_buys_when_it_is_raised(slow_sandbox, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    errand = Errand(
        **goods(slow_sandbox),
        lake=lake.url,
        pipeline="month-race",
        partitions=PARTITIONS,
        month=float(CEILING),
        ahead_s=(MID_MONTH - datetime.now(UTC)).total_seconds(),
    )

    def orders():
        """Ids and credits of what exists, by partition; each partition once."""
        placed = [one for one in slow_sandbox.ledger() if one["displayName"].startswith("month-race ")]
        found = {OrderTags.read(one["tags"]).partition: (one["id"], one["credits"]) for one in placed}
        assert len(found) == len(placed), "bought twice"
        return found

    def committed():
        """What each version of the ledger says that is committed, from the first one on."""
        folder = ("purchases", "ledgers", "month-race")
        versions = [lake.read_json(*folder, name) for name in lake.list(*folder)]
        assert [version["version"] for version in versions] == list(range(1, len(versions) + 1))
        return [sum(entry["credits"] for entry in version.get("entries", {}).values()) for version in versions]

    with Crowd() as crowd:
        outcomes = dict(zip(PARTITIONS, crowd.send(errand), strict=True))
        first = orders()
        bought = {one: outcome["bought"] for one, outcome in outcomes.items() if "bought" in outcome}
        assert bought == {one: order_id for one, (order_id, _) in first.items()}
        assert len(first) == FIT
        assert sum(credits for _, credits in first.values()) == FIT * PRICE <= CEILING
        assert max(committed()) == committed()[-1] == FIT * PRICE
        for partition in set(PARTITIONS) - set(first):
            outcome = outcomes[partition]
            assert outcome["refused"] == {
                "ceiling": "month",
                "limit": CEILING,
                "committed": FIT * PRICE,
                "asked": PRICE,
                "left": LEFT,
            }
            assert f"for partition {partition} would cost {PRICE} credits" in outcome["said"]
            assert f"the ceiling per month (2026-06, {CEILING} credits) has {LEFT} left" in outcome["said"]

        outcomes = crowd.send(replace(errand, month=float(len(PARTITIONS) * PRICE)))
    assert {one: outcome["bought"] for one, outcome in zip(PARTITIONS, outcomes, strict=True)} == {
        one: order_id for one, (order_id, _) in orders().items()
    }
    assert first.items() <= orders().items()
    assert max(committed()) == committed()[-1] == len(PARTITIONS) * PRICE
