"""What an enrollment costs beside a bare workflow of the same timers and activities, in the same run.

Prints ratios: 1.00 would mean that consent, ledger, rendering and outbox cost nothing.
"""

from __future__ import annotations

import asyncio
import sysconfig
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from pydantic import JsonValue
from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.outgoing import Outgoing
from bench.bare import TASK_QUEUE, Bare, nothing
from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id
from emails.templates import Templates
from integrations.outbox.mailer import OutboxMailer
from runtime.databases import migrate_database, open_database
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from runtime.temporal import SEARCH_ATTRIBUTES
from store.contacts import upsert_contact
from store.database import Database
from store.enrollments import enroll
from worker.process import working
from workflows.discovery import discover_flows, workflow_runner

ENROLLMENTS = 40
PAUSE = timedelta(milliseconds=20)
SETTINGS: dict[str, JsonValue] = {"hand_after": "PT0.02S", "tip_after": "PT0.02S", "check_in_after": "PT0S"}
"""Two timers: the day of the check-in is past when it is waited for."""


async def bare(client: Client) -> WorkflowHistory:
    handles = [
        await client.start_workflow(Bare.run, PAUSE.total_seconds(), id=f"bare-{number}", task_queue=TASK_QUEUE)
        for number in range(ENROLLMENTS)
    ]
    await asyncio.gather(*(handle.result() for handle in handles))
    return await handles[0].fetch_history()


async def onboarding(client: Client, database: Database) -> WorkflowHistory:
    flows = discover_flows()
    dispatcher = Dispatcher(database, client, {name: flow.about for name, flow in flows.items()})
    handles = []
    for number in range(ENROLLMENTS):
        async with database.write() as session:
            profile = ContactProfile(email=f"contact-{number}@example.com", first_name="Ada")
            contact = (await upsert_contact(session, profile, {}, "bench")).contact
            row = await enroll(
                session, flow="onboarding", contact_id=contact.id, settings=SETTINGS, reenroll_after=timedelta(0)
            )
        await dispatcher.start(row)
        handles.append(client.get_workflow_handle(enrollment_workflow_id("onboarding", contact.id)))
    await asyncio.gather(*(handle.result() for handle in handles))
    return await handles[0].fetch_history()


async def timed(work: Callable[[], Awaitable[WorkflowHistory]]) -> tuple[float, WorkflowHistory]:
    began = time.perf_counter()
    history = await work()
    return time.perf_counter() - began, history


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), email_rate=10_000)
        await asyncio.to_thread(migrate_database, settings)
        database = open_database(settings)
        mailer = OutboxMailer(settings.outbox_folder)
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=str(Path(sysconfig.get_path("scripts")) / "temporal"),
            search_attributes=SEARCH_ATTRIBUTES,
            data_converter=pydantic_data_converter,
            dev_server_log_level="error",
        ) as environment:
            client = environment.client
            async with (
                Worker(
                    client,
                    task_queue=TASK_QUEUE,
                    workflows=[Bare],
                    activities=[nothing],
                    workflow_runner=workflow_runner(),
                    disable_eager_activity_execution=True,  # emails, on their own task queue, are not eager either
                ),
                working(client, settings, database, Outgoing(mailer), Templates.load(), discover_flows()),
            ):
                bare_seconds, bare_history = await timed(lambda: bare(client))
                seconds, history = await timed(lambda: onboarding(client, database))
        await database.close()
    table = Table("of one enrollment in onboarding", "bare workflow", "Cauce", "ratio", title=f"{ENROLLMENTS} at once")
    for name, before, after in (
        ("time, ms", 1000 * bare_seconds / ENROLLMENTS, 1000 * seconds / ENROLLMENTS),
        ("history, events", len(bare_history.events), len(history.events)),
        ("history, bytes as JSON", len(bare_history.to_json()), len(history.to_json())),
    ):
        table.add_row(name, f"{before:,.0f}", f"{after:,.0f}", f"{after / before:.2f}")
    Console().print(table)
    await asyncio.sleep(0.1)  # see cli.runner


if __name__ == "__main__":
    asyncio.run(main())
