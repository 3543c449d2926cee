"""`cauce up`: everything on this machine, kept running until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal

from rich import box
from rich.table import Column, Table

from cli.api_client import ApiClient
from cli.demo import show_demo
from cli.deploy_here import DeployHere
from cli.failures import CommandFailed
from cli.kept_code import KeptCode
from cli.machine import Machine, Ports, temporal_server
from cli.ports import require_free
from cli.record import Record, end_leftovers, hold
from cli.runner import stop_on
from cli.supervisor import Supervisor
from cli.terminal import say, show
from runtime.databases import open_database
from runtime.migrating import migrate_database
from runtime.providers import make_crm
from runtime.settings import Settings
from worker.outgoing import make_outgoing
from workflows.builds import build_id
from workflows.discovery import discover_flows


async def up(settings: Settings, ports: Ports, *, demo: bool) -> None:
    """Run everything until SIGINT, SIGTERM or SIGHUP, then leave no process behind.

    `settings` are the user's own, with the data folder that `up` is to use.
    Raises: CommandFailed if something cannot be started, DatabaseNotReady.
    """
    if demo and settings.mailer != "outbox":
        raise CommandFailed("--demo writes to addresses that nobody has: use it with CAUCE_MAILER=outbox")
    # What the children would stumble over one by one is found before any of them starts.
    make_outgoing(settings).close()
    machine = Machine(settings, ports, os.environ, temporal_server())
    with hold(machine.data_dir) as record:
        make_crm(settings, open_database(settings))
        supervisor = Supervisor(record)
        stop = stop_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, again=supervisor.kill)
        stopping = asyncio.create_task(stop.wait())
        running = asyncio.create_task(_run(machine, record, supervisor, demo=demo))
        try:
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            say("stopping; once more to kill at once")
        finally:
            running.cancel()
            # First: what it was starting at this moment is then known to the supervisor.
            await asyncio.wait({running})
            await supervisor.stop()
        say("stopped")


async def _run(machine: Machine, record: Record, supervisor: Supervisor, *, demo: bool) -> None:
    await end_leftovers(record)
    require_free(machine.ports_by_option)
    machine.logs.mkdir(exist_ok=True)
    await supervisor.start(machine.temporal())
    revision = await asyncio.to_thread(migrate_database, machine.settings)
    say(f"database … at migration {revision}")
    kept = KeptCode(machine.data_dir / "code")
    code = await asyncio.to_thread(kept.keep, {name: build_id(flow) for name, flow in discover_flows().items()})
    await supervisor.start(machine.worker(code), machine.api(code))
    deploying = asyncio.create_task(DeployHere(machine, supervisor, kept).run())
    show(_addresses(machine))
    if unguessed := machine.unguessed(os.environ):
        say("in another terminal, before any cauce command:")
        say("  export " + shlex.join(f"{name}={value}" for name, value in unguessed.items()))
    say("Ctrl-C stops everything; `cauce up` carries on from there")
    try:
        if demo:
            await _demo(machine.settings)
        await deploying
        await supervisor.watch()
    finally:
        deploying.cancel()


async def _demo(settings: Settings) -> None:
    try:
        async with ApiClient.of(settings) as api:
            await show_demo(api)
    except CommandFailed as error:
        say(f"demo: {error}")


def _addresses(machine: Machine) -> Table:
    table = Table(Column(), Column(overflow="fold"), box=box.SIMPLE, show_header=False)
    table.add_row("API, with its documentation", f"{machine.api_url}/docs")
    table.add_row("emails that were sent", f"{machine.api_url}/outbox")
    table.add_row("Temporal Web UI", machine.temporal_ui_url)
    table.add_row("worker metrics", f"http://{machine.worker_metrics}/metrics")
    table.add_row("logs", str(machine.logs))
    return table
