"""Contacts who sleep in a flow: what they cost a worker, and how soon an event wakes one, few asleep and many.

`event_to_wake_ms_*`: from the HTTP answer to `POST /v1/events` to the start of the activity of the step that follows;
below zero where the flow was quicker than the answer. `worker_memory_per_1000_sleeping_*`: megabytes of resident memory
that a worker has more than before, for each thousand contacts asleep; it keeps 1,000 runs of a flow in memory and gives
up the others, which are read from their histories when something wakes them.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from bench.http_load import ask_all, post
from bench.measuring import Results, percentile
from bench.process import flow_types
from bench.stage import Stage, stage, until
from domain.contacts import ContactProfile
from domain.flows import enrollment_workflow_id
from runtime.dispatch import Dispatcher
from runtime.in_turns import in_turns
from store.contacts import upsert_contact
from store.enrollments import enroll
from store.tables import EnrollmentRow

FEW, MANY = 1_000, 20_000
WOKEN = 100
_PAGE = 500


async def measure() -> Results:
    async with stage() as on:
        api, worker = await on.api(), await on.worker()
        results: Results = {}
        asleep: list[EnrollmentRow] = []
        made = 0
        before = _megabytes(worker)
        for size in (FEW, MANY):
            asleep += await put_to_sleep(on, made, size)
            made = size
            results[f"worker_memory_per_1000_sleeping_{size}"] = (_megabytes(worker) - before) / size * 1000
            woken = random.Random(size).sample(asleep, WOKEN)  # noqa: S311 (a die)
            asleep = [row for row in asleep if row not in woken]
            delays = [await wake(on, api, row) for row in woken]
            results[f"event_to_wake_ms_p50_{size}"] = percentile(delays, 0.5)
            results[f"event_to_wake_ms_p99_{size}"] = percentile(delays, 0.99)
        grown = results[f"worker_memory_per_1000_sleeping_{MANY}"] / results[f"worker_memory_per_1000_sleeping_{FEW}"]
        results["worker_memory_growth_20000_to_1000"] = grown
        woke = results[f"event_to_wake_ms_p50_{MANY}"] / max(results[f"event_to_wake_ms_p50_{FEW}"], 1)
        results["event_to_wake_growth_20000_to_1000"] = woke
        return results


async def put_to_sleep(on: Stage, first: int, last: int) -> list[EnrollmentRow]:
    """Contacts with these numbers, each asleep: their runs have done their first task."""
    dispatcher = Dispatcher(on.database, on.client, flow_types())
    rows: list[EnrollmentRow] = []
    for begins in range(first, last, _PAGE):
        async with on.database.write() as session:
            page = [await _enrolled(session, number) for number in range(begins, min(begins + _PAGE, last))]
        await in_turns(lambda row: dispatcher.start(row, held=False), page)
        rows += page
    for row in rows:
        handle = _handle(on, row)
        await until(lambda: _is_asleep(handle))  # noqa: B023 (awaited here)
    return rows


async def _enrolled(session, number: int) -> EnrollmentRow:  # type: ignore[no-untyped-def]
    contact = (await upsert_contact(session, ContactProfile(email=f"s{number}@example.com"), {}, "bench")).contact
    return await enroll(
        session, flow="sleeper", contact_id=contact.id, settings={}, reenroll_after=timedelta(0), is_new=True
    )


async def _is_asleep(handle: WorkflowHandle[object, object]) -> bool:
    """Started, scheduled, begun, completed, timer."""
    return (await handle.describe()).history_length >= 5


async def wake(on: Stage, api: str, row: EnrollmentRow) -> float:
    """Milliseconds from the answer to the event to the start of the next step's activity."""
    body = json.dumps({"contact_id": row.contact_id, "name": "alarm"}).encode()
    (answered,) = await ask_all(api, [post("/v1/events", body)], 1)
    handle = _handle(on, row)
    while True:
        for event in (await handle.fetch_history()).events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                return 1000 * (event.event_time.ToNanoseconds() / 1e9 - answered.at)
        await asyncio.sleep(0.02)


def _handle(on: Stage, row: EnrollmentRow) -> WorkflowHandle[object, object]:
    return on.client.get_workflow_handle(enrollment_workflow_id(row.flow, row.contact_id))


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)
