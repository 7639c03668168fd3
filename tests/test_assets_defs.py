"""The ready code location, as the environment shapes it."""

import re
from pathlib import Path

import pytest

import assets_defs
from assets_defs import settings
from assets_defs.enhanced_imagery import enhanced_imagery
from assets_defs.optical_archive import optical_archive
from up42_pipelines.errors import ConfigurationError

VARIABLES = {
    name
    for path in Path(assets_defs.__path__[0]).glob("*.py")
    for name in re.findall(r'(?:environ\.get|number)\("(UP42_\w+)"', path.read_text())
}


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def shaped():
    return (optical_archive(), settings.start_date(), settings.ceilings(), settings.timing())


def test_an_empty_variable_is_one_that_is_not_set(environment):
    unset = shaped()
    for name in VARIABLES:
        environment.setenv(name, "")
    assert shaped() == unset


@pytest.mark.parametrize("variable", ["UP42_COLLECTION", "UP42_DATA_PRODUCT"])
def test_what_else_is_bought_is_not_held_to_the_sandboxs_bands(environment, variable):
    assert optical_archive().landing.rules.bands == 4
    environment.setenv(variable, "phr")
    assert optical_archive().landing.rules.bands is None
    assert optical_archive().bytes_per_pixel is None


def test_the_readme_names_every_variable():
    readme = (Path(assets_defs.__path__[0]).parent / "README.md").read_text()
    assert {name for name in VARIABLES if f"`{name}`" not in readme} == set()


def test_what_is_no_number_is_named(environment):
    environment.setenv("UP42_MAX_CREDITS_PER_MONTH", "5.000,00")
    with pytest.raises(ConfigurationError, match=r"UP42_MAX_CREDITS_PER_MONTH is '5\.000,00'"):
        settings.ceilings()


def test_a_month_without_credits_is_a_ceiling(environment):
    environment.setenv("UP42_MAX_CREDITS_PER_MONTH", "0")
    assert settings.ceilings().month == 0


def test_each_step_is_a_group_of_the_graph():
    processing = enhanced_imagery()
    groups = {
        step.name: processing.options(step.name, "processed_cogs")["group_name"] for step in processing.workflow.steps
    }
    assert groups == {step: f"enhance_{step}" for step in ("pansharpen", "true_color", "buildings", "change")}
