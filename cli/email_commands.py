"""`cauce emails` and what is below it, for people who write messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.terminal import say
from runtime.settings import load_settings

app = typer.Typer(
    help="The messages that flows send, and those to people of the team.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Message = Annotated[
    str, typer.Argument(metavar="FLOW/MESSAGE", help="As its folder is called: onboarding/welcome, people/approval.")
]
Locale = Annotated[str | None, typer.Option(help="Such as es or es-CL; default: the contact's.")]
ContactFile = Annotated[
    Path | None, typer.Option(help="JSON with the fields of a contact, as the API takes them; without it, a sample.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Of the flow's settings: offer_valid_for=P7D."),
]


@app.command()
def preview(
    message: Message,
    locale: Locale = None,
    contact: ContactFile = None,
    assignments: Assignments = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser; without a terminal, none is.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder for the HTML; default: in CAUCE_DATA_DIR.")] = None,
) -> None:
    """Render a message for one contact: print subject and text, and open the HTML in the browser. Nothing is sent."""
    from cli.chosen_message import choose
    from cli.emails_preview import preview_message

    settings = load_settings()
    chosen = choose(message, settings, locale, contact, assignments or [])
    preview_message(chosen, output or settings.data_dir / "previews", in_browser=sys.stdout.isatty() and not no_open)


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FLOW", help="Flows, or people; without one, all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with what was measured.")] = False,
) -> None:
    """Check messages in all their locales, as written and as rendered: exit status 1 if anything is wrong."""
    from cli.emails_check import check_emails, emails_json, emails_lines

    checked = check_emails(names or [])
    if as_json:
        say(emails_json(checked))
    else:
        for line in emails_lines(checked):
            say(line)
    if not checked.is_sound:
        raise typer.Exit(1)


@app.command("send-test")
def send_test(
    message: Message,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Who gets it: somebody of your own.")],
    locale: Locale = None,
    contact: ContactFile = None,
    assignments: Assignments = None,
) -> None:
    """Send one message to one address, marked as a test. Nobody's consent is asked, and nothing is written down."""
    from cli.chosen_message import choose
    from cli.emails_trial import send_trial

    settings = load_settings()
    send_trial(choose(message, settings, locale, contact, assignments or []), to, settings)
