"""Bulk enrollment through the API, beside bare `client.start_workflow` calls of an empty workflow; and one of 100,000.

`bulk_enroll_vs_bare` compares, as `bench.enrolling` does, the way from the request until the last run has done its
first task: ours with its job, audience and enrollments in PostgreSQL. `bulk_100000_*` is one bulk enrollment of an
import of 100,000: the worker's memory at most, beside what it had before, and enrollments a second.
"""

from __future__ import annotations

import json
import sys
import time

from bench import enrolling
from bench.enrolling import first_tasks_done
from bench.http_load import ask_all, post
from bench.importing import import_rows
from bench.measuring import Results, alternating, ratio
from bench.stage import Stage, peak_memory, stage, until
from domain.bulk_enrollments import MAX_PER_SECOND, JobStatus
from domain.flows import enrollment_workflow_id
from store.list_tables import BulkEnrollmentRow
from store.tables import ContactRow, new_id

FLOW = "sleeper"
ROWS = 100_000
PATIENCE = 7200.0


async def measure() -> Results:
    async with stage() as on:
        api = await on.api()
        await on.worker()
        on.run(sys.executable, "-m", "bench.bare")
        ours, bare = await alternating(lambda: enroll_some(on, api), lambda: enrolling.bare(on, lived=True))
    return {"bulk_enroll_vs_bare": ratio(ours, bare), **await many()}


async def many() -> Results:
    async with stage(temporal_on_disk=True) as on:
        api, worker = await on.api(), await on.worker()
        await enroll_some(on, api)
        import_id = await import_rows(api, ROWS)
        before = worker.memory_info().rss / 1e6
        began = time.perf_counter()
        async with peak_memory(worker) as peak:
            await enroll(on, api, {"import_id": import_id})
            return {
                "bulk_100000_per_second": ROWS / (time.perf_counter() - began),
                "bulk_100000_peak_mb": peak(),
                "bulk_100000_before_mb": before,
            }


async def enroll_some(on: Stage, api: str) -> float:
    """Enrollments a second, until the first task of each run is done."""
    contacts = [ContactRow(email=f"{new_id()}@example.com", locale="en") for _ in range(enrolling.ENROLLMENTS)]
    async with on.database.write() as session:
        session.add_all(contacts)
    began = time.perf_counter()
    await enroll(on, api, {"contact_ids": [contact.id for contact in contacts]})
    await first_tasks_done(on, [enrollment_workflow_id(FLOW, contact.id) for contact in contacts])
    return enrolling.ENROLLMENTS / (time.perf_counter() - began)


async def enroll(on: Stage, api: str, source: dict[str, object]) -> None:
    """Ask for a bulk enrollment as fast as one may be, and wait until it is finished."""
    body = json.dumps({"source": source, "per_second": MAX_PER_SECOND}).encode()
    (asked,) = await ask_all(api, [post(f"/v1/flows/{FLOW}/enrollments/bulk", body)], 1)
    job_id = json.loads(asked.body)["id"]

    async def is_finished() -> bool:
        async with on.database.read() as session:
            return (await session.get_one(BulkEnrollmentRow, job_id)).status == JobStatus.FINISHED

    await until(is_finished, PATIENCE)
