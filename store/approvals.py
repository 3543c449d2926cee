"""Approvals: what is asked, who is asked, and how it was decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.insertion import insert_unless_there
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow
from store.tables import EnrollmentRow, new_id, now


async def open_approval(
    session: AsyncSession,
    enrollment: EnrollmentRow,
    *,
    step: str,
    subject: str,
    facts: dict[str, JsonValue],
    content_hash: str,
    stages: list[dict[str, Any]],
) -> ApprovalRow:
    """The approval of this content, made if there is none. One of other content under the same step is withdrawn."""
    await insert_unless_there(
        session,
        ApprovalRow(
            id=new_id(),
            enrollment_id=enrollment.id,
            contact_id=enrollment.contact_id,
            flow=enrollment.flow,
            step=step,
            subject=subject,
            content=facts,
            content_hash=content_hash,
            stages=stages,
        ),
    )
    of_step = col(ApprovalRow.enrollment_id) == enrollment.id, col(ApprovalRow.step) == step
    await session.exec(
        update(ApprovalRow)
        .where(*of_step, col(ApprovalRow.content_hash) != content_hash, col(ApprovalRow.status) == "pending")
        .values(status="withdrawn", closed_at=now())
    )
    query = select(ApprovalRow).where(*of_step, ApprovalRow.content_hash == content_hash)
    return (await session.exec(query.with_for_update())).one()


async def begin_stage(session: AsyncSession, approval: ApprovalRow, stage: int, expires_at: datetime) -> None:
    """Ask the next stage, or again the first one of what was decided before and is asked once more."""
    if approval.stage != stage or approval.status != "pending" or approval.expires_at is None:
        approval.stage, approval.status, approval.closed_at = stage, "pending", None
        approval.expires_at = expires_at
        session.add(approval)


async def ask_person(
    session: AsyncSession, approval: ApprovalRow, person_id: str, *, role: str | None, reason: str
) -> None:
    """Note that somebody is asked in the present stage. Twice changes nothing."""
    await insert_unless_there(
        session,
        ApprovalRequestRow(
            id=new_id(),
            approval_id=approval.id,
            stage=approval.stage,
            person_id=person_id,
            role=role,
            reason=reason,
        ),
    )


async def delegate(session: AsyncSession, approval: ApprovalRow, person_id: str, delegate_id: str) -> None:
    """Note that somebody else answers in a person's place."""
    await session.exec(
        update(ApprovalRequestRow)
        .where(
            col(ApprovalRequestRow.approval_id) == approval.id,
            col(ApprovalRequestRow.stage) == approval.stage,
            col(ApprovalRequestRow.person_id) == person_id,
        )
        .values(delegated_to=delegate_id)
    )
    await ask_person(session, approval, delegate_id, role=None, reason="delegated")


async def who_delegated(session: AsyncSession, approval: ApprovalRow) -> set[str]:
    """People in whose place somebody else answers in the present stage."""
    query = select(ApprovalRequestRow.person_id).where(
        ApprovalRequestRow.approval_id == approval.id,
        ApprovalRequestRow.stage == approval.stage,
        col(ApprovalRequestRow.delegated_to).is_not(None),
    )
    return set(await session.exec(query))


async def whose_decision(session: AsyncSession, approval: ApprovalRow) -> dict[str, set[str]]:
    """By delegate, those in whose place they answer in the present stage; also if the flow has yet to note it."""
    noted = select(ApprovalRequestRow.delegated_to, ApprovalRequestRow.person_id).where(
        ApprovalRequestRow.approval_id == approval.id, ApprovalRequestRow.stage == approval.stage
    )
    given = select(AnswerRow.delegate_id, AnswerRow.person_id).where(
        AnswerRow.question_id == approval.id, AnswerRow.stage == approval.stage, AnswerRow.status != "refused"
    )
    found = defaultdict[str, set[str]](set)
    for delegate_id, person_id in (*await session.exec(noted), *await session.exec(given)):
        if delegate_id is not None:
            found[delegate_id].add(person_id)
    return found


async def requests_of_stage(session: AsyncSession, approval: ApprovalRow) -> list[ApprovalRequestRow]:
    """Who is asked in the present stage, without those in whose place somebody else is."""
    query = select(ApprovalRequestRow).where(
        ApprovalRequestRow.approval_id == approval.id,
        ApprovalRequestRow.stage == approval.stage,
        col(ApprovalRequestRow.delegated_to).is_(None),
    )
    return list(await session.exec(query.order_by(col(ApprovalRequestRow.id))))


async def who_answered(session: AsyncSession, approval: ApprovalRow) -> set[str]:
    """People whose answers in the present stage counted."""
    query = select(AnswerRow.person_id).where(
        AnswerRow.question_id == approval.id, AnswerRow.stage == approval.stage, AnswerRow.status == "taken"
    )
    return set(await session.exec(query))


async def approval_of(
    session: AsyncSession, enrollment_id: str, steps: Sequence[str], content_hash: str
) -> ApprovalRow | None:
    query = select(ApprovalRow).where(
        ApprovalRow.enrollment_id == enrollment_id,
        col(ApprovalRow.step).in_(steps),
        ApprovalRow.content_hash == content_hash,
    )
    return (await session.exec(query.with_for_update())).first()


async def close_approval(session: AsyncSession, approval: ApprovalRow, outcome: str) -> None:
    """Note how an approval was decided. Only a pending one changes."""
    if approval.status == "pending":
        approval.status, approval.closed_at = outcome, now()
        session.add(approval)
