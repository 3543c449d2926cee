"""Pages of rows, newest first. Ids are UUIDs of version 7, so the last id of a page is where the next one begins."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import ColumnElement, exists
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain.messages import MessageStatus
from store.ledger_tables import MessageRow
from store.people_tables import ApprovalRequestRow, ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.tables import EnrollmentRow

RowT = TypeVar("RowT", EnrollmentRow, MessageRow, ApprovalRow, TaskRow, AssignmentRow)


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
    broadcast_id: str | None = None,
    status: MessageStatus | None = None,
) -> list[MessageRow]:
    """Rows of the ledger older than the id `before`; a filter that is None lets every row through."""
    query = select(MessageRow)
    if contact_id is not None:
        query = query.where(MessageRow.contact_id == contact_id)
    if enrollment_id is not None:
        query = query.where(MessageRow.enrollment_id == enrollment_id)
    if broadcast_id is not None:
        query = query.where(MessageRow.broadcast_id == broadcast_id)
    if status is not None:
        query = query.where(MessageRow.status == status)
    return await _page(session, query, MessageRow, limit, before)


async def page_of_approvals(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    role: str | None = None,
    person_id: str | None = None,
    enrollment_id: str | None = None,
    contact_id: str | None = None,
) -> list[ApprovalRow]:
    """Approvals older than the id `before`; a filter that is None lets every row through.

    `role` and `person_id`: somebody is asked in this role, this person is asked and has not given it to somebody else;
    of a pending one, in its present stage.
    """
    query = select(ApprovalRow)
    if status is not None:
        query = query.where(ApprovalRow.status == status)
    if role is not None:
        query = query.where(_asks(col(ApprovalRequestRow.role) == role))
    if person_id is not None:
        is_person = col(ApprovalRequestRow.person_id) == person_id
        query = query.where(_asks(is_person, col(ApprovalRequestRow.delegated_to).is_(None)))
    if enrollment_id is not None:
        query = query.where(ApprovalRow.enrollment_id == enrollment_id)
    if contact_id is not None:
        query = query.where(ApprovalRow.contact_id == contact_id)
    return await _page(session, query, ApprovalRow, limit, before)


async def page_of_tasks(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    person_id: str | None = None,
    role: str | None = None,
    enrollment_id: str | None = None,
    contact_id: str | None = None,
) -> list[TaskRow]:
    """Tasks older than the id `before`; a filter that is None lets every row through.

    `person_id`: given to this person or, while they are active, to a role that they have.
    """
    query = select(TaskRow)
    if status is not None:
        query = query.where(TaskRow.status == status)
    if person_id is not None:
        person = await session.get(PersonRow, person_id)
        roles = person.roles if person is not None and person.active else []
        query = query.where(or_(TaskRow.person_id == person_id, col(TaskRow.role).in_(roles)))
    if role is not None:
        query = query.where(TaskRow.role == role)
    if enrollment_id is not None:
        query = query.where(TaskRow.enrollment_id == enrollment_id)
    if contact_id is not None:
        query = query.where(TaskRow.contact_id == contact_id)
    return await _page(session, query, TaskRow, limit, before)


async def page_of_assignments(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    status: str | None = None,
    person_id: str | None = None,
) -> list[AssignmentRow]:
    """Decisions on leads older than the id `before`; a filter that is None lets every row through."""
    query = select(AssignmentRow)
    if status is not None:
        query = query.where(AssignmentRow.status == status)
    if person_id is not None:
        query = query.where(AssignmentRow.person_id == person_id)
    return await _page(session, query, AssignmentRow, limit, before)


def _asks(*whom: ColumnElement[bool]) -> ColumnElement[bool]:
    request = (col(ApprovalRequestRow.approval_id) == ApprovalRow.id, *whom)
    in_present_stage = col(ApprovalRequestRow.stage) == ApprovalRow.stage
    return exists().where(*request, or_(col(ApprovalRow.status) != "pending", in_present_stage))


async def _page(
    session: AsyncSession, query: SelectOfScalar[RowT], table: type[RowT], limit: int, before: str | None
) -> list[RowT]:
    if before is not None:
        query = query.where(table.id < before)
    return list(await session.exec(query.order_by(col(table.id).desc()).limit(limit)))
