"""What people answered to approvals, tasks and leads: stored before the flow is told, so that no crash loses it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.people import Person
from domain.questions import Choice, Outcome, Refusal
from store.approvals import close_approval, delegate
from store.enrollments import KeyReused
from store.insertion import insert_unless_there
from store.people import active_people
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, TaskRow
from store.questions import count_answers
from store.tables import EnrollmentRow, now
from store.tasks import close_task


async def keep_answer(session: AsyncSession, answer: AnswerRow) -> AnswerRow:
    """Store an answer, unless its idempotency key brought one before: then that one is answered. Raises: KeyReused."""
    if known := await answer_by_key(session, answer.question_id, answer.idempotency_key, answer.request_hash):
        return known
    if await insert_unless_there(session, answer):
        return answer
    known = await answer_by_key(session, answer.question_id, answer.idempotency_key, answer.request_hash)
    assert known is not None  # noqa: S101 (nothing else is unique, and answers are never deleted)
    return known


async def answer_by_key(
    session: AsyncSession, question_id: str, idempotency_key: str | None, request_hash: str | None
) -> AnswerRow | None:
    """The answer that this key brought, if any. Raises: KeyReused if another request did."""
    if idempotency_key is None:
        return None
    query = select(AnswerRow).where(AnswerRow.question_id == question_id, AnswerRow.idempotency_key == idempotency_key)
    known = (await session.exec(query)).one_or_none()
    if known is not None and known.request_hash != request_hash:
        raise KeyReused(idempotency_key)
    return known


async def taken_answers(session: AsyncSession, question_ids: Sequence[str]) -> list[AnswerRow]:
    """The answers that count, oldest first."""
    query = select(AnswerRow).where(col(AnswerRow.question_id).in_(question_ids), AnswerRow.status == "taken")
    return list(await session.exec(query.order_by(col(AnswerRow.id))))


async def in_doubt_before(session: AsyncSession, answer: AnswerRow) -> list[AnswerRow]:
    """Older answers of the same person in the same stage, of which nobody has learnt whether they count."""
    query = select(AnswerRow).where(
        AnswerRow.question_id == answer.question_id,
        AnswerRow.stage == answer.stage,
        AnswerRow.person_id == answer.person_id,
        AnswerRow.status == "given",
        AnswerRow.id < answer.id,
    )
    return list(await session.exec(query.order_by(col(AnswerRow.id))))


async def mark_refused(session: AsyncSession, answer: AnswerRow, refusal: Refusal) -> AnswerRow:
    """Note why an answer does not count; answer how it stands. One that counts stays as it is."""
    await session.exec(
        update(AnswerRow)
        .where(col(AnswerRow.id) == answer.id, col(AnswerRow.status) == "given")
        .values(status="refused", refusal=refusal)
    )
    return await _as_it_stands(session, answer)


async def mark_taken(session: AsyncSession, answer: AnswerRow, settled: Choice | None) -> AnswerRow:
    """Note that an answer counts and, if it settled the question for good, how that ended. Twice changes nothing."""
    await count_answers(session, [answer.id])
    await _settle_approval(session, answer, settled)
    await _settle_task(session, answer, settled)
    await _settle_assignment(session, answer, settled)
    return await _as_it_stands(session, answer)


def may_do(task: TaskRow, person: Person) -> bool:
    """Whether a task is this person's, or of a role that they have."""
    return person.active and (person.id == task.person_id or task.role in person.roles)


async def delegates_for(session: AsyncSession, approval: ApprovalRow, person_id: str) -> list[Person]:
    """Active people to whom this person may give their decision, in the order in which they were added.

    Nobody who has given it away themselves: with two who give it to each other, nobody could decide. And not whoever
    had the contact enrolled, unless they are asked anyway.
    """
    query = select(ApprovalRequestRow).where(ApprovalRequestRow.approval_id == approval.id)
    requests = list(await session.exec(query))
    enrollment = await session.get_one(EnrollmentRow, approval.enrollment_id)
    barred = {person_id, enrollment.requested_by} - {row.person_id for row in requests if row.person_id != person_id}
    barred |= {row.person_id for row in requests if row.stage == approval.stage and row.delegated_to}
    return [person for person in await active_people(session) if person.id not in barred]


async def _as_it_stands(session: AsyncSession, answer: AnswerRow) -> AnswerRow:
    query = select(AnswerRow).where(AnswerRow.id == answer.id)
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def _settle_approval(session: AsyncSession, answer: AnswerRow, settled: Choice | None) -> None:
    approval = await session.get(ApprovalRow, answer.question_id, with_for_update=True)
    if approval is None or approval.stage != answer.stage:
        return
    if answer.choice == Choice.DELEGATE and answer.delegate_id is not None:
        await delegate(session, approval, answer.person_id, answer.delegate_id)
    if settled is Choice.REJECT:
        await close_approval(session, approval, Outcome.REJECTED)
    elif settled is Choice.APPROVE and approval.stage == len(approval.stages) - 1:
        await close_approval(session, approval, Outcome.APPROVED)


async def _settle_task(session: AsyncSession, answer: AnswerRow, settled: Choice | None) -> None:
    task = await session.get(TaskRow, answer.question_id, with_for_update=True)
    if task is not None and settled is Choice.DONE:
        await close_task(session, task, "done")


async def _settle_assignment(session: AsyncSession, answer: AnswerRow, settled: Choice | None) -> None:
    """A lead that is declined takes none of the rep's capacity any more."""
    assignment = await session.get(AssignmentRow, answer.question_id, with_for_update=True)
    if assignment is None or assignment.status != "offered" or settled is None:
        return
    assignment.closed_at = now()
    if settled is Choice.ACCEPT:
        assignment.status = "accepted"
    else:
        assignment.status, assignment.released_at = "declined", now()
    session.add(assignment)
