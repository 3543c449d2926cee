"""The `cauce` command. What a subcommand needs is imported when it runs: a worker's imports take seconds."""

from __future__ import annotations

import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import contacts, email_commands, flow_commands, people
from cli.ports import LOOPBACK
from cli.runner import run, until_signalled
from cli.terminal import say, show
from domain.flows import OnEdit
from runtime.logs import configure_logs
from runtime.settings import load_settings

app = typer.Typer(
    help="Durable marketing flows on Temporal.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback never shows the values of variables: settings and contacts are among them.
    pretty_exceptions_enable=False,
)
app.add_typer(flow_commands.app, name="flows")
app.add_typer(email_commands.app, name="emails")
app.add_typer(people.app, name="people")
app.add_typer(contacts.app, name="contacts")


def main() -> None:
    """Run a command. What a person can mend is told in clear words on standard error, with exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ gets a question mark
    try:
        app()
    except Exception as error:
        from cli.known_errors import told

        line = told(error)
        if line is None:
            raise
        sys.exit(f"cauce: {line}")


def _port(of: str) -> Any:
    return typer.Option(min=1, max=65535, help=f"Of {of}.")


@app.command()
def up(
    data_dir: Annotated[Path | None, typer.Option(help="Folder of all that is kept; default: CAUCE_DATA_DIR.")] = None,
    api_port: Annotated[int, _port("the API and the console")] = 8000,
    temporal_port: Annotated[int, _port("the Temporal server")] = 7233,
    ui_port: Annotated[int, _port("the Temporal Web UI")] = 8233,
    demo: Annotated[
        bool, typer.Option("--demo", help="Add two people, and five contacts in four flows, to have something to see.")
    ] = False,
) -> None:
    """Run everything on this machine: Temporal, database, worker, API and console."""
    from cli.machine import Ports
    from cli.up import up as keep_up

    settings = load_settings()
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir})
    ports = Ports(api=api_port, temporal=temporal_port, temporal_ui=ui_port)
    run(keep_up(settings, ports, demo=demo))


@app.command()
def worker(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="FLOW", help="Conduct these flows and nothing else: for earlier code."),
    ] = None,
) -> None:
    """Run workflows and activities, until SIGTERM or SIGINT. A second one ends it at once."""
    from cli.flows import known_flows
    from worker.process import run_worker

    known_flows(only or ())
    settings = load_settings()
    configure_logs("worker", settings.log_level)
    run(until_signalled(partial(run_worker, settings, only=only or ())))


@app.command()
def api(
    host: Annotated[str, typer.Option(help="Address to listen on; the default is for this machine only.")] = LOOPBACK,
    port: Annotated[int, _port("the API and the console")] = 8000,
) -> None:
    """Serve the HTTP API and the console, until SIGTERM or SIGINT."""
    from api.serve import serve

    settings = load_settings()
    configure_logs("api", settings.log_level)
    serve(settings, host, port)


@app.command()
def migrate() -> None:
    """Bring the database to the newest migration."""
    from runtime.migrating import migrate_database

    say(f"the database is at migration {migrate_database(load_settings())}")


@app.command()
def retention() -> None:
    """Say what the settings keep no longer, and what stays all the same and why. Workers drop it; this does not."""
    from cli.retention import say_what_goes

    run(say_what_goes(load_settings()))


@app.command()
def deploy(
    flows: Annotated[list[str] | None, typer.Argument(help="As `cauce flows` names them; default: all.")] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would become of whom, and change nothing.")
    ] = False,
    ramp: Annotated[
        float | None, typer.Option(min=0, max=100, metavar="PERCENT", help="Give the code at hand a share of contacts.")
    ] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="End a ramp, or go back to the version before.")] = False,
    move_pinned: Annotated[
        bool, typer.Option("--move-pinned", help="Move contacts of flows that pin, too: their code is given up.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the preview as JSON.")] = False,
) -> None:
    """Make the flows' code at hand current and move contacts to it. Exit status 1 if any contact cannot be carried."""
    from cli import deploy as deploy_command

    if as_json and not preview:
        raise typer.BadParameter("--json goes with --preview")
    if rollback and (preview or ramp is not None or move_pinned):
        raise typer.BadParameter("--rollback goes alone: --preview, --ramp and --move-pinned are of the code at hand")
    carried = run(
        deploy_command.deploy(
            load_settings(),
            flows or [],
            preview=preview,
            ramp=ramp,
            rollback=rollback,
            move_pinned=move_pinned,
            json=as_json,
        )
    )
    if not carried:
        raise typer.Exit(1)


@app.command()
def enroll(
    flow: Annotated[str, typer.Argument(help="As `cauce flows` names it.")],
    email: Annotated[str, typer.Argument(help="The contact's address.")],
    first_name: str | None = None,
    last_name: str | None = None,
    locale: Annotated[str | None, typer.Option(help="Such as en, es or es-CL.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Of the flow's settings: tip_after=PT5S.")
    ] = None,
) -> None:
    """Enroll a contact in a flow, through the HTTP API."""
    from cli import enroll as enroll_command

    given = {"email": email, "first_name": first_name, "last_name": last_name, "locale": locale}
    contact = {name: value for name, value in given.items() if value is not None}
    run(enroll_command.enroll(load_settings(), flow, contact, enroll_command.parse_overrides(assignments or [])))


@app.command()
def simulate(
    flow: Annotated[str, typer.Argument(help="As `cauce flows` names it.")],
    contacts: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many virtual contacts.")] = 1000,
    behaviour: Annotated[
        Path | None, typer.Option(help="TOML file of what contacts do, see docs/simulating.md; without it, a default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same contacts.")] = 1,
    compare: Annotated[
        str | None, typer.Option(metavar="REV", help="Git revision of this project to run on the same contacts.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Of the flow's settings: tip_after=PT5S.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with each contact's story.")] = False,
) -> None:
    """Send virtual contacts through a flow's real code, and say what comes of it. Nobody is written to."""
    from cli.enroll import parse_overrides
    from cli.simulate import simulate_flow

    overrides = parse_overrides(assignments or [])
    simulate_flow(flow, contacts, seed, behaviour, overrides, compare, as_json=as_json)


@app.command()
def new_flow(
    name: Annotated[str, typer.Argument(help="In snake_case: win_back.")],
    title: Annotated[str | None, typer.Option(help="What the flow does, in a line.")] = None,
    goal: Annotated[str | None, typer.Option(metavar="EVENT", help="What it is to bring about: activated.")] = None,
    steps: Annotated[
        str | None,
        typer.Option(help='Such as "guide, clicked within 3 days? case-study : reminder, wait 7 days, offer".'),
    ] = None,
    owner: Annotated[str, typer.Option(help="The team that answers for it.")] = "marketing",
    on_edit: Annotated[
        OnEdit, typer.Option(help="After an edit, contacts inside follow the new code or stay pinned to theirs.")
    ] = OnEdit.FOLLOW,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: what is not given gets a default.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, and write none.")] = False,
) -> None:
    """Write a new flow with its messages, test and histories, and run its checks. Nothing is overwritten."""
    from cli.new_flow import Given
    from cli.new_flow import new_flow as write_new_flow

    if not write_new_flow(name, Given(title, goal, steps, owner, on_edit), ask=not yes, dry_run=dry_run):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Look at everything that Cauce needs, and say how to mend what is wrong."""
    from cli.doctor import examine, findings_table

    findings = run(examine())
    show(findings_table(findings))
    if any(finding.mend for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
