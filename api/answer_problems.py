"""What the API says when an answer does not count, or nobody knows yet whether it does."""

from __future__ import annotations

from api.answering import AskedRow
from api.problems import ProblemError
from api.wiring import Services
from domain.people import Person
from domain.questions import Choice, Refusal
from domain.trail import minute
from store.answers import taken_answers
from store.people_tables import AnswerRow, ApprovalRow
from store.tables import EnrollmentRow, now

_ENDED = {
    "approved": "was approved",
    "rejected": "was rejected",
    "expired": "expired",
    "withdrawn": "was withdrawn",
    "done": "was done",
    "overdue": "was overdue",
    "accepted": "was accepted",
    "declined": "was declined",
    "lapsed": "lapsed without an answer",
    "drained": "was taken out of the queue",
}


def not_told() -> ProblemError:
    return ProblemError(
        503,
        "flow-unavailable",
        "The flow could not be told",
        "the answer is kept, and nobody knows yet whether it counts: send the same request with the same "
        "Idempotency-Key again",
        headers={"Retry-After": "5"},
    )


def not_yours(detail: str = "this person is not asked") -> ProblemError:
    return ProblemError(403, "not-yours", "Somebody else answers this", detail)


def no_longer_pending(detail: str = "it expired on 2026-11-23 09:30 UTC") -> ProblemError:
    return ProblemError(409, "no-longer-pending", "There is nothing to answer any more", detail)


async def refused(services: Services, asked: AskedRow, person: Person, refusal: Refusal) -> ProblemError:
    """The problem that says why this person's answer does not count, as far as the database knows."""
    async with services.database.read() as session:
        row: AskedRow = await session.get_one(type(asked), asked.id)
        enrollment = await session.get_one(EnrollmentRow, row.enrollment_id)
        counted = await taken_answers(session, [row.id])
    if refusal is Refusal.NOT_PENDING:
        return no_longer_pending(_how_it_ended(row))
    if refusal is Refusal.NOT_ASKED:
        by_asker = isinstance(row, ApprovalRow) and person.id == enrollment.requested_by
        return not_yours("who had the contact enrolled does not decide") if by_asker else not_yours()
    if refusal is Refusal.ANSWERED:
        return _answered_before([answer for answer in counted if answer.person_id == person.id])
    return ProblemError(409, "no-such-choice", "The flow does not take this answer", "the flow asks something else")


def _how_it_ended(row: AskedRow) -> str:
    if row.closed_at is not None:
        return f"it {_ENDED.get(row.status, f'became {row.status}')} on {minute(row.closed_at)}"
    if isinstance(row, ApprovalRow) and row.expires_at is not None and row.expires_at <= now():
        return f"it expired on {minute(row.expires_at)}"
    return "it was settled a moment ago, or is asked in another stage now: read it again"


def _answered_before(by_them: list[AnswerRow]) -> ProblemError:
    latest = by_them[-1] if by_them else None
    if latest is not None and latest.choice == Choice.DELEGATE:
        return not_yours(f"this person gave it to somebody else on {minute(latest.created_at)}")
    answered = f"answered {latest.choice} on {minute(latest.created_at)}" if latest else "answered before"
    return ProblemError(409, "already-answered", "This person has answered", f"this person {answered}")
