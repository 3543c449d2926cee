"""A bulk enrollment on Temporal's time-skipping server, with its real activities and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlmodel import col, select
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.bulk_enrollments import BulkEnrollmentActivities
from domain.audiences import AudienceSource
from domain.bulk_enrollments import JobStatus, Pilot, Standing
from domain.flows import LISTS_TASK_QUEUE, Exit, FlowType, Goal, OnEdit, Outcome
from domain.messages import MessageStatus
from rehearsal.clock import ServerTime
from rehearsal.stage import fresh_database, skipping_server
from runtime.bulk_enrolling import begin_bulk_enrollment, bulk_workflow_id
from store.bulk_enrollments import insert_job, lock_job
from store.database import Database
from store.enrollments import mark_started, record_outcome
from store.ledger_tables import MessageRow
from store.list_tables import BulkEnrollmentRow
from store.tables import ContactRow, EnrollmentRow, month_of, new_id, now, on_clock
from tests.waiting import until
from workflows.discovery import workflow_runner
from workflows.lists.bulk_enrollment import BulkEnrollmentWorkflow

FLOW = "spring"
SPRING = FlowType(
    title="Spring", goal=Goal(event="bought", target=0.1, within=timedelta(days=30)), owner="sales", on_edit=OnEdit.PIN
)
AT_ONCE = 1e6
"""Enrollments a second: no rate."""


async def contacts(database: Database, count: int, prefix: str = "c") -> list[str]:
    """The ids of so many new contacts."""
    rows = [ContactRow(email=f"{prefix}{number}@example.com", locale="en") for number in range(count)]
    async with database.write() as session:
        session.add_all(rows)
    return [row.id for row in rows]


async def asked_for(
    database: Database, contact_ids: Sequence[str], pilot: Pilot | None = None, **values: Any
) -> BulkEnrollmentRow:
    """A bulk enrollment as the API stores it."""
    row = BulkEnrollmentRow(
        flow=FLOW,
        source={},
        pilot=None if pilot is None else pilot.model_dump(mode="json"),
        status=JobStatus.PREPARING,
        **{"per_second": AT_ONCE, **values},
    )
    async with database.write() as session:
        job = await insert_job(session, row, AudienceSource(contact_ids=tuple(contact_ids)))
    assert job is not None
    return job


@dataclass
class BulkStage:
    server: WorkflowEnvironment
    database: Database
    time: ServerTime
    started: list[str] = field(default_factory=list)
    """Ids of enrollments, as often as their workflows were started."""
    fails: int = 0
    """So many starts to come fail."""

    async def start(self, rows: Sequence[EnrollmentRow]) -> None:
        """As `runtime.bulk_starting` does, without workflows that nobody would conduct here."""
        if rows and self.fails:
            self.fails -= 1
            raise ConnectionError
        self.started += [row.id for row in rows]
        async with self.database.write() as session:
            await mark_started(session, [row.id for row in rows])

    @property
    def client(self) -> Client:
        return self.server.client

    @asynccontextmanager
    async def conducted(
        self,
        job: BulkEnrollmentRow,
        *,
        page: int = 1_000,
        conductor: type[Any] = BulkEnrollmentWorkflow,
        flows: Mapping[str, FlowType] = MappingProxyType({FLOW: SPRING}),
    ) -> AsyncIterator[WorkflowHandle[Any, Any]]:
        """A worker at work on it inside the block. What it has not finished by then is left as it is."""
        bulk = BulkEnrollmentActivities(self.database, flows, self.start, page=page)
        async with Worker(
            self.client,
            task_queue=LISTS_TASK_QUEUE,
            workflows=[conductor],
            activities=[bulk.prepare, bulk.look, bulk.enroll_page, bulk.check_gate, bulk.decide_gate, bulk.cancel],
            workflow_runner=workflow_runner(),
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        ):
            await begin_bulk_enrollment(job, self.client, self.database)
            handle = self.client.get_workflow_handle(bulk_workflow_id(job.id), result_type=Standing)
            yield handle

    async def job(self, job: BulkEnrollmentRow) -> BulkEnrollmentRow:
        async with self.database.read() as session:
            return await session.get_one(BulkEnrollmentRow, job.id)

    async def until(self, job: BulkEnrollmentRow, status: JobStatus) -> BulkEnrollmentRow:
        async def is_there() -> bool:
            return (await self.job(job)).status == status

        await until(is_there, within=20)
        return await self.job(job)

    async def enrolled(self, job: BulkEnrollmentRow) -> list[EnrollmentRow]:
        query = select(EnrollmentRow).where(EnrollmentRow.bulk_id == job.id).order_by(col(EnrollmentRow.id))
        async with self.database.read() as session:
            return list(await session.exec(query))

    async def changed(self, job: BulkEnrollmentRow, change: Any, *args: Any) -> BulkEnrollmentRow:
        """Have a person hold, resume or cancel it, as the API does."""
        async with self.database.write() as session:
            row = await lock_job(session, job.id)
            assert row is not None
            change(row, *args)
            session.add(row)
        return row

    async def sent(self, enrollments: Sequence[EnrollmentRow], **statuses: int) -> None:
        """To each a message, delivered; of so many of them as `complained=4` says, what else became of it."""
        became = [status for status, count in statuses.items() for _ in range(count)]
        became += ["delivered"] * (len(enrollments) - len(became))
        async with self.database.write() as session:
            session.add_all(
                MessageRow(
                    id=new_id(),
                    flow=FLOW,
                    month=month_of(now()),
                    enrollment_id=row.id,
                    contact_id=row.contact_id,
                    step="welcome",
                    status=MessageStatus(status),
                )
                for row, status in zip(enrollments, became, strict=True)
            )

    async def ended(self, enrollments: Sequence[EnrollmentRow], exit_: Exit) -> None:
        async with self.database.write() as session:
            for row in enrollments:
                await record_outcome(session, row.id, Outcome(exit=exit_, step="welcome"))


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[BulkStage]:
    async with skipping_server() as server, fresh_database(folder) as database:
        time = ServerTime(server)
        await time.ask()
        with on_clock(time):
            yield BulkStage(server, database, time)
