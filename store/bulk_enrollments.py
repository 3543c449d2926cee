"""Bulk enrollments: what is asked of them, where they are, and what people change of them.

The row is what is true. Its workflow looks at it before whatever it does next, and is told to look when it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.audiences import AudienceSource
from domain.bulk_enrollments import OVER, JobStatus, Standing, gate_after, open_gate, stage_end
from store.audiences import keep_audience, require_source
from store.bulk_gates import gates_of, overrule, pilot_of
from store.enrollments import KeyReused
from store.holds import Scope, open_holds
from store.insertion import insert_unless_there
from store.list_tables import AudienceMemberRow, BulkEnrollmentRow
from store.tables import now


class Unfit(Exception):
    """The bulk enrollment is not where this can be done; `status` says where it is."""

    def __init__(self, status: JobStatus) -> None:
        super().__init__(status)
        self.status = status


async def job_by_key(
    session: AsyncSession, flow: str, idempotency_key: str | None, request_hash: str
) -> BulkEnrollmentRow | None:
    """The bulk enrollment that this key made, if any. Raises: KeyReused if another request made it."""
    if idempotency_key is None:
        return None
    query = select(BulkEnrollmentRow).where(
        BulkEnrollmentRow.flow == flow, BulkEnrollmentRow.idempotency_key == idempotency_key
    )
    made = (await session.exec(query)).one_or_none()
    if made is not None and made.request_hash != request_hash:
        raise KeyReused(idempotency_key)
    return made


async def insert_job(session: AsyncSession, job: BulkEnrollmentRow, source: AudienceSource) -> BulkEnrollmentRow | None:
    """Store a bulk enrollment as it begins; answer None if its idempotency key made one in this moment.

    Contacts by id become its audience at once, and stand nowhere else: what is kept of them goes with their erasure.
    Raises: UnknownSource.
    """
    await require_source(session, source)
    by_id = source.contact_ids
    job.source = source.model_dump(mode="json", exclude_none=True) if by_id is None else {"contacts": len(by_id)}
    if not await insert_unless_there(session, job):
        return None
    stored = await session.get_one(BulkEnrollmentRow, job.id)
    if by_id is not None:
        _begin(stored, await keep_audience(session, stored.id, source, now()))
        session.add(stored)
    return stored


async def lock_job(session: AsyncSession, job_id: str) -> BulkEnrollmentRow | None:
    """The job, changed by nobody else until the transaction is over."""
    return await session.get(BulkEnrollmentRow, job_id, with_for_update=True)


async def prepare(session: AsyncSession, job: BulkEnrollmentRow) -> None:
    """Keep whom it is for, unless that is done. Raises: UnknownSource."""
    if job.size is None:
        _begin(job, await keep_audience(session, job.id, AudienceSource.model_validate(job.source), now()))
        session.add(job)


def finish(job: BulkEnrollmentRow) -> None:
    job.status, job.ended_at = JobStatus.FINISHED, now()


async def standing(session: AsyncSession, job: BulkEnrollmentRow) -> Standing:
    """Where the bulk enrollment is now."""
    pilot, gate = pilot_of(job), open_gate(gates_of(job))
    plan = gate_after(pilot, gate.stage) if pilot and gate else None
    next_check_at = None
    if plan is not None and gate is not None:
        next_check_at = (gate.checked_at or gate.opened_at) + plan.looked_at_every
        if gate.asked_at is None:
            next_check_at = min(next_check_at, gate.due_at)
    return Standing(
        status=JobStatus(job.status),
        flow=job.flow,
        size=job.size,
        position=job.position,
        enrolled=job.enrolled,
        refused=sum(job.refusals.values()),
        stage=job.stage,
        stages=len(pilot.stages) if pilot else 1,
        stage_end=None if job.size is None else stage_end(pilot, job.stage, job.size),
        flow_held=bool(await open_holds(session, Scope.FLOW, [job.flow])),
        next_check_at=next_check_at,
        due_at=gate.due_at if gate else None,
        role=plan.approval.role if plan and plan.approval else None,
        reason=job.reason,
    )


# -- What people change of it -----------------------------------------------------------------------------------------


def hold(job: BulkEnrollmentRow) -> None:
    """Enroll nobody more until it is resumed. Twice changes nothing. Raises: Unfit."""
    if job.status in OVER or job.status == JobStatus.HALTED:
        raise Unfit(JobStatus(job.status))
    if job.status != JobStatus.HELD:
        job.status, job.to_tell_since = JobStatus.HELD, now()


def resume(job: BulkEnrollmentRow, person_id: str | None = None, note: str | None = None) -> None:
    """Go on after a hold or, by a person who says why, after it was halted. Of one that goes on it changes nothing.

    Raises: Unfit, also for one that was halted and nobody says why.
    """
    status = JobStatus(job.status)
    if status in OVER:
        raise Unfit(status)
    if status is JobStatus.HALTED:
        if person_id is None or not note:
            raise Unfit(status)
        job.status, job.reason = _status_when_resumed(job), None
        overrule(job, person_id, note)
        job.to_tell_since = now()
    elif status is JobStatus.HELD:
        job.status, job.to_tell_since = _status_when_resumed(job), now()


def cancel(job: BulkEnrollmentRow, reason: str) -> None:
    """Enroll nobody more, for good. Twice changes nothing. Raises: Unfit for one that is finished."""
    if job.status == JobStatus.FINISHED:
        raise Unfit(JobStatus.FINISHED)
    if job.status != JobStatus.CANCELLED:
        job.status, job.reason, job.ended_at, job.to_tell_since = JobStatus.CANCELLED, reason, now(), now()


# -- What is shown of it ----------------------------------------------------------------------------------------------


class RefusedMember(NamedTuple):
    position: int
    contact_id: str
    reason: str


async def page_of_jobs(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    flow: str | None = None,
    status: JobStatus | None = None,
) -> list[BulkEnrollmentRow]:
    """Bulk enrollments older than the id `before`, newest first; a filter that is None lets every row through."""
    query = select(BulkEnrollmentRow)
    if before is not None:
        query = query.where(BulkEnrollmentRow.id < before)
    if flow is not None:
        query = query.where(BulkEnrollmentRow.flow == flow)
    if status is not None:
        query = query.where(BulkEnrollmentRow.status == status)
    return list(await session.exec(query.order_by(col(BulkEnrollmentRow.id).desc()).limit(limit)))


async def page_of_refused(session: AsyncSession, job_id: str, after_position: int, limit: int) -> list[RefusedMember]:
    """Contacts who were looked at and not enrolled, in the order in which they were."""
    row = AudienceMemberRow
    query = (
        select(row.position, row.contact_id, row.refused)
        .where(row.audience_id == job_id, col(row.refused).is_not(None), row.position > after_position)
        .order_by(col(row.position))
    )
    found = await session.exec(query.limit(limit))
    return [RefusedMember(position, contact_id, reason or "") for position, contact_id, reason in found]


# -- What Temporal was not told ---------------------------------------------------------------------------------------


async def not_begun(
    session: AsyncSession, created_before: datetime, limit: int, offset: int = 0
) -> Sequence[BulkEnrollmentRow]:
    """Those whose workflow was not started, oldest first."""
    query = select(BulkEnrollmentRow).where(
        col(BulkEnrollmentRow.begun_at).is_(None), BulkEnrollmentRow.created_at < created_before
    )
    return list(await session.exec(query.order_by(col(BulkEnrollmentRow.id)).limit(limit).offset(offset)))


async def not_told(
    session: AsyncSession, changed_before: datetime, limit: int, offset: int = 0
) -> Sequence[BulkEnrollmentRow]:
    """Those that somebody changed, and whose workflow was not told so, oldest first."""
    query = select(BulkEnrollmentRow).where(col(BulkEnrollmentRow.to_tell_since) < changed_before)
    return list(await session.exec(query.order_by(col(BulkEnrollmentRow.id)).limit(limit).offset(offset)))


async def mark_begun(session: AsyncSession, job_id: str) -> None:
    await session.exec(
        update(BulkEnrollmentRow)
        .where(col(BulkEnrollmentRow.id) == job_id, col(BulkEnrollmentRow.begun_at).is_(None))
        .values(begun_at=now())
    )


async def mark_told(session: AsyncSession, job_id: str, since: datetime | None) -> None:
    """Its workflow was told to look. What was changed after `since` it may have missed: that stays noted."""
    await session.exec(
        update(BulkEnrollmentRow)
        .where(col(BulkEnrollmentRow.id) == job_id, col(BulkEnrollmentRow.to_tell_since) == since)
        .values(to_tell_since=None)
    )


def _begin(job: BulkEnrollmentRow, size: int) -> None:
    job.size = size
    if job.status == JobStatus.PREPARING:
        job.status = JobStatus.RUNNING
    if not size:
        finish(job)


def _status_when_resumed(job: BulkEnrollmentRow) -> JobStatus:
    if job.size is None:
        return JobStatus.PREPARING
    gate = open_gate(gates_of(job))
    if gate is None:
        return JobStatus.RUNNING
    return JobStatus.AT_GATE if gate.asked_at is None else JobStatus.AWAITING_APPROVAL
