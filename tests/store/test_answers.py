from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.people import Person, PersonProfile
from domain.questions import Choice, Refusal
from store.answers import (
    delegates_for,
    in_doubt_before,
    keep_answer,
    mark_refused,
    mark_taken,
    may_do,
    taken_answers,
)
from store.approvals import ask_person, begin_stage, open_approval, requests_of_stage
from store.database import Database
from store.enrollments import KeyReused, enroll
from store.people import insert_person
from store.people_tables import AnswerRow, ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.questions import count_answers
from store.tables import ContactRow, EnrollmentRow, new_id, now

STAGES = [{"asks": [{"role": "sales"}], "needs": "any"}, {"asks": [{"role": "sales_manager"}], "needs": "any"}]


async def add(database: Database, name: str, **known: Any) -> PersonRow:
    async with database.write() as session:
        return await insert_person(session, PersonProfile(email=f"{name}@example.com", name=name, **known))


@pytest.fixture
async def rosa(database: Database) -> PersonRow:
    return await add(database, "rosa", roles=["sales"])


@pytest.fixture
async def enrollment(database: Database, ada: ContactRow) -> EnrollmentRow:
    async with database.write() as session:
        return await enroll(session, flow="reactivation", contact_id=ada.id, settings={}, reenroll_after=None)


@pytest.fixture
async def approval(database: Database, enrollment: EnrollmentRow, rosa: PersonRow) -> ApprovalRow:
    """Of two stages, the first of which asks Rosa."""
    async with database.write() as session:
        row = await open_approval(
            session, enrollment, step="offer", subject="30 %", facts={}, content_hash="0" * 16, stages=STAGES
        )
        await begin_stage(session, row, 0, now() + timedelta(days=1))
        await ask_person(session, row, rosa.id, role="sales", reason="asked")
    return row


def answer_of(person: PersonRow, question: str, choice: Choice = Choice.APPROVE, **more: Any) -> AnswerRow:
    return AnswerRow(id=new_id(), question_id=question, person_id=person.id, choice=choice, **more)


async def keep(database: Database, answer: AnswerRow) -> AnswerRow:
    async with database.write() as session:
        return await keep_answer(session, answer)


async def take(database: Database, answer: AnswerRow, settled: Choice | None) -> AnswerRow:
    async with database.write() as session:
        return await mark_taken(session, answer, settled)


async def stored(database: Database, approval: ApprovalRow) -> ApprovalRow:
    async with database.read() as session:
        return await session.get_one(ApprovalRow, approval.id)


async def test_one_key_brings_one_answer_however_many_come_at_once(
    database: Database, approval: ApprovalRow, rosa: PersonRow
) -> None:
    given = [answer_of(rosa, approval.id, idempotency_key="k", request_hash="h") for _ in range(5)]
    kept = await asyncio.gather(*(keep(database, answer) for answer in given))
    assert len({answer.id for answer in kept}) == 1
    with pytest.raises(KeyReused):
        await keep(database, answer_of(rosa, approval.id, idempotency_key="k", request_hash="other"))
    assert await keep(database, answer_of(rosa, new_id(), idempotency_key="k", request_hash="other"))


async def test_answers_without_a_key_are_kept_each(database: Database, approval: ApprovalRow, rosa: PersonRow) -> None:
    first, second = [await keep(database, answer_of(rosa, approval.id)) for _ in range(2)]
    assert first.id != second.id


async def test_approval_is_closed_by_the_last_stage_or_a_rejection(
    database: Database, approval: ApprovalRow, rosa: PersonRow
) -> None:
    first = await keep(database, answer_of(rosa, approval.id))
    assert (await take(database, first, Choice.APPROVE)).status == "taken"
    assert (await stored(database, approval)).status == "pending"
    async with database.write() as session:
        await begin_stage(session, await session.get_one(ApprovalRow, approval.id), 1, now() + timedelta(days=1))
    await take(database, first, Choice.APPROVE)
    assert (await stored(database, approval)).status == "pending"
    second = await keep(database, answer_of(rosa, approval.id, stage=1))
    await take(database, second, None)
    assert (await stored(database, approval)).status == "pending"
    third = await keep(database, answer_of(rosa, approval.id, Choice.REJECT, stage=1))
    for _ in range(2):
        await take(database, third, Choice.REJECT)
    closed = await stored(database, approval)
    assert (closed.status, closed.closed_at is not None) == ("rejected", True)
    async with database.read() as session:
        assert [row.id for row in await taken_answers(session, [approval.id])] == [first.id, second.id, third.id]


async def test_delegate_is_asked_in_ones_place(database: Database, approval: ApprovalRow, rosa: PersonRow) -> None:
    bo = await add(database, "bo")
    answer = await keep(database, answer_of(rosa, approval.id, Choice.DELEGATE, delegate_id=bo.id))
    for _ in range(2):
        await take(database, answer, None)
    async with database.read() as session:
        (request,) = await requests_of_stage(session, approval)
    assert (request.person_id, request.reason) == (bo.id, "delegated")


async def test_whom_a_decision_may_be_given_to(database: Database, approval: ApprovalRow, rosa: PersonRow) -> None:
    bo, cy = await add(database, "bo"), await add(database, "cy")
    await add(database, "gone", active=False)

    async def delegates(person: PersonRow) -> list[str]:
        async with database.read() as session:
            return [each.name for each in await delegates_for(session, approval, person.id)]

    assert await delegates(rosa) == ["bo", "cy"]
    async with database.write() as session:
        row = await session.get_one(EnrollmentRow, approval.enrollment_id)
        row.requested_by = cy.id
        session.add(row)
    assert await delegates(rosa) == ["bo"]
    async with database.write() as session:
        await ask_person(session, approval, cy.id, role="sales", reason="asked")
    assert await delegates(rosa) == ["bo", "cy"]
    given = await keep(database, answer_of(rosa, approval.id, Choice.DELEGATE, delegate_id=bo.id))
    await take(database, given, None)
    assert await delegates(bo) == ["cy"]


async def test_answer_that_counts_is_not_refused_afterwards(
    database: Database, approval: ApprovalRow, rosa: PersonRow
) -> None:
    answer, other = (
        await keep(database, answer_of(rosa, approval.id)),
        await keep(database, answer_of(rosa, approval.id)),
    )
    async with database.read() as session:
        assert [row.id for row in await in_doubt_before(session, other)] == [answer.id]
    async with database.write() as session:
        await count_answers(session, [answer.id])
        assert (await mark_refused(session, answer, Refusal.NOT_PENDING)).status == "taken"
        refused = await mark_refused(session, other, Refusal.ANSWERED)
        assert (refused.status, refused.refusal) == ("refused", "AlreadyAnswered")
        assert await in_doubt_before(session, other) == []


async def test_task_and_lead_are_closed_by_their_answer(
    database: Database, enrollment: EnrollmentRow, rosa: PersonRow
) -> None:
    of: dict[str, Any] = {"enrollment_id": enrollment.id, "contact_id": enrollment.contact_id, "flow": enrollment.flow}
    task = TaskRow(**of, step="call", subject="Call", role="sales")
    taken, declined = (
        AssignmentRow(**of, step="assign", number=number, person_id=rosa.id, status="offered") for number in (1, 2)
    )
    async with database.write() as session:
        session.add_all([task, taken, declined])
    for question, choice in ((task, Choice.DONE), (taken, Choice.ACCEPT), (declined, Choice.DECLINE)):
        await take(database, await keep(database, answer_of(rosa, question.id, choice)), choice)
    async with database.read() as session:
        done = await session.get_one(TaskRow, task.id)
        leads = [await session.get_one(AssignmentRow, row.id) for row in (taken, declined)]
    assert (done.status, done.done_by) == ("done", rosa.id)
    assert [(row.status, row.released_at is None) for row in leads] == [("accepted", True), ("declined", False)]


def test_a_task_is_for_its_person_or_for_a_role() -> None:
    sales = Person(id=new_id(), email="a@example.com", name="A", roles=["sales"])
    other = sales.model_copy(update={"id": new_id(), "roles": ["marketing"]})

    def task(**whose: Any) -> TaskRow:
        return TaskRow(enrollment_id=new_id(), contact_id=new_id(), flow="f", step="call", subject="Call", **whose)

    assert may_do(task(role="sales"), sales)
    assert not may_do(task(role="sales"), other)
    assert may_do(task(person_id=other.id), other)
    assert not may_do(task(person_id=other.id), sales)
    assert not may_do(task(role="sales"), sales.model_copy(update={"active": False}))
