"""`cauce flows` and what is below it, for people who write flows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.runner import run
from cli.terminal import say, show
from runtime.settings import load_settings

app = typer.Typer(help="List the flows, how good each is, and what can be set in each.", pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def flows(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON, with all that is missing in each flow.")
    ] = False,
) -> None:
    """List the flows, how good each is as computed from its files, and what can be set in each."""
    if context.invoked_subcommand is not None:
        return
    from cli.flows import flows_json, flows_table

    if as_json:
        say(flows_json())
    else:
        show(flows_table())


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="FLOW", help="Flows; without one, all.")] = None,
) -> None:
    """Check flows as they are written, without running them: exit status 1 if anything is wrong."""
    from cli.flows_check import check_flows

    lines, sound = check_flows(names or [])
    for line in lines:
        say(line)
    if not sound:
        raise typer.Exit(1)


@app.command()
def diagram(
    flow: Annotated[str, typer.Argument(help="As `cauce flows` names it.")],
    form: Annotated[Literal["mermaid", "svg"], typer.Option("--format", help="What to draw it in.")] = "mermaid",
    output: Annotated[Path | None, typer.Option(help="A file, instead of standard output.")] = None,
) -> None:
    """Draw a flow from its code: steps, branches, waits with their time-outs, ends and exits."""
    from cli.flows_diagram import drawn, write

    text = drawn(flow, form)
    if output is None:
        say(text)
    else:
        write(text, output)


@app.command()
def pages(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing: exit status 1 if a page is stale.")
    ] = False,
) -> None:
    """Write the page of each flow in docs/flows, and remove those of flows that are gone."""
    from cli.flows_check import HERE
    from inspection.pages import stale_pages, write_pages

    stale = stale_pages(HERE.root) if check_only else write_pages(HERE.root)
    for fault in stale:
        say(str(fault) if check_only else f"{fault.path} {fault.what}: mended")
    if not stale:
        say("every page is what the flows say")
    elif check_only:
        raise typer.Exit(1)


@app.command()
def report(
    flow: Annotated[str, typer.Argument(help="As `cauce flows` names it.")],
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Who entered on this day or later.")
    ] = None,
    before: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Who entered before this day.")] = None,
    version: Annotated[str | None, typer.Option(help="Who began on this build of its code.")] = None,
) -> None:
    """Tell what came of those who entered a flow, as the API counts it."""
    from cli import flows_report

    query = {"from": since, "to": before, "version": version}
    show(run(flows_report.report(load_settings(), flow, **query)))


@app.command()
def record(
    names: Annotated[list[str] | None, typer.Argument(metavar="FLOW", help="Flows; without one, all.")] = None,
    forget: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Record nothing: remove this version's histories.")
    ] = None,
) -> None:
    """Live each flow in every way, and keep histories of it in tests/histories, for this version of its code."""
    from cli.flow_histories import forget_version, record_flows

    if forget is not None:
        forget_version(names or [], forget)
    else:
        run(record_flows(names or []))


@app.command()
def replay(
    names: Annotated[list[str] | None, typer.Argument(metavar="FLOW", help="Flows; without one, all.")] = None,
) -> None:
    """Replay the histories in tests/histories on the code at hand: exit status 1 if a contact would be stuck."""
    from cli.flow_histories import replay_flows

    if not run(replay_flows(names or [])):
        raise typer.Exit(1)
