"""`assets`."""

import hashlib

import pytest
import requests

from up42_pipelines.lake import Lake


@pytest.fixture
def archive(shop, fulfilled):
    return shop.client.storage.assets.of_order(fulfilled)[0]


def test_the_list_and_its_filters(cli, shop, archive):
    said = cli(f"assets list --search {archive.name}")
    assert said.lines[0].split() == ["asset", "created", "size", "name"]
    assert archive.id in [line.split()[0] for line in said.lines]
    for options in ("--tag key:0123", "--collection sandbox-optical --after 2020-01-01 --tag key:0123"):
        assert archive.raw in cli(f"assets list {options} --json").json
    for options in ("--source TASKING --tag key:0123", "--before 2020-01-01 --tag key:0123", "--tag nobody-has-this"):
        assert cli(f"assets list {options} --json").json == []


def test_those_of_an_order(cli, archive, fulfilled):
    assert cli(f"assets list --order {fulfilled} --json").json == [archive.raw]
    assert cli(f"assets list --order {fulfilled} --search x").code == 2


def test_those_of_an_order_do_not_include_what_only_mentions_it(cli, shop, archive):
    another = "00000000-0000-4000-8000-000000000000"
    shop.client.storage.assets.update(archive.id, title=f"instead of {another}")
    assert [one["id"] for one in cli(f"assets list --search {another} --json").json] == [archive.id]
    assert cli(f"assets list --order {another} --json").json == []


def test_one(cli, archive):
    assert cli(f"assets show {archive.id} --json").json == archive.raw
    shown = cli(f"assets show {archive.id}").stdout
    assert f"({archive.size} bytes)" in shown
    assert "SUCCESSFUL" in shown


def test_downloads_are_whole_and_say_where_they_are(cli, archive, tmp_path):
    said = cli(["assets", "download", archive.id, "--to", str(tmp_path / "new" / "folder")])
    file = tmp_path / "new" / "folder" / archive.name
    assert (said.code, said.stdout, said.stderr) == (0, f"{file}\n", "")
    assert file.stat().st_size == archive.size
    assert [path.name for path in file.parent.iterdir()] == [archive.name]


def test_what_a_download_brought_as_json(cli, archive, tmp_path):
    (told,) = cli(["assets", "download", archive.id, "--to", str(tmp_path), "--json"]).json
    content = (tmp_path / archive.name).read_bytes()
    assert (told["path"], told["size"]) == (str(tmp_path / archive.name), len(content))
    assert told["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_href_of_a_stac_asset_will_do(cli, shop, fulfilled, tmp_path):
    (item,) = shop.client.storage.items_of_order(fulfilled)
    hrefs = [asset.href for asset in item.assets.values()]
    said = cli(["assets", "download", *hrefs, "--to", str(tmp_path)])
    assert said.code == 0
    assert len(said.lines) == len(hrefs) == len(list(tmp_path.iterdir()))


def test_a_dropped_connection_is_resumed(cli, shop, archive, tmp_path):
    shop.control("faults", {"faults": [{"kind": "truncate", "bytes": 1000, "path": "/storage/*"}]})
    try:
        assert cli(["assets", "download", archive.id, "--to", str(tmp_path)]).code == 0
    finally:
        shop.control("faults", method="DELETE")
    assert (tmp_path / archive.name).stat().st_size == archive.size


def test_a_download_that_fails_leaves_nothing(cli, shop, archive, tmp_path):
    gone = {"kind": "status", "status": 410, "path": "/storage/*"}
    shop.control("faults", {"faults": [{"kind": "truncate", "bytes": 1000, "path": "/storage/*"}, gone]})
    try:
        said = cli(["assets", "download", archive.id, "--to", str(tmp_path)])
    finally:
        shop.control("faults", method="DELETE")
    assert (said.code, said.stdout) == (1, "")
    assert "Nothing was published" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_something_else_is_never_overwritten(cli, archive, tmp_path):
    mine = tmp_path / archive.name
    mine.write_text("mine")
    arguments = ["assets", "download", archive.id, "--to", str(tmp_path)]
    theirs = tmp_path / f"{mine.stem}-{archive.id}{mine.suffix}"
    assert cli(arguments).stdout == f"{theirs}\n"
    assert mine.read_text() == "mine"
    assert theirs.stat().st_size == archive.size
    assert cli(arguments).stdout == f"{theirs}\n"  # the same content again
    theirs.write_text("mine, too")
    said = cli(arguments)
    assert said.code == 1
    assert "choose another folder" in said.stderr
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["mine", "mine, too"]


def test_a_folder_that_cannot_be_made(cli, archive, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli(["assets", "download", archive.id, "--to", str(tmp_path / "file" / "folder")]).code == 2


def test_a_link_opens_without_a_token(cli, archive):
    said = cli(f"assets link {archive.id}")
    url = said.stdout.strip()
    assert len(requests.get(url, timeout=10).content) == archive.size
    assert said.stderr == f"For QGIS and GDAL, within five minutes: /vsicurl/{url}\n"
    assert list(cli(f"assets link {archive.id} --json").json) == ["url"]


def test_an_asset_that_is_not_there(cli):
    said = cli("assets download 00000000-0000-4000-8000-000000000000")
    assert (said.code, said.stdout) == (1, "")
    assert "404" in said.stderr


def test_into_a_store_nothing_is_kept_on_the_way(cli, archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = f"memory://{tmp_path.name}"
    said = cli(["assets", "download", archive.id, "--to", url, "--json"])
    assert said.code == 0, said.stderr
    [document] = said.json
    content = Lake(url).read_bytes(archive.id)
    assert document["path"].endswith(archive.id)
    assert (document["size"], document["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert len(content) == archive.size
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_none_is_told(cli, archive):
    said = cli(["assets", "download", archive.id, "--to", "nosuch://bucket"])
    assert said.code == 1
    assert "nosuch://bucket" in said.stderr
