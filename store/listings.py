"""Pages of rows, newest first. Ids are UUIDs of version 7, so the last id of a page is where the next one begins."""

from __future__ import annotations

from typing import TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain.messages import MessageStatus
from store.tables import EnrollmentRow, MessageRow

RowT = TypeVar("RowT", EnrollmentRow, MessageRow)


async def page_of_enrollments(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    flow: str | None = None,
    status: str | None = None,
    contact_id: str | None = None,
) -> list[EnrollmentRow]:
    """Enrollments older than the id `before`; a filter that is None lets every row through."""
    query = select(EnrollmentRow)
    if flow is not None:
        query = query.where(EnrollmentRow.flow == flow)
    if status is not None:
        query = query.where(EnrollmentRow.status == status)
    if contact_id is not None:
        query = query.where(EnrollmentRow.contact_id == contact_id)
    return await _page(session, query, EnrollmentRow, limit, before)


async def page_of_messages(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    contact_id: str | None = None,
    enrollment_id: str | None = None,
    status: MessageStatus | None = None,
) -> list[MessageRow]:
    """Rows of the ledger older than the id `before`; a filter that is None lets every row through."""
    query = select(MessageRow)
    if contact_id is not None:
        query = query.where(MessageRow.contact_id == contact_id)
    if enrollment_id is not None:
        query = query.where(MessageRow.enrollment_id == enrollment_id)
    if status is not None:
        query = query.where(MessageRow.status == status)
    return await _page(session, query, MessageRow, limit, before)


async def _page(
    session: AsyncSession, query: SelectOfScalar[RowT], table: type[RowT], limit: int, before: str | None
) -> list[RowT]:
    if before is not None:
        query = query.where(table.id < before)
    return list(await session.exec(query.order_by(col(table.id).desc()).limit(limit)))
