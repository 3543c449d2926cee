"""Where an answer of a person is stored and told to the flow that asks: whoever brings it, and to whatever question.

The database keeps what was answered, comments with it; the flow alone decides whether it counts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from typing import Protocol

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client

from domain.people import Person
from domain.questions import Answer, Choice, Refusal, question_id
from runtime.answering import AnswerRefused, tell_answer
from runtime.runs import Runs, TemporalUnavailable
from store.answers import answer_by_key, delegates_for, in_doubt_before, keep_answer, mark_refused, mark_taken, may_do
from store.database import Database
from store.people_tables import AnswerRow, ApprovalRow, AssignmentRow, TaskRow
from store.tables import EnrollmentRow, new_id
from store.tasks import close_task

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 10.0

AskedRow = ApprovalRow | TaskRow | AssignmentRow
_OPEN = ("pending", "open", "offered")


class Refused(Exception):
    """The answer does not count."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class NotTold(Exception):
    """The flow could not be told. The answer is kept: the same key tells it again."""


class UnfitDelegate(Exception):
    """The decision cannot be given to this person: see `store.answers.delegates_for`."""


class Reach(Protocol):
    """What it takes to store an answer and to tell it: the API's services, or a rehearsed journey."""

    @property
    def database(self) -> Database: ...
    @property
    def client(self) -> Client: ...


@dataclass(frozen=True)
class Given:
    """What a person answers. `stage` is that of an approval, from 0; None: whichever is asked now."""

    person: Person
    choice: Choice
    comment: str | None = None
    delegate_id: str | None = None
    idempotency_key: str | None = None
    stage: int | None = None

    def under(self, idempotency_key: str) -> Given:
        return replace(self, idempotency_key=idempotency_key)

    @property
    def request_hash(self) -> str:
        """Tells one answer from another under the same idempotency key."""
        request = [self.person.id, self.choice, self.comment, self.delegate_id]
        return hashlib.sha256(json.dumps(request).encode()).hexdigest()


async def give_answer(services: Reach, asked: AskedRow, given: Given) -> AnswerRow:
    """Store an answer, tell the flow, and return the answer once it counts. What it settled for good is closed then.

    Idempotency: the same key and answer come to the same, whatever has happened since.
    Raises: Refused; NotTold; UnfitDelegate; KeyReused if the key came before with another answer.
    """
    answer = await _keep(services, asked, given)
    if answer.status == "given":
        answer = await _tell(services, asked, answer)
        if answer.status == "refused":
            await _learn_of_earlier(services, asked, answer)
    if answer.refusal is not None:
        raise Refused(Refusal(answer.refusal))
    return answer


async def _keep(services: Reach, asked: AskedRow, given: Given) -> AnswerRow:
    """The stored answer. Only what needs no word of the flow is decided: nothing is open, or nobody waits."""
    async with services.database.write() as session:
        row: AskedRow = await session.get_one(type(asked), asked.id, with_for_update=True)
        known = await answer_by_key(session, row.id, given.idempotency_key, given.request_hash)
        if known is not None:
            return known
        answer = AnswerRow(
            id=new_id(),
            question_id=row.id,
            stage=_stage(row, given),
            person_id=given.person.id,
            choice=given.choice,
            comment=given.comment,
            delegate_id=given.delegate_id,
            idempotency_key=given.idempotency_key,
            request_hash=given.request_hash,
        )
        if row.status not in _OPEN:
            answer.status, answer.refusal = "refused", Refusal.NOT_PENDING
        elif isinstance(row, ApprovalRow) and given.delegate_id is not None:
            await _require_fit(session, row, given.person.id, given.delegate_id)
        elif isinstance(row, TaskRow) and not row.waited and not may_do(row, given.person):
            answer.status, answer.refusal = "refused", Refusal.NOT_ASKED
        elif isinstance(row, TaskRow) and not row.waited:
            answer.status = "taken"
        await keep_answer(session, answer)
        if isinstance(row, TaskRow) and answer.status == "taken":
            await close_task(session, row, "done")
    return answer


async def _tell(services: Reach, asked: AskedRow, answer: AnswerRow) -> AnswerRow:
    """Have the flow take a stored answer, and note what it says. Raises: NotTold."""
    async with services.database.read() as session:
        enrollment = await session.get_one(EnrollmentRow, asked.enrollment_id)
    told = Answer(
        id=answer.id,
        question_id=_question_id(asked),
        stage=asked.number if isinstance(asked, AssignmentRow) else answer.stage,
        person_id=answer.person_id,
        choice=Choice(answer.choice),
        delegate_id=answer.delegate_id,
        given_at=answer.created_at,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            taken = await tell_answer(enrollment, told, Runs(services.client, services.database))
    except AnswerRefused as refused:
        async with services.database.write() as session:
            return await mark_refused(session, answer, refused.refusal)
    except (TemporalUnavailable, TimeoutError) as error:
        extra = {"enrollment_id": enrollment.id, "answer_id": answer.id, "error": str(error) or type(error).__name__}
        logger.warning("a flow was not told of an answer", extra=extra)
        raise NotTold from error
    async with services.database.write() as session:
        return await mark_taken(session, answer, taken.settled)


async def _learn_of_earlier(services: Reach, asked: AskedRow, refused: AnswerRow) -> None:
    """An answer whose fate was never learnt may be what stands in the way: now that it harms nothing, tell it again."""
    if refused.refusal not in (Refusal.ANSWERED, Refusal.NOT_PENDING):
        return
    async with services.database.read() as session:
        earlier = await in_doubt_before(session, refused)
    try:
        for answer in earlier:
            await _tell(services, asked, answer)
    except NotTold:
        pass


async def _require_fit(session: AsyncSession, approval: ApprovalRow, person_id: str, delegate_id: str) -> None:
    if all(delegate.id != delegate_id for delegate in await delegates_for(session, approval, person_id)):
        raise UnfitDelegate


def _stage(asked: AskedRow, given: Given) -> int:
    if isinstance(asked, ApprovalRow):
        return asked.stage if given.stage is None else given.stage
    return 0


def _question_id(asked: AskedRow) -> str:
    """As the flow knows it, see `workflows.asking`."""
    step = f"{asked.step}/{asked.content_hash}" if isinstance(asked, ApprovalRow) else asked.step
    return question_id(asked.enrollment_id, step)
