"""Processes of Cauce that know the bench's own flows beside the shipped ones.

`python -m bench.process worker READY` does what `cauce worker` does for flows, bulk enrollments and broadcasts, and
makes the file READY once it does.
`python -m bench.process api PORT` serves the API.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from api.app import create_app
from api.serve import serve_app
from bench import specimens
from cli.ports import LOOPBACK
from domain.flows import FlowType
from emails.templates import Templates
from runtime.databases import open_database
from runtime.settings import Settings, load_settings
from runtime.temporal import connect
from tests.flows.specimen_templates import specimen_templates
from worker.broadcasting import broadcasting
from worker.listing import listing
from worker.outgoing import make_outgoing
from worker.process import working
from workflows.discovery import FlowClass, discover_flows


def flows() -> dict[str, FlowClass]:
    return {**discover_flows(), **discover_flows(specimens)}


def flow_types() -> dict[str, FlowType]:
    return {name: flow.about for name, flow in flows().items()}


def templates() -> Templates:
    """Those of the shipped flows, and one called `tip` for a specimen."""
    shipped, known = Templates.load(), specimen_templates()
    return Templates(shipped._root, {**shipped._messages, ("drips", "tip"): known._find("drip", "tip")})


async def work(settings: Settings, ready: Path) -> None:
    client = await connect(settings.encryption_keys)
    database = open_database(settings)
    outgoing, known = make_outgoing(settings), templates()
    async with (
        working(client, settings, database, outgoing, known, flows()),
        listing(client, database, flow_types()),
        broadcasting(client, settings, database, outgoing, known),
    ):
        await asyncio.to_thread(ready.touch)
        await asyncio.Event().wait()


async def serve(settings: Settings, port: int) -> None:
    client = await connect(settings.encryption_keys, lazy=True)
    await serve_app(create_app(settings, client, flows()), LOOPBACK, port)


if __name__ == "__main__":
    what, where = sys.argv[1:]
    asyncio.run(work(load_settings(), Path(where)) if what == "worker" else serve(load_settings(), int(where)))
