"""Schedules: what is asked for again and again, and what each time makes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.bulk_enrollments import JobStatus
from domain.recurrence import Timetable
from domain.recurring_jobs import JobKind, RecurringBroadcast, RecurringBulkEnrollment, job_key
from store.audiences import require_source
from store.broadcasts import add_broadcast, broadcast_by_key
from store.bulk_enrollments import insert_job, job_by_key
from store.list_tables import BroadcastRow, BulkEnrollmentRow, ScheduleRow
from store.locks import lock
from store.tables import now

Job = RecurringBulkEnrollment | RecurringBroadcast
_HASH = "schedule"
"""In place of a request's hash: that of no request."""


class NameTaken(Exception):
    """Another schedule has this name."""


class Definition(NamedTuple):
    """What somebody asks of a schedule."""

    name: str
    kind: JobKind
    job: Job
    timetable: Timetable


class Made(NamedTuple):
    """What a schedule made for one time; `left_out` says why it made nothing."""

    job: BulkEnrollmentRow | BroadcastRow | None
    left_out: str | None = None


def job_of(row: ScheduleRow) -> Job:
    model = RecurringBulkEnrollment if row.kind == JobKind.BULK_ENROLLMENT else RecurringBroadcast
    return model.model_validate(row.job)


def timetable_of(row: ScheduleRow) -> Timetable:
    return Timetable.model_validate(row.recurrence)


async def add_schedule(session: AsyncSession, definition: Definition) -> ScheduleRow:
    """Raises: NameTaken, UnknownSource."""
    row = ScheduleRow(**await _checked(session, definition, None))
    session.add(row)
    await session.flush()
    return row


async def change_schedule(session: AsyncSession, row: ScheduleRow, definition: Definition) -> None:
    """Give a schedule, locked by the caller, another definition. The same again changes nothing.

    Raises: NameTaken, UnknownSource.
    """
    changes = await _checked(session, definition, row.id)
    if any(getattr(row, member) != value for member, value in changes.items()):
        _change(session, row, **changes)


async def pause_schedule(session: AsyncSession, row: ScheduleRow, *, paused: bool, note: str | None) -> None:
    """Pause a schedule, locked by the caller, or let it go on. It is told again, whatever was told before.

    Somebody may have changed it in Temporal meanwhile.
    """
    _change(session, row, paused=paused, note=note, pause_to_tell=True)


async def delete_schedule(session: AsyncSession, row: ScheduleRow) -> None:
    """Make nothing more by a schedule, locked by the caller; its name is free. What it made goes on."""
    _change(session, row, name=row.id, deleted_at=now())


async def found_schedule(session: AsyncSession, schedule_id: str, *, locked: bool = False) -> ScheduleRow | None:
    """None also for one that was deleted."""
    row = await session.get(ScheduleRow, schedule_id, with_for_update=locked)
    return row if row is not None and row.deleted_at is None else None


async def page_of_schedules(session: AsyncSession, *, limit: int, before: str | None = None) -> list[ScheduleRow]:
    """Schedules older than the id `before`, newest first."""
    query = select(ScheduleRow).where(col(ScheduleRow.deleted_at).is_(None))
    if before is not None:
        query = query.where(ScheduleRow.id < before)
    return list(await session.exec(query.order_by(col(ScheduleRow.id).desc()).limit(limit)))


async def not_told(session: AsyncSession, changed_before: datetime, limit: int, offset: int = 0) -> list[ScheduleRow]:
    """Schedules whose latest change Temporal was not told of, deleted ones too, oldest first."""
    query = select(ScheduleRow).where(col(ScheduleRow.told_at).is_(None), ScheduleRow.updated_at < changed_before)
    return list(await session.exec(query.order_by(col(ScheduleRow.id)).limit(limit).offset(offset)))


async def all_schedules(session: AsyncSession) -> list[ScheduleRow]:
    return list(await session.exec(select(ScheduleRow).where(col(ScheduleRow.deleted_at).is_(None))))


async def mark_told(session: AsyncSession, told: ScheduleRow) -> None:
    """Note that Temporal knows a schedule as it was read; one that was deleted is forgotten.

    If it was changed meanwhile, Temporal may have been told of both in the wrong order: it is to be told again.
    """
    of_it = col(ScheduleRow.id) == told.id
    unchanged = col(ScheduleRow.updated_at) == told.updated_at
    if told.deleted_at is not None:
        await session.exec(delete(ScheduleRow).where(of_it))
        return
    noting = update(ScheduleRow).where(of_it, unchanged).values(told_at=now(), pause_to_tell=False)
    if not (await session.exec(noting)).rowcount:
        await session.exec(update(ScheduleRow).where(of_it).values(told_at=None))


async def make_job(session: AsyncSession, schedule_id: str, nominal: datetime, flows: Collection[str]) -> Made:
    """Store what a schedule does at one of its times; a second call for the same time answers what the first made.

    Nothing is made while what it made before is not over. `flows` are those of the code.
    Raises: UnknownSource.
    """
    row = await found_schedule(session, schedule_id, locked=True)
    if row is None:
        return Made(None, "the schedule was deleted")
    key, job = job_key(schedule_id, nominal), job_of(row)
    made: BulkEnrollmentRow | BroadcastRow | None
    if isinstance(job, RecurringBulkEnrollment):
        made = await job_by_key(session, job.flow, key, _HASH)
    else:
        made = await broadcast_by_key(session, key, _HASH)
    if made is not None:
        return Made(made)
    if under_way := await _under_way(session, schedule_id):
        return Made(None, f"{under_way} is not over")
    if isinstance(job, RecurringBroadcast):
        return Made(await add_broadcast(session, job, idempotency_key=key, request_hash=_HASH, schedule_id=schedule_id))
    if job.flow not in flows:
        return Made(None, f"the code has no flow {job.flow}")
    new = BulkEnrollmentRow(
        flow=job.flow,
        source={},
        settings=job.settings,
        pilot=None if job.pilot is None else job.pilot.model_dump(mode="json"),
        per_second=job.per_second,
        status=JobStatus.PREPARING,
        idempotency_key=key,
        request_hash=_HASH,
        schedule_id=schedule_id,
    )
    return Made(await insert_job(session, new, job.source))


async def jobs_at(session: AsyncSession, schedule_ids: Sequence[str], times: Collection[datetime]) -> dict[str, str]:
    """The ids of what schedules made, by idempotency key, for some of their times."""
    keys = [job_key(schedule_id, nominal) for schedule_id in schedule_ids for nominal in times]
    found: dict[str, str] = {}
    for table in (BulkEnrollmentRow, BroadcastRow):
        query = select(table.idempotency_key, table.id).where(col(table.idempotency_key).in_(keys))
        found |= {str(key): id_ for key, id_ in await session.exec(query)}
    return found


async def _under_way(session: AsyncSession, schedule_id: str) -> str | None:
    for table, called in ((BulkEnrollmentRow, "bulk enrollment"), (BroadcastRow, "broadcast")):
        query = select(table.id).where(table.schedule_id == schedule_id, col(table.ended_at).is_(None)).limit(1)
        if id_ := (await session.exec(query)).one_or_none():
            return f"{called} {id_}"
    return None


async def _checked(session: AsyncSession, definition: Definition, schedule_id: str | None) -> dict[str, Any]:
    """The columns of a schedule with this id, or a new one, that can be what is asked for."""
    await lock(session, "names of schedules")
    found = (await session.exec(select(ScheduleRow.id).where(ScheduleRow.name == definition.name))).one_or_none()
    if found not in (None, schedule_id):
        raise NameTaken
    await require_source(session, definition.job.source)
    return {
        "name": definition.name,
        "kind": definition.kind.value,
        "job": definition.job.model_dump(mode="json", exclude_unset=True),
        "recurrence": definition.timetable.model_dump(mode="json", exclude_unset=True),
    }


def _change(session: AsyncSession, row: ScheduleRow, **changes: object) -> None:
    row.sqlmodel_update(changes, update={"updated_at": now(), "told_at": None})
    session.add(row)
