"""Where the tables hold anything of a contact: what an export shows, and what an erasure deletes.

A new table with rows of contacts needs a line in HOLDINGS: `tests/store/test_personal_data.py` fails without it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, inspect, or_, update
from sqlmodel import SQLModel, and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.holds import Scope
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.list_tables import AudienceMemberRow, ImportedContactRow, SegmentMemberRow
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, TaskRow
from store.suppressions import email_hashes
from store.tables import (
    ConsentRow,
    ContactRow,
    CrmChangeRow,
    EnrollmentRow,
    ErasureRow,
    EventRow,
    HoldRow,
    SuppressionRow,
)

_PAGE = 500
"""Rows in memory at once."""


class Holding(NamedTuple):
    """A table, and which of its rows are of a contact."""

    table: type[SQLModel]
    of: Callable[[ContactRow], ColumnElement[bool]]

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)


def _of_contact(column: Any) -> Callable[[ContactRow], ColumnElement[bool]]:
    return lambda contact: col(column) == contact.id


def _deliveries(contact: ContactRow) -> ColumnElement[bool]:
    return col(DeliveryEventRow.message_id).in_(select(MessageRow.id).where(MessageRow.contact_id == contact.id))


def _answers(contact: ContactRow) -> ColumnElement[bool]:
    return or_(
        *(
            col(AnswerRow.question_id).in_(select(table.id).where(table.contact_id == contact.id))
            for table in (ApprovalRow, TaskRow, AssignmentRow)
        )
    )


def _requests(contact: ContactRow) -> ColumnElement[bool]:
    return col(ApprovalRequestRow.approval_id).in_(select(ApprovalRow.id).where(ApprovalRow.contact_id == contact.id))


def _holds(contact: ContactRow) -> ColumnElement[bool]:
    enrollments = select(EnrollmentRow.id).where(EnrollmentRow.contact_id == contact.id)
    return or_(
        and_(col(HoldRow.scope) == Scope.CONTACT, col(HoldRow.target) == contact.id),
        and_(col(HoldRow.scope) == Scope.ENROLLMENT, col(HoldRow.target).in_(enrollments)),
    )


HOLDINGS = (
    Holding(DeliveryEventRow, _deliveries),
    Holding(AnswerRow, _answers),
    Holding(ApprovalRequestRow, _requests),
    Holding(ApprovalRow, _of_contact(ApprovalRow.contact_id)),
    Holding(TaskRow, _of_contact(TaskRow.contact_id)),
    Holding(AssignmentRow, _of_contact(AssignmentRow.contact_id)),
    Holding(CrmChangeRow, _of_contact(CrmChangeRow.contact_id)),
    Holding(MessageRow, _of_contact(MessageRow.contact_id)),
    Holding(HoldRow, _holds),
    Holding(EventRow, _of_contact(EventRow.contact_id)),
    Holding(SegmentMemberRow, _of_contact(SegmentMemberRow.contact_id)),
    Holding(ImportedContactRow, _of_contact(ImportedContactRow.contact_id)),
    Holding(AudienceMemberRow, _of_contact(AudienceMemberRow.contact_id)),
    Holding(ConsentRow, _of_contact(ConsentRow.contact_id)),
    Holding(EnrollmentRow, _of_contact(EnrollmentRow.contact_id)),
    Holding(ContactRow, _of_contact(ContactRow.id)),
)
"""In an order in which they can be deleted: what refers to others comes before them."""


async def delete_all(session: AsyncSession, contact: ContactRow) -> dict[str, int]:
    """Delete every row of a contact; answer how many by table.

    Suppressions stay, or the address would be written to again. What somebody noted with them goes.
    """
    counts = {}
    for holding in HOLDINGS:
        # Rows that the session has loaded are not looked at again.
        deleting = delete(holding.table).where(holding.of(contact)).execution_options(synchronize_session=False)
        counts[holding.name] = (await session.exec(deleting)).rowcount
    hashes = email_hashes(session, contact.email)
    await session.exec(update(SuppressionRow).where(col(SuppressionRow.email_hash).in_(hashes)).values(note=None))
    return counts


def outliving(session: AsyncSession, contact: ContactRow) -> tuple[Holding, ...]:
    """What an export shows too, and an erasure leaves: it tells nobody whose it is."""
    hashes = email_hashes(session, contact.email)
    return (
        Holding(SuppressionRow, lambda _: col(SuppressionRow.email_hash).in_(hashes)),
        Holding(ErasureRow, _of_contact(ErasureRow.contact_id)),
    )


async def rows(session: AsyncSession, holding: Holding, contact: ContactRow) -> AsyncIterator[dict[str, Any]]:
    """A contact's rows of one table, column by column, ordered by key and fetched some at a time."""
    columns = inspect(holding.table).columns
    query = select(holding.table).where(holding.of(contact)).order_by(*inspect(holding.table).primary_key)
    found = await session.stream_scalars(query, execution_options={"yield_per": _PAGE})
    async for row in found:
        yield {column.key: getattr(row, column.key) for column in columns}
