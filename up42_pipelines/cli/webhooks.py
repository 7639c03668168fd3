"""`webhooks`: where UP42 reports changes. A webhook's secret is never an argument: those end up in shell histories."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from up42_pipelines.cli.account import with_client
from up42_pipelines.cli.consent import confirm, somebody_is_there, yes_option
from up42_pipelines.cli.exits import FAILED
from up42_pipelines.cli.output import Column, Fields, Output, example, json_option
from up42_pipelines.cli.wording import instant, yes_no

if TYPE_CHECKING:
    from up42_pipelines.api import TestReport, Up42Client, Webhook
    from up42_pipelines.api.webhooks import EventDescription, TestCall

SECRET_VARIABLE = "UP42_WEBHOOK_SECRET"  # noqa: S105 - a name, not a secret
_HIDDEN = "***"

_WEBHOOKS: Sequence[Column[Webhook]] = (
    Column("webhook", lambda webhook: webhook.id),
    Column("active", lambda webhook: yes_no(webhook.active)),
    Column("signed", lambda webhook: yes_no(bool(webhook.secret))),
    Column("name", lambda webhook: webhook.name),
    Column("events", lambda webhook: ", ".join(webhook.events)),
    Column("url", lambda webhook: webhook.url),
)
_EVENTS: Sequence[Column[EventDescription]] = (
    Column("event", lambda event: event.name),
    Column("category", lambda event: event.category),
    Column("description", lambda event: event.description or event.title),
)
_CALLS: Sequence[Column[TestCall]] = (
    Column("event", lambda call: call.event_name),
    Column("answered", lambda call: yes_no(call.success)),
    Column("message", lambda call: call.message),
)


@click.group()
def webhooks() -> None:
    """Look at webhooks, create, change, test and delete them."""


def _secret_shown_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--show-secret", is_flag=True, help="Print the secret.")(command)


@webhooks.command("list", epilog=example("webhooks list"))
@_secret_shown_option
@json_option
@with_client
def list_webhooks(client: Up42Client, show_secret: bool, out: Output) -> None:
    """List the webhooks of the workspace."""
    found = client.webhooks.list()
    out.listing(found, _WEBHOOKS, nothing="No webhooks.", raw=lambda webhook: _raw(webhook, show_secret))


@webhooks.command(epilog=example("webhooks show WEBHOOK_ID"))
@click.argument("webhook_id")
@_secret_shown_option
@json_option
@with_client
def show(client: Up42Client, webhook_id: str, show_secret: bool, out: Output) -> None:
    """Show a webhook."""
    _print(client.webhooks.get(webhook_id), show_secret, out)


@webhooks.command(
    epilog=example("webhooks create --name orders --url https://example.com/up42 --event order.status --active")
)
@click.option("--name", required=True, help="For people.")
@click.option("--url", required=True, help="What UP42 calls; https.")
@click.option("--event", "events", multiple=True, required=True, help="Repeatable; `webhooks events` lists them.")
@click.option("--active/--inactive", default=False, show_default=True, help="Whether UP42 calls it.")
@click.option("--no-secret", is_flag=True, help="Messages come unsigned; nothing proves that UP42 sent them.")
@_secret_shown_option
@json_option
@with_client
def create(
    client: Up42Client,
    name: str,
    url: str,
    events: Sequence[str],
    active: bool,
    no_secret: bool,
    show_secret: bool,
    out: Output,
) -> None:
    """Create a webhook. Its secret comes from UP42_WEBHOOK_SECRET, or is asked for."""
    secret = "" if no_secret else _read_secret()
    _print(client.webhooks.create(name=name, url=url, events=events, secret=secret, active=active), show_secret, out)


@webhooks.command(epilog=example("webhooks replace WEBHOOK_ID --inactive"))
@click.argument("webhook_id")
@click.option("--name", help="For people.")
@click.option("--url", help="What UP42 calls; https.")
@click.option("--event", "events", multiple=True, help="Repeatable; all that there are from now on.")
@click.option("--active/--inactive", default=None, help="Whether UP42 calls it.")
@click.option("--new-secret", is_flag=True, help="Take it from UP42_WEBHOOK_SECRET, or ask for it.")
@click.option("--no-secret", is_flag=True, help="Messages come unsigned; nothing proves that UP42 sent them.")
@_secret_shown_option
@json_option
@with_client
def replace(
    client: Up42Client,
    webhook_id: str,
    name: str | None,
    url: str | None,
    events: Sequence[str],
    active: bool | None,
    new_secret: bool,
    no_secret: bool,
    show_secret: bool,
    out: Output,
) -> None:
    """Write a webhook anew. UP42 clears what a request leaves out, so what is not given is read first and kept."""
    if new_secret and no_secret:
        raise click.UsageError("Give --new-secret or --no-secret.")
    known = client.webhooks.get(webhook_id)
    secret = _read_secret() if new_secret else "" if no_secret else known.secret.get_secret_value()
    written = client.webhooks.replace(
        known.id,
        name=name or known.name or "",
        url=url or known.url,
        events=events or known.events,
        secret=secret,
        active=known.active if active is None else active,
    )
    _print(written, show_secret, out)


@webhooks.command(epilog=example("webhooks delete WEBHOOK_ID"))
@click.argument("webhook_id")
@yes_option
@json_option
@with_client
def delete(client: Up42Client, webhook_id: str, yes: bool, out: Output) -> None:
    """Delete a webhook. Prints it as it was."""
    webhook = client.webhooks.get(webhook_id)
    confirm(f"Delete webhook {webhook.id} ({webhook.name}, {webhook.url})?", yes=yes)
    client.webhooks.delete(webhook.id)
    _print(webhook, False, out)


@webhooks.command(epilog=example("webhooks test WEBHOOK_ID"))
@click.argument("webhook_id")
@json_option
@with_client
def test(client: Up42Client, webhook_id: str, out: Output) -> None:
    """Have UP42 call a webhook once per event, now. Fails when a call was not answered well."""
    report = client.webhooks.test(webhook_id)
    out.record(report.raw, {"result": _result(report), "calls": f"{report.tests_run}, {report.tests_failed} failed"})
    out.part("calls", report.tests, _CALLS)
    if not report.passed:
        raise click.exceptions.Exit(FAILED)


test.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


@webhooks.command(epilog=example("webhooks events"))
@json_option
@with_client
def events(client: Up42Client, out: Output) -> None:
    """List what UP42 can report."""
    out.listing(client.webhooks.events(), _EVENTS, nothing="No events.")


def _read_secret() -> str:
    secret = os.environ.get(SECRET_VARIABLE)
    if secret:
        return secret
    if not somebody_is_there():
        raise click.UsageError(f"No secret: set {SECRET_VARIABLE}, or give --no-secret.")
    answer: str = click.prompt("Secret (signs the messages)", hide_input=True, confirmation_prompt=True, err=True)
    return answer


def _print(webhook: Webhook, show_secret: bool, out: Output) -> None:
    fields: Fields = {
        "webhook": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "active": yes_no(webhook.active),
        "secret": _secret(webhook, show_secret),
        "created": instant(webhook.created_at),
        "updated": instant(webhook.updated_at),
    }
    out.record(_raw(webhook, show_secret), fields)


def _secret(webhook: Webhook, show_secret: bool) -> str | Text:
    if not webhook.secret:
        return Text("none: messages are not signed", style="yellow")
    return webhook.secret.get_secret_value() if show_secret else _HIDDEN


def _raw(webhook: Webhook, show_secret: bool) -> dict[str, Any]:
    return webhook.raw | ({"secret": _HIDDEN} if webhook.secret and not show_secret else {})


def _result(report: TestReport) -> Text:
    return Text("passed", style="green") if report.passed else Text("failed", style="bold red")
