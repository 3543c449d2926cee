"""What is open between a flow and people of the team, whatever kind it is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.flows import Exit
from store.people_tables import AnswerRow, ApprovalRow, AssignmentRow, TaskRow
from store.tables import now


async def count_answers(session: AsyncSession, answer_ids: Sequence[str]) -> None:
    """Note that the flow took these answers, where a crash kept whoever brought them from noting it."""
    await session.exec(
        update(AnswerRow)
        .where(col(AnswerRow.id).in_(answer_ids), col(AnswerRow.status) != "taken")
        .values(status="taken", refusal=None)
    )


async def withdraw_all(session: AsyncSession, enrollment_id: str, exit_: Exit) -> None:
    """Close what an enrollment that ends has open: approvals, tasks, leads. The capacity of reps is free again.

    Tasks that the flow gave and went on without stay, if it was completed.
    """
    closed = {"status": "withdrawn", "closed_at": now()}
    for table, open_states in (
        (ApprovalRow, ("pending",)),
        (TaskRow, ("open",)),
        (AssignmentRow, ("offered", "queued")),
    ):
        closing = update(table).where(col(table.enrollment_id) == enrollment_id, col(table.status).in_(open_states))
        if table is TaskRow and exit_ is Exit.COMPLETED:
            closing = closing.where(col(TaskRow.waited))
        await session.exec(closing.values(**closed))
    await session.exec(
        update(AssignmentRow)
        .where(
            col(AssignmentRow.enrollment_id) == enrollment_id,
            col(AssignmentRow.person_id).is_not(None),
            col(AssignmentRow.released_at).is_(None),
        )
        .values(released_at=now())
    )
