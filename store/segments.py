"""Segments: kept by name, counted, listed contact by contact, and explained."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from pydantic import JsonValue
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.segment_explanations import Verdict, explained
from domain.segments import Segment
from store.erasures import erasure_of
from store.list_tables import BroadcastRow, BulkEnrollmentRow, ScheduleRow, SegmentRow, TriggerRow
from store.locks import lock
from store.segment_sql import members, size, truths
from store.tables import ContactRow, EnrollmentRow, now


class NameTaken(Exception):
    """Another segment has this name."""

    def __init__(self, segment_id: str) -> None:
        super().__init__(segment_id)
        self.segment_id = segment_id


class Explanation(NamedTuple):
    """Why a contact is in a segment or not. Whoever is being erased is in none, whatever the verdict."""

    inside: bool
    being_erased: bool
    verdict: Verdict


async def create_segment(session: AsyncSession, name: str, description: str, segment: Segment) -> SegmentRow:
    """Raises: NameTaken."""
    await _require_name(session, name, None)
    at = now()
    row = SegmentRow(name=name, description=description, predicate=_stored(segment), created_at=at, updated_at=at)
    session.add(row)
    await session.flush()
    return row


async def replace_segment(
    session: AsyncSession, row: SegmentRow, name: str, description: str, segment: Segment
) -> SegmentRow:
    """Give a segment, locked by the caller, another name, description and predicate. The same again changes nothing.

    Triggers that watch it enroll nobody for the change itself: `store.segment_watching` sees that the predicate is
    another one than its members are known by, and has them looked at anew. Raises: NameTaken.
    """
    await _require_name(session, name, row.id)
    changes = {"name": name, "description": description, "predicate": _stored(segment)}
    if any(getattr(row, member) != value for member, value in changes.items()):
        row.sqlmodel_update(changes, update={"updated_at": now()})
        session.add(row)
        await session.flush()
    return row


async def delete_segment(session: AsyncSession, row: SegmentRow) -> None:
    """Forget a segment, locked by the caller, that nothing uses: `users_of` says what does."""
    await session.delete(row)
    await session.flush()


async def locked_segment(session: AsyncSession, segment_id: str) -> SegmentRow | None:
    """The segment, which nobody else changes, deletes or has a trigger watch until the transaction is over."""
    return await session.get(SegmentRow, segment_id, with_for_update=True)


async def users_of(session: AsyncSession, segment_id: str) -> list[str]:
    """What a segment cannot be taken from, in words: triggers that watch it, and jobs that it is the audience of."""
    bulk, broadcast, schedule = BulkEnrollmentRow, BroadcastRow, ScheduleRow
    triggers = await session.exec(select(TriggerRow).where(TriggerRow.segment_id == segment_id))
    enrolling = await session.exec(select(bulk.id, bulk.flow, bulk.source).where(col(bulk.ended_at).is_(None)))
    sending = await session.exec(
        select(broadcast.id, broadcast.name, broadcast.source).where(col(broadcast.ended_at).is_(None))
    )
    recurring = await session.exec(select(schedule.name, schedule.job).where(col(schedule.deleted_at).is_(None)))
    return [
        *(f"trigger {row.id} of flow {row.flow}" for row in triggers),
        *(f"bulk enrollment {id_} in flow {flow}" for id_, flow, source in enrolling if _names(source, segment_id)),
        *(f"broadcast {id_} ({name})" for id_, name, source in sending if _names(source, segment_id)),
        *(f"schedule {name}" for name, job in recurring if _names(job, segment_id)),
    ]


async def page_of_segments(session: AsyncSession, *, limit: int, before: str | None = None) -> list[SegmentRow]:
    """Segments older than the id `before`, newest first."""
    query = select(SegmentRow)
    if before is not None:
        query = query.where(SegmentRow.id < before)
    return list(await session.exec(query.order_by(col(SegmentRow.id).desc()).limit(limit)))


async def count_members(session: AsyncSession, row: SegmentRow, at: datetime) -> int:
    return (await session.exec(size(Segment.model_validate(row.predicate), at))).one()


async def page_of_members(
    session: AsyncSession, row: SegmentRow, at: datetime, *, limit: int, after: str | None = None
) -> list[ContactRow]:
    """Contacts in the segment whose ids come after `after`, by id: whoever is known for longest comes first."""
    chosen = members(Segment.model_validate(row.predicate), at).order_by(col(ContactRow.id)).limit(limit)
    if after is not None:
        chosen = chosen.where(ContactRow.id > after)
    ids = list(await session.exec(chosen))
    return list(await session.exec(select(ContactRow).where(col(ContactRow.id).in_(ids)).order_by(col(ContactRow.id))))


async def explain(session: AsyncSession, row: SegmentRow, contact_id: str, at: datetime) -> Explanation | None:
    """Judge one contact, by the SQL that the segment is listed by; None if there is no such contact."""
    segment = Segment.model_validate(row.predicate)
    found = (await session.exec(truths(segment, at, contact_id))).one_or_none()
    if found is None:
        return None
    verdict = explained(segment.root, map(bool, found[1:]))
    being_erased = await erasure_of(session, contact_id) is not None
    return Explanation(verdict.holds and not being_erased, being_erased, verdict)


async def flows_never_entered(session: AsyncSession, flows: Collection[str]) -> set[str]:
    """Those of these names of flows that no enrollment ever had."""
    return {
        flow
        for flow in flows
        if (await session.exec(select(EnrollmentRow.id).where(EnrollmentRow.flow == flow).limit(1))).first() is None
    }


async def _require_name(session: AsyncSession, name: str, segment_id: str | None) -> None:
    await lock(session, "names of segments")
    found = (await session.exec(select(SegmentRow.id).where(SegmentRow.name == name))).one_or_none()
    if found not in (None, segment_id):
        raise NameTaken(str(found))


def _stored(segment: Segment) -> dict[str, JsonValue]:
    stored: dict[str, JsonValue] = segment.model_dump(mode="json")
    return stored


def _names(asked: object, segment_id: str) -> bool:
    """Whether what a job is asked to do names the segment: however it is put, its id is in it."""
    return segment_id in json.dumps(asked)
