"""Every command says what it does in a sentence, and shows an example that is right."""

import shlex

import click
import pytest

from up42_pipelines.cli import main


def commands(group=main, path=()):
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


LOCAL = ("sandbox", "demo", "dev")
ALL = dict(commands())
LEAVES = {
    name: command for name, command in ALL.items() if not isinstance(command, click.Group) or name == "collections"
}


def test_the_commands():
    assert set(LEAVES) - set(LOCAL) == {
        "doctor",
        "collections",
        "collections show",
        "aoi",
        "search",
        "estimate",
        *(
            f"orders {name}"
            for name in ("list", "show", "watch", "cancel", "tag", "waiting", "approve", "audit", "adopt")
        ),
        "ledger show",
        *(f"lake {name}" for name in ("ls", "search", "verify", "gc", "repair")),
        *(f"assets {name}" for name in ("list", "show", "download", "link")),
        *(f"jobs {name}" for name in ("list", "show", "processes", "check", "watch", "results")),
        *(f"tasking {name}" for name in ("studies", "choose", "quotations", "decide", "coverage")),
        *(f"webhooks {name}" for name in ("list", "show", "create", "replace", "delete", "test", "events")),
        "credits",
        *(f"budgets {name}" for name in ("list", "show", "settings")),
    }


@pytest.mark.parametrize("name", ALL)
def test_every_command_is_described(cli, name):
    said = cli([*name.split(), "--help"])
    assert said.code == 0
    assert ALL[name].help.partition("\n")[0].endswith(".")


def test_no_description_is_cut_in_the_list_of_commands(cli):
    for name in ("", *(name for name, command in ALL.items() if isinstance(command, click.Group))):
        listed = cli([*name.split(), "--help"]).stdout.partition("Commands:")[2]
        lines = [line for line in listed.splitlines() if line.strip() and line.split()[0] not in LOCAL]
        assert [line for line in lines if line.endswith("...")] == []


@pytest.mark.parametrize("name", sorted(set(LEAVES) - set(LOCAL)))
def test_every_command_has_json_and_an_example_with_options_that_exist(cli, name):
    assert "--json" in cli([*name.split(), "--help"]).stdout
    (example,) = [line for line in LEAVES[name].epilog.splitlines() if line.strip().startswith("up42-pipelines")]
    arguments = shlex.split(example)[1:]
    assert " ".join(arguments).startswith(name.partition(" ")[0])
    said = cli([*arguments, "--help"])
    assert said.code == 0, said.stderr
    assert name in said.stdout.splitlines()[0]


def test_secrets_are_no_options():
    options = {option for command in LEAVES.values() for param in command.params for option in param.opts}
    assert {"--secret", "--password"} & options == set()
