"""A flow of four messages with no waits to its end, beside a hand-written workflow of four activities.

The activities of the bare workflow post a message of the same size by the same mailer to the same provider, and do
nothing else. Ours decide on consent, suppressions, hours and frequency, render, and keep the ledger in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta
from itertools import count

from pydantic import JsonValue

from bench.bare import MESSAGES, TASK_QUEUE
from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, stage
from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id
from runtime.dispatch import Dispatcher
from store.contacts import upsert_contact
from store.enrollments import enroll
from store.tables import EnrollmentRow
from workflows.discovery import discover_flows

FLOWS = 60
CALLERS = 16
NO_WAITS: dict[str, JsonValue] = {"hand_after": "PT0S", "tip_after": "PT0S", "check_in_after": "PT0S"}
_numbers = count()


async def measure() -> Results:
    async with stage() as on:
        await on.worker()
        on.run(sys.executable, "-m", "bench.bare")
        ours, bare = await alternating(lambda: by_onboarding(on), lambda: by_bare_workflows(on))
    return {"flow_throughput_vs_bare": ratio(ours, bare)}


async def by_onboarding(on: Stage) -> float:
    """Flows a second, from the first start to the last end."""
    dispatcher = Dispatcher(on.database, on.client, {name: flow.about for name, flow in discover_flows().items()})
    rows = [await enrolled(on) for _ in range(FLOWS)]

    async def live(row: EnrollmentRow) -> None:
        await dispatcher.start(row, held=False)
        await on.client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id)).result()

    began = time.perf_counter()
    await asyncio.gather(*(live(row) for row in rows))
    return FLOWS / (time.perf_counter() - began)


async def enrolled(on: Stage) -> EnrollmentRow:
    async with on.database.write() as session:
        profile = ContactProfile(email=f"c{next(_numbers)}@example.com", first_name="Ada")
        contact = (await upsert_contact(session, profile, {}, "bench")).contact
        return await enroll(
            session, flow="onboarding", contact_id=contact.id, settings=NO_WAITS, reenroll_after=timedelta(0)
        )


async def by_bare_workflows(on: Stage) -> float:
    """Flows a second, from the first start to the last end."""

    async def live() -> None:
        handle = await on.client.start_workflow("bare_series", id=f"bare-{next(_numbers)}", task_queue=TASK_QUEUE)
        await handle.result()

    began = time.perf_counter()
    await asyncio.gather(*(live() for _ in range(FLOWS)))
    return FLOWS / (time.perf_counter() - began)


if __name__ == "__main__":
    assert MESSAGES == 4
    print(asyncio.run(measure()))
