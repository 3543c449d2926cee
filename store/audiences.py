"""Audiences: whom a bulk enrollment or a broadcast is for, kept as they were when it began."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, exists, func, insert, literal
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.audiences import AudienceSource
from domain.segments import Segment
from store.list_tables import AudienceMemberRow, ImportedContactRow, ImportRow, SegmentRow
from store.locks import lock
from store.segment_sql import members
from store.tables import ContactRow, ErasureRow


class UnknownSource(Exception):
    """What the audience is to be taken from is not there, or not finished; the text says which."""


class Member(NamedTuple):
    position: int
    contact_id: str


async def require_source(session: AsyncSession, source: AudienceSource) -> None:
    """Raises: UnknownSource for a segment that is not there, or an import that is not there or not finished."""
    if source.segment_id is not None:
        await _predicate(session, source.segment_id)
    if source.import_id is not None:
        row = await session.get(ImportRow, source.import_id)
        if row is None:
            raise UnknownSource("there is no import with this id")
        if row.status != "finished" or row.dry_run:
            raise UnknownSource("the import has brought in nobody yet: it is a dry run, or not finished")


async def keep_audience(session: AsyncSession, audience_id: str, source: AudienceSource, at: datetime) -> int:
    """Keep who the source names at this moment, in an order drawn by lot; answer how many they are.

    Left out: ids that nobody has, and contacts who are being erased. Positions begin at 0, and are dense until an
    erasure takes a contact out. Idempotency: an audience that is kept stays as it is. Raises: UnknownSource.
    """
    await lock(session, f"audience:{audience_id}")
    kept = select(func.count()).where(col(AudienceMemberRow.audience_id) == audience_id)
    if size := (await session.exec(kept)).one():
        return size
    contact_id = col(ContactRow.id)
    position = func.row_number().over(order_by=func.random()) - 1
    chosen = (
        select(literal(audience_id), position, contact_id)
        .where(contact_id.in_(await _named(session, source, at)))
        .where(~exists().where(col(ErasureRow.contact_id) == contact_id))
    )
    columns = ["audience_id", "position", "contact_id"]
    await session.exec(insert(AudienceMemberRow).from_select(columns, chosen))
    return (await session.exec(kept)).one()


async def page_of_audience(session: AsyncSession, audience_id: str, after_position: int, limit: int) -> list[Member]:
    """The next members, in the order of their positions. The first page comes after position -1."""
    query = (
        select(AudienceMemberRow.position, AudienceMemberRow.contact_id)
        .where(AudienceMemberRow.audience_id == audience_id, AudienceMemberRow.position > after_position)
        .order_by(col(AudienceMemberRow.position))
        .limit(limit)
    )
    return [Member(*row) for row in await session.exec(query)]


async def _named(session: AsyncSession, source: AudienceSource, at: datetime) -> Select[Any] | tuple[str, ...]:
    if source.segment_id is not None:
        return members(await _predicate(session, source.segment_id), at)
    if source.import_id is not None:
        return select(ImportedContactRow.contact_id).where(ImportedContactRow.import_id == source.import_id)
    return source.contact_ids or ()


async def _predicate(session: AsyncSession, segment_id: str) -> Segment:
    row = await session.get(SegmentRow, segment_id)
    if row is None:
        raise UnknownSource("there is no segment with this id")
    return Segment.model_validate(row.predicate)
