"""`make dev` as a person sees it: the Dagster UI in headless Chromium, a materialization launched from its dialog."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from up42_pipelines.lake import Check

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
DAY = "2026-06-01"
SEED = "375"
"""With it the day's orders go through at once and arrive whole: no later run is under way when a page is read."""
GROUP = "locations/__repository__@up42/asset-groups/optical_archive/lineage"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    """URL of a Dagster UI with a sandbox behind it, and the folder it lives in."""
    folder = tmp_path_factory.mktemp("dev")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "up42_pipelines.cli", "dev", "--project", str(PROJECT), "--port", str(port)]
    command += ["--seed", SEED]
    with (folder / "dev.out").open("w") as out:
        process = subprocess.Popen([*command, "--folder", str(folder)], stdout=out, stderr=out)
    yield f"http://127.0.0.1:{port}", folder
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 130
    assert not _children_of(folder)


@pytest.fixture(scope="module")
def page(ui, wait_for):
    from playwright.sync_api import sync_playwright

    url, _ = ui
    wait_for(lambda: _answers(f"{url}/server_info"), 60)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def shoot(page, name: str) -> None:
    """Keep a picture for people, where UP42_SCREENSHOTS names a folder."""
    if folder := os.environ.get("UP42_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.fixture(scope="module")
def landed(ui, page, wait_for):
    """The STAC items in the lake after somebody has pressed Materialize and the sensor has completed it."""
    url, folder = ui
    page.goto(f"{url}/{GROUP}")
    for name in ("scenes", "orders", "stac_items", "cogs"):
        page.get_by_text(name, exact=True).first.wait_for()
    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_placeholder(re.compile("^ex: ")).fill(DAY)
    dialog.get_by_placeholder(re.compile("^ex: ")).press("Enter")
    dialog.get_by_role("button", name="All", exact=True).first.click()
    dialog.get_by_text("2 partitions").wait_for()
    shoot(page, "dialog")
    with page.expect_response(lambda answer: "LaunchPartitionBackfill" in (answer.request.post_data or "")):
        page.get_by_role("button", name="Launch backfill").click()
    page.goto("about:blank")  # what moves on the page takes as much of the processor as the runs do
    files = [folder / "lake" / "assets" / "cogs" / aoi / f"{DAY}.json" for aoi in ("berlin", "lisbon")]
    wait_for(lambda: all(path.is_file() for path in files), 120)
    return [item for path in files for item in json.loads(path.read_text())["features"]]


def test_the_chain_is_materialized_from_the_ui_and_the_sensor_completes_it(ui, page, landed):
    url, folder = ui
    assert len(landed) >= 2
    hrefs = [asset["href"] for item in landed for asset in item["assets"].values()]
    assert all(href.startswith(str(folder / "lake")) and Path(href).is_file() for href in hrefs)
    page.goto(f"{url}/{GROUP}")
    page.get_by_text("cogs", exact=True).first.wait_for()
    shoot(page, "lineage")


def test_the_asset_page_shows_the_picture_and_the_figures(ui, page, landed):
    url, _ = ui
    page.goto(f"{url}/assets/cogs?view=overview")
    page.get_by_text("[Show Markdown]").first.click()
    assert _drawn(page, "quicklook") > 50
    shoot(page, "quicklook")
    page.keyboard.press("Escape")
    for label in ("size_bytes", "cogs", "landing_seconds"):
        page.get_by_text(label, exact=True).first.wait_for()
    shoot(page, "cogs")
    page.goto(f"{url}/assets/scenes?view=overview")
    assert _drawn(page, "footprints") > 50
    shoot(page, "scenes")


def test_the_checks_are_on_the_asset_page_each_with_its_partition(ui, page, landed):
    url, _ = ui
    page.goto(f"{url}/assets/cogs?view=checks&checkDetail=covers_the_promised_area")
    for check in Check:
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("of the promised area have valid pixels.").first.wait_for()
    page.get_by_text(re.compile(rf"^(berlin|lisbon)\|{DAY}$")).first.wait_for()
    page.get_by_text("Passed", exact=True).first.wait_for()
    shoot(page, "checks")


def test_no_secret_is_on_the_resource_page(ui, page):
    url, _ = ui
    page.goto(f"{url}/locations/__repository__@up42/resources/up42")
    page.get_by_text("UP42_PASSWORD").first.wait_for()
    said = page.locator("body").inner_text()
    assert "sandbox@example.com" not in said
    shoot(page, "resource")


def _drawn(page, alt: str) -> int:
    """Width in pixels that the browser decoded an image to."""
    image = page.locator(f"img[alt={alt}]").first
    image.wait_for()
    return page.evaluate("image => image.naturalWidth", image.element_handle())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _children_of(folder: Path) -> list[list[str]]:
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if any(str(folder) in word for word in command)]
