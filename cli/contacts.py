"""`cauce contacts` and what is below it, for whoever keeps lists of contacts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.runner import run
from runtime.settings import load_settings

app = typer.Typer(
    help="Contacts: brought in from a file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def contacts() -> None:
    """Contacts: brought in from a file."""


@app.command("import")
def import_contacts(
    file: Annotated[Path, typer.Argument(help="CSV with a line of column names, see docs/importing-contacts.md.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column", metavar="NAME=TARGET", help='What a column becomes: "E-mail=email", "Plan=attributes.plan".'
        ),
    ] = None,
    ignore_unmapped: Annotated[
        bool, typer.Option("--ignore-unmapped", help="Leave out columns of which nothing says what they become.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, and change no contact.")] = False,
    name: Annotated[str | None, typer.Option(help="What to call the file; default: its name.")] = None,
    consent_source: Annotated[
        str | None, typer.Option(help="Where contacts said what consent columns hold: “fair 2026”.")
    ] = None,
    consent_wording: Annotated[
        str | None, typer.Option(help="Version of the text that they agreed to; default: the present one.")
    ] = None,
    consent_confirmed: Annotated[
        bool, typer.Option("--consent-confirmed", help="They have confirmed it by an email of yours.")
    ] = False,
    faults: Annotated[
        Path | None, typer.Option(metavar="OUT.csv", help="Write every bad line there; else the first are shown.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Import a file that was imported before, as if it were another one.")
    ] = False,
) -> None:
    """Create and update contacts from a file, through the HTTP API. Exit status 1 if any line was bad.

    After Ctrl-C or an outage, the same command goes on where it was.
    """
    from cli import contacts_import

    query = contacts_import.query_of(
        columns or [],
        unmapped="ignore" if ignore_unmapped else None,
        dry_run="true" if dry_run else None,
        name=file.name if name is None else name,
        consent_source=consent_source,
        consent_wording=consent_wording,
        consent_confirmed="true" if consent_confirmed else None,
    )
    if not run(contacts_import.import_contacts(load_settings(), file, query, faults, again=again)):
        raise typer.Exit(1)
