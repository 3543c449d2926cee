"""What a drip step, one wait and one email, costs in Temporal: counted in the histories of flows with two and ten.

Actions are what Temporal Cloud bills: timers, attempts of activities, local activities of a task as one, signals,
updates, upserts (source: docs.temporal.io/cloud/actions, read 2026-11).
"""

from __future__ import annotations

from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from bench.measuring import Results
from bench.process import flow_types
from bench.stage import Stage, stage
from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id
from runtime.dispatch import Dispatcher
from store.contacts import upsert_contact
from store.enrollments import enroll

FEW, MANY = 2, 10
_BILLED = (
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED,
    EventType.EVENT_TYPE_MARKER_RECORDED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
)


async def measure() -> Results:
    async with stage() as on:
        await on.worker()
        few, many = await lived(on, FEW), await lived(on, MANY)
    steps = MANY - FEW
    return {
        "events_per_drip_step": (len(many.events) - len(few.events)) / steps,
        "actions_per_drip_step": (actions(many) - actions(few)) / steps,
    }


def actions(history: WorkflowHistory) -> int:
    return sum(event.event_type in _BILLED for event in history.events)


async def lived(on: Stage, steps: int) -> WorkflowHistory:
    async with on.database.write() as session:
        contact = (await upsert_contact(session, ContactProfile(email=f"d{steps}@example.com"), {}, "bench")).contact
        row = await enroll(
            session, flow="drips", contact_id=contact.id, settings={"steps": steps}, reenroll_after=timedelta(0)
        )
    await Dispatcher(on.database, on.client, flow_types()).start(row)
    handle = on.client.get_workflow_handle(enrollment_workflow_id("drips", contact.id))
    await handle.result()
    return await handle.fetch_history()
