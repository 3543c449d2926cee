"""`cauce people` and what is below it, for whoever keeps the team."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.runner import run
from cli.terminal import show
from runtime.settings import load_settings

app = typer.Typer(
    help="The people of the team: who is asked, and who gets leads.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command("import")
def import_people(
    file: Annotated[Path, typer.Argument(help="CSV with a first line of column names, see docs/operating.md.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of whom, and send nothing.")
    ] = False,
) -> None:
    """Add the people of a file, and change those who are known, through the HTTP API. A bad line: nothing is sent."""
    from cli import people_import

    run(people_import.import_people(load_settings(), file, dry_run=dry_run))


@app.command("list")
def list_people() -> None:
    """List everybody, by name, through the HTTP API."""
    from cli.people_import import people_table

    show(run(people_table(load_settings())))
