"""Segments that triggers watch: who was in them when they were looked at last, and who has entered since.

A row of `segment_members` decides who has entered: of several that look at once, one inserts it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, exists
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.segments import Segment
from store.insertion import insert_those_new, insert_unless_there
from store.list_tables import SegmentMemberRow, SegmentRow, WatchedSegmentRow
from store.segment_sql import members
from store.tables import ContactRow, now


class Look(NamedTuple):
    """One look at all of a segment. `begins`: its members are not known yet, so nobody has entered it."""

    segment_id: str
    segment: Segment
    at: datetime
    begins: bool


async def note_entries(
    session: AsyncSession, segment_ids: Collection[str], contact_ids: Collection[str]
) -> dict[str, list[str]]:
    """Look whether some contacts, whom the caller has locked, are in these segments; answer who entered, by segment.

    Who is in one no more is forgotten, and may enter again. A segment whose members are not known, or are of another
    predicate than it has now, is left to the next look at all of it.
    """
    row, watched = SegmentRow, WatchedSegmentRow
    query = (
        select(row.id, row.predicate, watched.predicate)
        .join(watched, col(watched.segment_id) == row.id)
        .where(col(row.id).in_(segment_ids), col(watched.watching_since).is_not(None))
    )
    entered = {}
    for segment_id, predicate, known_by in await session.exec(query.order_by(col(row.id))):
        if predicate == known_by:
            chosen = members(Segment.model_validate(predicate), now(), among=list(contact_ids))
            inside = set(await session.exec(chosen))
            entered[segment_id] = await _add(session, segment_id, inside)
            outside = col(SegmentMemberRow.contact_id).in_(set(contact_ids) - inside)
            await session.exec(delete(SegmentMemberRow).where(col(SegmentMemberRow.segment_id) == segment_id, outside))
    return entered


async def not_looked_at(session: AsyncSession, segment_ids: Collection[str], since: datetime) -> list[str]:
    """Those of these segments that all of was looked at last before `since`, or by another predicate."""
    row, watched = SegmentRow, WatchedSegmentRow
    query = (
        select(row.id, row.predicate, watched.predicate, watched.looked_at)
        .join(watched, col(watched.segment_id) == row.id, isouter=True)
        .where(col(row.id).in_(segment_ids))
        .order_by(col(row.id))
    )
    return [
        segment_id
        for segment_id, predicate, known_by, looked_at in await session.exec(query)
        if looked_at is None or looked_at < since or predicate != known_by
    ]


async def begin_look(session: AsyncSession, segment_id: str, since: datetime) -> Look | None:
    """Take on a look at all of a segment; None if somebody else has since `since`, or the segment is gone."""
    segment = await session.get(SegmentRow, segment_id)
    if segment is None:
        return None
    await insert_unless_there(session, WatchedSegmentRow(segment_id=segment_id, predicate=segment.predicate))
    watched = await session.get_one(WatchedSegmentRow, segment_id, with_for_update=True)
    if watched.predicate != segment.predicate:
        # Who is in by an edit has not entered.
        watched.sqlmodel_update({"predicate": segment.predicate, "watching_since": None, "looked_at": None})
    elif watched.looked_at is not None and watched.looked_at >= since:
        return None
    watched.looked_at = now()
    session.add(watched)
    return Look(
        segment_id, Segment.model_validate(segment.predicate), watched.looked_at, begins=watched.watching_since is None
    )


async def forget_page(session: AsyncSession, look: Look, limit: int) -> int:
    """Forget members who are in the segment no more, `limit` at the most; answer how many."""
    row = SegmentMemberRow
    inside = members(look.segment, look.at).subquery()
    gone = (
        select(row.contact_id)
        .join(inside, inside.c.id == col(row.contact_id), isouter=True)
        .where(row.segment_id == look.segment_id, inside.c.id.is_(None))
        .limit(limit)
    )
    # In one statement, which sees one state: who has entered meanwhile is no member who has left.
    forgetting = delete(row).where(col(row.segment_id) == look.segment_id, col(row.contact_id).in_(gone))
    return (await session.exec(forgetting.execution_options(synchronize_session=False))).rowcount


async def page_of_entries(session: AsyncSession, look: Look, after: str, limit: int) -> tuple[list[str], str | None]:
    """Note the next contacts, in the order of their ids, who are in the segment and were not.

    Returns: who they are, and the id that the next page comes after; None if none is to come.
    """
    member = SegmentMemberRow
    known = exists().where(col(member.segment_id) == look.segment_id, col(member.contact_id) == col(ContactRow.id))
    query = (
        select(ContactRow.id)
        .where(ContactRow.id > after, col(ContactRow.id).in_(members(look.segment, look.at)), ~known)
        .order_by(col(ContactRow.id))
        .limit(limit)
        # Whoever has a contact locked looks at them by itself, or is passed by until the next look. Not at first: who
        # is passed by then would enter later.
        .with_for_update(of=ContactRow, key_share=True, skip_locked=not look.begins)
    )
    found = list(await session.exec(query))
    new = await _add(session, look.segment_id, found)
    return new, found[-1] if len(found) == limit else None


async def end_look(session: AsyncSession, look: Look) -> None:
    """The members are known: from here on, whoever is new has entered. Unless the segment was edited meanwhile."""
    watched = await session.get(WatchedSegmentRow, look.segment_id, with_for_update=True)
    if watched is None or Segment.model_validate(watched.predicate) != look.segment:
        return
    if watched.watching_since is None:
        watched.watching_since = look.at
        session.add(watched)


async def stop_watching(session: AsyncSession, segment_id: str) -> None:
    """No trigger watches the segment any more: when one does again, it begins anew."""
    await session.exec(delete(WatchedSegmentRow).where(col(WatchedSegmentRow.segment_id) == segment_id))


async def forget_unwatched(session: AsyncSession, watched_ids: Collection[str], before: datetime, limit: int) -> int:
    """Forget segments beside these that were looked at last before a moment, and members of segments unwatched."""
    watched, row = WatchedSegmentRow, SegmentMemberRow
    stale = or_(col(watched.looked_at).is_(None), col(watched.looked_at) < before)
    await session.exec(delete(watched).where(col(watched.segment_id).not_in(watched_ids), stale))
    is_watched = exists().where(col(watched.segment_id) == col(row.segment_id))
    orphans = select(row.segment_id, row.contact_id).where(~is_watched).limit(limit)
    found = list(await session.exec(orphans))
    for segment_id in sorted({segment_id for segment_id, _ in found}):
        contact_ids = [contact_id for of, contact_id in found if of == segment_id]
        await session.exec(delete(row).where(col(row.segment_id) == segment_id, col(row.contact_id).in_(contact_ids)))
    return len(found)


async def _add(session: AsyncSession, segment_id: str, contact_ids: Collection[str]) -> list[str]:
    """Note members; answer those who were none, in the order of their ids."""
    since = now()
    rows = [{"segment_id": segment_id, "contact_id": each, "since": since} for each in sorted(contact_ids)]
    return sorted(await insert_those_new(session, SegmentMemberRow, rows, answer=col(SegmentMemberRow.contact_id)))
