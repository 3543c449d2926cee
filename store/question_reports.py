"""What people of the team were asked by a flow, and how soon they answered."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, case, func, literal, or_, select, union_all
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.reports import QuestionCounts, QuestionKind
from store.people_tables import ApprovalRow, AssignmentRow, TaskRow
from store.reports import Cohort, quantiles, rows_of, seconds_between, times, with_ranks
from store.tables import EnrollmentRow


class _Asked(NamedTuple):
    """A table of questions: the status of those that are open, those of the answered, and until when they are due."""

    table: type[ApprovalRow] | type[TaskRow] | type[AssignmentRow]
    open: str
    answered: tuple[str, ...]
    due: Any


class _Tally(NamedTuple):
    """Questions of a step that have come to the same. The times are of all that were answered, or of all others."""

    status: str
    answered: int
    number: int
    overdue: int
    median: int | None
    p90: int | None


_QUEUED = "queued"
_ASKED = {
    QuestionKind.APPROVAL: _Asked(ApprovalRow, "pending", ("approved", "rejected"), ApprovalRow.expires_at),
    QuestionKind.TASK: _Asked(TaskRow, "open", ("done",), TaskRow.due_at),
    QuestionKind.LEAD: _Asked(AssignmentRow, "offered", ("accepted", "declined"), AssignmentRow.respond_by),
}


async def question_counts(session: AsyncSession, cohort: Cohort, at: datetime) -> list[QuestionCounts]:
    """By kind and step. What is open and was due before `at` is overdue."""
    asked = union_all(*(_questions(session, kind, cohort.flow, at) for kind in _ASKED)).subquery()
    questions = select(asked)
    if not cohort.is_everybody:
        # All kinds at once: their enrollments are looked through once.
        of_enrollment = col(EnrollmentRow.id) == asked.c.enrollment_id
        questions = questions.join(EnrollmentRow, of_enrollment).where(cohort.enrollments())
    ranked = with_ranks(questions.subquery(), "kind", "step", "answered")
    keys = ranked.c.kind, ranked.c.step, ranked.c.status, ranked.c.answered
    query = select(*keys, func.count(), func.sum(ranked.c.overdue), *quantiles(ranked)).group_by(*keys)
    tallies = defaultdict[tuple[str, str], list[_Tally]](list)
    for kind, step, *tally in await rows_of(session, query):
        tallies[kind, step].append(_Tally(*tally))
    return [_counts(QuestionKind(kind), step, tallies[kind, step]) for kind, step in sorted(tallies)]


def _questions(session: AsyncSession, kind: QuestionKind, flow: str, at: datetime) -> Select[Any]:
    table, open_, answered, due = _ASKED[kind]
    is_answered = case((col(table.status).in_(answered), 1), else_=0)
    is_overdue = case((and_(col(table.status) == open_, due < at), 1), else_=0)
    query: Select[Any] = select(
        literal(kind.value).label("kind"),
        col(table.step).label("step"),
        col(table.status).label("status"),
        col(table.enrollment_id).label("enrollment_id"),
        is_answered.label("answered"),
        is_overdue.label("overdue"),
        seconds_between(session, table.created_at, table.closed_at).label("seconds"),
    ).where(col(table.flow) == flow)
    if table is not AssignmentRow:
        return query
    # Without decisions by which nobody was asked: the lead has left the queue again.
    return query.where(or_(col(AssignmentRow.person_id).is_not(None), col(AssignmentRow.status) == _QUEUED))


def _counts(kind: QuestionKind, step: str, tallies: list[_Tally]) -> QuestionCounts:
    numbers = {tally.status: tally.number for tally in tallies}
    answered = [tally for tally in tallies if tally.answered]
    # Of each status the least time whose rank is high enough among all answers is known: theirs is the least of these.
    medians = [tally.median for tally in answered if tally.median is not None]
    nine_in_ten = [tally.p90 for tally in answered if tally.p90 is not None]
    return QuestionCounts(
        kind=kind,
        step=step,
        asked=sum(numbers.values()) - numbers.get(_QUEUED, 0),
        open=numbers.pop(_ASKED[kind].open, 0),
        overdue=sum(tally.overdue for tally in tallies),
        queued=numbers.pop(_QUEUED, 0),
        outcomes=numbers,
        answered=times(
            sum(tally.number for tally in answered), min(medians, default=None), min(nine_in_ten, default=None)
        ),
    )
