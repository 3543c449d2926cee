"""`kill -9` of the worker, again and again, in the middle of a bulk enrollment: everybody is enrolled, nobody twice.

Some hundreds in the suite; twenty thousand and ten kills, with figures, by `make bulk`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import psutil
import pytest
from sqlmodel import col, func, select
from temporalio.testing import WorkflowEnvironment

from activities.bulk_enrollments import HEARTBEAT_TIMEOUT, PAGE
from domain.audiences import AudienceSource
from domain.bulk_enrollments import JobStatus
from runtime.bulk_enrolling import begin_bulk_enrollment
from store.bulk_enrollments import insert_job
from store.database import Database
from store.list_tables import BulkEnrollmentRow, ImportedContactRow, ImportRow
from store.tables import ContactRow, EnrollmentRow
from tests.address_keys import ADDRESS_KEYS
from tests.cli.processes import environment
from tests.temporal_server import temporal_server
from tests.waiting import until

CONTACTS = int(os.environ.get("CAUCE_TEST_BULK", "300"))
LARGE = CONTACTS > 1_000
KILLS = 10 if LARGE else 3
PER_SECOND = 400.0 if LARGE else 100.0
PATIENCE = 120 + CONTACTS / 20
MEGABYTE = 2**20
FLOW = "once"
pytestmark = pytest.mark.timeout(2 * PATIENCE)


class Killing:
    """A bulk enrollment under way, the worker that does it, and how much memory each worker had."""

    def __init__(self, database: Database, server: WorkflowEnvironment, nursery: asyncio.subprocess.Process) -> None:
        self.database = database
        self.server = server
        self.memory: list[tuple[int, int, float]] = []
        """For each look: the worker's process id, the position, megabytes."""
        self._nursery = nursery

    async def bear(self) -> None:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(b"\n")
        await self._nursery.stdin.drain()
        self.worker = psutil.Process(int(await self._nursery.stdout.readline()))

    async def position(self, job_id: str) -> int:
        async with self.database.read() as session:
            job = await session.get_one(BulkEnrollmentRow, job_id)
        self.memory.append((self.worker.pid, job.position, self.worker.memory_info().rss / MEGABYTE))
        return job.position

    async def unstarted(self) -> int:
        query = select(func.count(col(EnrollmentRow.id))).where(col(EnrollmentRow.started_at).is_(None))
        async with self.database.read() as session:
            return (await session.exec(query)).one()


@asynccontextmanager
async def killing(folder: Path, database_url: str) -> AsyncIterator[Killing]:
    database = Database(database_url, ADDRESS_KEYS)
    async with await temporal_server() as server:
        variables = {
            "CAUCE_DATABASE_URL": database_url,
            "CAUCE_SECRET_KEY": "a secret key of this test",
            "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
            "BULK_PAGE": str(PAGE) if LARGE else "50",
            "BULK_HEARTBEAT_SECONDS": str(HEARTBEAT_TIMEOUT.total_seconds() if LARGE else 1),
        }
        nursery = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.recovery.bulk_nursery"),
            env=environment(folder / "data", **variables),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=(folder / "workers.log").open("wb"),
            start_new_session=True,
        )
        try:
            yield Killing(database, server, nursery)
        finally:
            os.killpg(nursery.pid, signal.SIGKILL)  # with every worker that it has borne
            await nursery.wait()
            await database.close()


async def asked_for(database: Database) -> BulkEnrollmentRow:
    async with database.write() as session:
        brought = ImportRow(status="finished")
        contacts = [ContactRow(email=f"c{number}@example.com", locale="en") for number in range(CONTACTS)]
        session.add_all([brought, *contacts])
        await session.flush()
        session.add_all(ImportedContactRow(import_id=brought.id, contact_id=each.id) for each in contacts)
    row = BulkEnrollmentRow(flow=FLOW, source={}, per_second=PER_SECOND, status=JobStatus.PREPARING)
    async with database.write() as session:
        job = await insert_job(session, row, AudienceSource(import_id=brought.id))
    assert job is not None
    return job


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(os.environ.get("CAUCE_TEST_BULK_ON", "sqlite") + "_url"))


async def test_killed_again_and_again_everybody_is_enrolled_once(tmp_path: Path, database_url: str) -> None:
    chance = Random(CONTACTS)  # noqa: S311 (a die, no secret)
    async with killing(tmp_path, database_url) as bulk:
        job = await asked_for(bulk.database)
        await bulk.bear()
        began = time.monotonic()
        await begin_bulk_enrollment(job, bulk.server.client, bulk.database)
        for kill in range(KILLS):
            due = CONTACTS * (kill + chance.random()) / (KILLS + 1)

            async def has_come_so_far(due: float = due) -> bool:
                return await bulk.position(job.id) > due

            await until(has_come_so_far, within=PATIENCE, every=0.1)
            await asyncio.sleep(chance.uniform(0, 0.7))  # anywhere in a turn
            bulk.worker.kill()
            await bulk.bear()

        async def is_done() -> bool:
            return await bulk.position(job.id) >= CONTACTS and not await bulk.unstarted()

        await until(is_done, within=PATIENCE, every=0.1)
        seconds = time.monotonic() - began
        async with bulk.database.read() as session:
            stored = await session.get_one(BulkEnrollmentRow, job.id)
            times = list(
                await session.exec(select(func.count(col(EnrollmentRow.id))).group_by(col(EnrollmentRow.contact_id)))
            )

        async def runs() -> int:
            """Of all contacts: one started twice would have two."""
            return (await bulk.server.client.count_workflows(f"WorkflowType = '{FLOW}'")).count

        async def all_are_counted() -> bool:
            return await runs() >= CONTACTS

        await until(all_are_counted, within=20)  # the server's list lags behind
        started = await runs()
    print(told(bulk, seconds))  # noqa: T201 (the figures are asked for)
    assert (stored.status, stored.enrolled, stored.refusals) == (JobStatus.FINISHED, CONTACTS, {})
    assert times == [1] * CONTACTS
    assert started == CONTACTS
    assert growth(bulk) < 48


def growth(bulk: Killing) -> float:
    """Of the worker that lived longest, in megabytes: from when it had begun to work to its end."""
    lives: dict[int, list[tuple[int, float]]] = {}
    for pid, position, megabytes in bulk.memory:
        lives.setdefault(pid, []).append((position, megabytes))
    longest = max(lives.values(), key=lambda looks: looks[-1][0] - looks[0][0])
    at_work = [megabytes for position, megabytes in longest if position > longest[0][0]]
    return max(at_work) - at_work[0] if at_work else 0


def told(bulk: Killing, seconds: float) -> str:
    at = [bulk.memory[len(bulk.memory) * part // 4 - (part == 4)] for part in range(1, 5)]
    memory = ", ".join(f"{megabytes:.0f} MB at {position}" for _, position, megabytes in at)
    return (
        f"\n{CONTACTS} contacts, {KILLS} kills: {seconds:.0f} s, {CONTACTS / seconds:.0f} enrolled and started a second"
        f"\nmemory of the worker: {memory}; grown by {growth(bulk):.0f} MB in the longest life"
    )
