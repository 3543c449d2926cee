"""What the workflow of a bulk enrollment has done: each answers where it is then, as the database says."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeAlias

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from domain.bulk_enrollments import GateDecision, JobStatus, Standing
from domain.flows import FlowType
from store import bulk_enrollments, bulk_gates, bulk_pages
from store.audiences import UnknownSource
from store.database import Database
from store.list_tables import BulkEnrollmentRow
from store.tables import EnrollmentRow

logger = logging.getLogger(__name__)

HEARTBEAT_TIMEOUT = timedelta(seconds=4)
"""After a kill, the next attempt begins so long after the last heartbeat."""
HEARTBEAT_EVERY = timedelta(seconds=1)
PAGE = 1_000
PAGE_LASTS = timedelta(minutes=1)
"""At most, at a low rate: what is done by then is told to the workflow, and so to operators."""
TURN = timedelta(seconds=1)
MOST_IN_A_TURN = 500

Start: TypeAlias = Callable[[Sequence[EnrollmentRow]], Awaitable[None]]
"""Start the workflows of some enrollments, and mark them started. Those that cannot be now are left to the sweep."""


class BulkEnrollment(BaseModel):
    """Which one: whom it is for and how far it is, the database knows."""

    job_id: str


class BulkEnrollmentActivities:
    """Everything may be done twice, and by two at once: what is done is written where the next one begins."""

    def __init__(self, database: Database, flows: Mapping[str, FlowType], start: Start, *, page: int = PAGE) -> None:
        self._database = database
        self._flows = flows
        self._start = start
        self._page = page

    @activity.defn(name="bulk.prepare")
    async def prepare(self, order: BulkEnrollment) -> Standing:
        """Keep whom it is for, unless that is done. If that can be taken from nowhere any more, it is halted."""
        async with _beating(), self._database.write() as session:
            job = await _locked(session, order.job_id)
            if job.status == JobStatus.PREPARING:
                try:
                    await bulk_enrollments.prepare(session, job)
                except UnknownSource as error:
                    bulk_gates.halt(job, str(error))
            return await bulk_enrollments.standing(session, job)

    @activity.defn(name="bulk.look")
    async def look(self, order: BulkEnrollment) -> Standing:
        """Where it is."""
        async with self._database.read() as session:
            job = await session.get_one(BulkEnrollmentRow, order.job_id)
            return await bulk_enrollments.standing(session, job)

    @activity.defn(name="bulk.enroll_page")
    async def enroll_page(self, order: BulkEnrollment) -> Standing:
        """Enroll the next contacts at the rate that was asked for, until the page or its time is over.

        A turn at a time, of what the rate allows for in a second: enrolled in one transaction, then started. So a hold
        is heeded within a turn, and a kill leaves no more than a turn for the sweep to start, which knows no rate.
        The heartbeat carries position and counters for whoever looks; what counts is in the database.
        """
        async with _beating() as beat:
            began = time.monotonic()
            async with self._database.read() as session:
                job = await session.get_one(BulkEnrollmentRow, order.job_id)
                left = await bulk_pages.not_started(session, job.id, MOST_IN_A_TURN)
            await self._start(left)
            flow, done = self._flows.get(job.flow), 0
            if flow is None:
                return await self._halt(order, f"no flow {job.flow} in the code: deploy it, then resume")
            turn = min(max(math.floor(job.per_second * TURN.total_seconds()), 1), MOST_IN_A_TURN)
            while done < self._page and time.monotonic() - began < PAGE_LASTS.total_seconds():
                turn_began = time.monotonic()
                async with self._database.write() as session:
                    job = await _locked(session, order.job_id)
                    enrolled = await bulk_pages.enroll_next(
                        session, job, reenroll_after=flow.reenroll_after, limit=min(turn, self._page - done)
                    )
                    standing = await bulk_enrollments.standing(session, job)
                if enrolled is None:
                    return standing
                await self._start(enrolled)
                done += turn
                beat(standing)
                if standing.status is not JobStatus.RUNNING or activity.is_worker_shutdown():
                    return standing
                await asyncio.sleep(len(enrolled) / job.per_second - (time.monotonic() - turn_began))
        return await self.look(order)

    @activity.defn(name="bulk.check_gate")
    async def check_gate(self, order: BulkEnrollment) -> Standing:
        """Look at the figures of the gate that it stands at: it is halted, goes on, or waits on."""
        async with _beating(), self._database.write() as session:
            job = await _locked(session, order.job_id)
            await bulk_gates.check_gate(session, job)
            return await bulk_enrollments.standing(session, job)

    @activity.defn(name="bulk.decide_gate")
    async def decide_gate(self, decision: GateDecision) -> Standing:
        """Note what a person says of a gate. Where nothing waits for it, it changes nothing."""
        async with self._database.write() as session:
            job = await _locked(session, decision.job_id)
            bulk_gates.decide_gate(job, decision)
            session.add(job)
            return await bulk_enrollments.standing(session, job)

    @activity.defn(name="bulk.cancel")
    async def cancel(self, order: BulkEnrollment) -> Standing:
        """Its workflow was cancelled in Temporal: so is it. One that is over stays as it is."""
        async with self._database.write() as session:
            job = await _locked(session, order.job_id)
            if job.status != JobStatus.FINISHED:
                bulk_enrollments.cancel(job, "cancelled in Temporal")
            session.add(job)
            return await bulk_enrollments.standing(session, job)

    async def _halt(self, order: BulkEnrollment, reason: str) -> Standing:
        async with self._database.write() as session:
            job = await _locked(session, order.job_id)
            if job.status == JobStatus.RUNNING:
                bulk_gates.halt(job, reason)
            session.add(job)
            return await bulk_enrollments.standing(session, job)


async def _locked(session: AsyncSession, job_id: str) -> BulkEnrollmentRow:
    return await session.get_one(BulkEnrollmentRow, job_id, with_for_update=True)


@asynccontextmanager
async def _beating() -> AsyncIterator[Callable[[Standing], None]]:
    """Send heartbeats inside the block, with what it was given last."""
    told: list[Standing] = []

    async def keep_beating() -> None:
        while True:
            activity.heartbeat(*told)
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())

    def tell(standing: Standing) -> None:
        told[:] = [standing]

    beating = asyncio.create_task(keep_beating())
    try:
        yield tell
    finally:
        beating.cancel()
