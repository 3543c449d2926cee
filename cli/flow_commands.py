"""`cauce flows` and what is below it, for people who write flows."""

from __future__ import annotations

import typer

from cli.terminal import show

app = typer.Typer(help="List the flows, and what can be set in each.", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def flows(context: typer.Context) -> None:
    """List the flows, and what can be set in each."""
    if context.invoked_subcommand is None:
        from cli.flows import flows_table

        show(flows_table())
