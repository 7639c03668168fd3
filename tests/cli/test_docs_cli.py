"""What docs/cli.md shows runs, and prints what it shows."""

import hashlib
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from string import Template

import pystac

from up42_pipelines.cli import main
from up42_pipelines.lake import Lake, item_folder, write_item

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "cli.md").read_text()
BLOCKS = re.findall(r"```console\n\$ (.*?)```", PAGE, flags=re.DOTALL)
STEPS = [step.partition("\n")[::2] for block in BLOCKS for step in block.split("\n$ ")]
"""Commands, each with what it is said to print."""


def promise(shown: str) -> re.Pattern[str]:
    """The documented output as a pattern: a word that ends in `…` is any text, a line of nothing else any lines."""
    words = ([".*" if word.endswith("…") else re.escape(word) for word in line.split()] for line in shown.splitlines())
    lines = [" *" + " +".join(line) for line in words if line]
    pattern = "".join(r"(?:.*\n)*" if line == " *.*" else rf"\n*{line} *\n" for line in lines)
    return re.compile(pattern)


class Ids:
    """What the page calls `$ORDER`, `$STUDY` and so on."""

    def __init__(self, shop, purchases, wait_for) -> None:
        client = shop.client
        purchases.buy("berlin|2026-06-05")
        self.key = purchases.let_wait("berlin|2026-06-06")
        (self.by_hand,) = shop.order("by hand", tags=("by hand",))
        (self.order,) = shop.order("harbour", tags=("harbour",))
        self.tasking_order, decided, undecided = (shop.tasking_order("harbour watch") for _ in range(3))

        def study_of(order_id):
            return wait_for(lambda: next(client.tasking.studies(order_id=order_id), None))

        client.tasking.choose_option(study_of(decided).id, study_of(decided).options[0].id)
        self.quotation = wait_for(lambda: next(client.tasking.quotations(order_id=decided), None)).id
        self.study, self.option = study_of(undecided).id, study_of(undecided).options[0].id
        study_of(self.tasking_order)
        (item,) = wait_for(lambda: client.storage.items_of_order(self.order))
        (asset,) = client.storage.assets.of_order(self.order)
        self.asset, self.item = asset.id, item.id
        shop.control("fates", {"kind": "job", "fate": "successful"})
        inputs = {"title": "trees", "item": item.get_self_href()}
        self.job = client.processing.execute("detection-trees-spacept", inputs).id
        wait_for(lambda: client.processing.job(self.job).is_final)
        self._client = client

    @property
    def webhook(self) -> str:
        (webhook,) = self._client.webhooks.list()
        return webhook.id

    def __getitem__(self, name: str) -> str:
        return getattr(self, name.lower())


def land(lake: Lake) -> None:
    """Put the item of the page into the lake."""
    place, box = {"type": "Point", "coordinates": [13.4, 52.5]}, [13.4, 52.5, 13.4, 52.5]
    when = datetime(2026, 6, 1, 10, 32, 49, tzinfo=UTC)
    item = pystac.Item("scene-1", place, box, when, {"eo:cloud_cover": 3}, collection="phr")
    item.add_link(pystac.Link("collection", "../collection.json"))
    content = b"not really a raster.\n"
    lake.write_bytes(content, *item_folder("phr", item.id), "ms.tif")
    described = {"file:size": len(content), "file:checksum": f"1220{hashlib.sha256(content).hexdigest()}"}
    item.add_asset("ms.tif", pystac.Asset("./ms.tif", extra_fields=described))
    write_item(lake, "phr", item)


def test_every_command_does_what_the_page_says(
    shop, start_sandbox, purchases_at, cli_of, wait_for, tmp_path, monkeypatch
):
    mine = type(shop)(start_sandbox("--speed", "5000"))
    ids = Ids(mine, purchases_at(mine, tmp_path / "lake"), wait_for)
    land(Lake(str(tmp_path / "lake")))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "berlin.geojson").write_bytes((PROJECT / "assets_defs" / "aois" / "berlin.geojson").read_bytes())
    run = cli_of(mine)
    for command, shown in STEPS:
        program, *arguments = shlex.split(Template(command).substitute(ids))
        assert program == "up42-pipelines"
        said = run(arguments, env={"UP42_WEBHOOK_SECRET": "secret", "UP42_LAKE_URL": "lake"})
        assert said.code == 0, f"{command}\n{said.stderr}"
        assert promise(shown).fullmatch(said.stdout), f"{command}\n{said.stdout}"
    mine.client.transport.close()


def test_every_group_has_an_example():
    assert {command.split()[1] for command, _ in STEPS} == set(main.commands) - {"sandbox", "demo", "dev"}


def test_links_point_to_files_and_headings():
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", PAGE):
        file, _, heading = target.partition("#")
        text = (PROJECT / "docs" / file).read_text().lower()
        assert not heading or heading in re.sub(r"[^\w\n-]", "", text.replace(" ", "-")), target
