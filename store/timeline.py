"""What happened to a contact, and what did not and why: read from what everybody else writes down, newest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import JsonValue
from sqlalchemy import and_, func, literal, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from store.ledger_tables import DeliveryEventRow, MessageRow
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, PersonRow, TaskRow
from store.suppressions import email_hashes
from store.tables import ContactRow, CrmChangeRow, EnrollmentRow, HoldRow
from store.timeline_sources import RANKS, SOURCES, Column, Source, Who
from store.timeline_texts import About, Known

_REFERRING = ("question_id", "approval_id", "message_id")


class Position(NamedTuple):
    """Of an entry in a timeline: `source` is the name of one of SOURCES, `ref` the row's key."""

    at: datetime
    source: str
    ref: str


class Entry(NamedTuple):
    """One line. `kind` is stable, for programs; `text` is for people. `ref` is the id of the row that tells it."""

    at: datetime
    kind: str
    text: str
    flow: str | None
    enrollment_id: str | None
    step: str | None
    ref: str
    details: dict[str, JsonValue]


class Page(NamedTuple):
    """`last` is where this page ends; None if nothing comes after it."""

    entries: list[Entry]
    last: Position | None


class _Found(NamedTuple):
    source: Source
    row: Any
    at: datetime
    ref: str
    kind: str


async def page_of_timeline(
    session: AsyncSession, contact: ContactRow, *, limit: int, before: Position | None = None, kind: str | None = None
) -> Page:
    """Entries older than `before`; `kind` lets through one kind, `message.skipped`, or all that begin so, `message`."""
    enrolled = await session.exec(
        select(EnrollmentRow.id, EnrollmentRow.flow).where(EnrollmentRow.contact_id == contact.id)
    )
    who = Who(contact, dict(enrolled.all()), email_hashes(session, contact.email))
    found: list[_Found] = []
    for source in SOURCES:
        condition = _of_kind(source, kind)
        if condition is not None:
            found += await _newest(session, source, who, condition, limit + 1, before)
    # Stable: rows of one source stay in the database's own order, which compares their keys.
    found.sort(key=lambda each: (each.at, RANKS[each.source.name]), reverse=True)
    shown = found[:limit]
    known = await _known(session, who, [each.row for each in shown])
    more = len(found) > limit
    return Page(
        entries=[_entry(each, known) for each in shown],
        last=Position(shown[-1].at, shown[-1].source.name, shown[-1].ref) if more else None,
    )


async def _newest(
    session: AsyncSession, source: Source, who: Who, condition: Column, limit: int, before: Position | None
) -> list[_Found]:
    variety = literal(None) if source.variety is None else source.variety
    query = (
        select(source.table, source.at, source.key, variety)
        .where(source.rows_of(who), source.at.is_not(None), condition)
        .order_by(source.at.desc(), source.key.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(_older(source, before))
    rows = await session.exec(query)
    return [
        _Found(source, row, at, ref, source.kind if value is None else f"{source.kind}.{value}")
        for row, at, ref, value in rows
    ]


def _older(source: Source, than: Position) -> Column:
    rank, other = RANKS[source.name], RANKS[than.source]
    if rank != other:
        return source.at <= than.at if rank < other else source.at < than.at
    same_moment = and_(source.at == than.at, source.key < than.ref)
    # Said twice, so that an index on the moment is of use.
    return and_(source.at <= than.at, or_(source.at < than.at, same_moment))


def _of_kind(source: Source, kind: str | None) -> Column | None:
    """What rows of a source have to be for this kind; None if none are."""
    if kind is None or source.kind == kind or source.kind.startswith(f"{kind}."):
        return literal(True)
    if source.variety is not None and kind.startswith(f"{source.kind}."):
        return source.variety == kind.removeprefix(f"{source.kind}.")
    return None


def _entry(found: _Found, known: Known) -> Entry:
    row = found.row
    asked = known.about(_about(row))
    enrollment_id = _enrollment_of(row) or asked.enrollment_id
    flow = getattr(row, "flow", None) or known.flows.get(enrollment_id or "")
    if isinstance(row, HoldRow) and row.scope == "flow":
        flow = row.target
    return Entry(
        at=found.at,
        kind=found.kind,
        text=found.source.tell(row, known),
        flow=flow,
        enrollment_id=enrollment_id,
        step=row.last_step if found.source.name == "ended" else getattr(row, "step", asked.step),
        ref=found.ref,
        details=found.source.details(row),
    )


def _about(row: Any) -> str:
    """The id of what the row tells of, if that is a row of its own."""
    return next((str(row_id) for name in _REFERRING if (row_id := getattr(row, name, None))), "")


def _enrollment_of(row: Any) -> str | None:
    if isinstance(row, EnrollmentRow):
        return row.id
    if isinstance(row, HoldRow):
        return row.target if row.scope == "enrollment" else None
    return getattr(row, "enrollment_id", None)


async def _known(session: AsyncSession, who: Who, rows: Sequence[Any]) -> Known:
    """What these rows refer to."""
    questions = {row.id for row in rows if isinstance(row, ApprovalRow | TaskRow | AssignmentRow)}
    requested = {row.approval_id for row in rows if isinstance(row, ApprovalRequestRow)}
    approvals = {row.id for row in rows if isinstance(row, ApprovalRow)} | requested
    about = {_about(row) for row in rows if isinstance(row, AnswerRow | ApprovalRequestRow | DeliveryEventRow)}
    answers, asked = defaultdict[str, list[AnswerRow]](list), defaultdict[str, list[ApprovalRequestRow]](list)
    if questions:
        taken = select(AnswerRow).where(col(AnswerRow.question_id).in_(questions), AnswerRow.status == "taken")
        for answer in await session.exec(taken.order_by(col(AnswerRow.id))):
            answers[answer.question_id].append(answer)
    if approvals:
        requests = select(ApprovalRequestRow).where(col(ApprovalRequestRow.approval_id).in_(approvals))
        for request in await session.exec(requests.order_by(col(ApprovalRequestRow.id))):
            asked[request.approval_id].append(request)
    of = await _asked_about(session, about) if about else {}
    named = {id_ for row in (*rows, *_all(answers.values()), *_all(asked.values())) for id_ in _people_in(row)}
    people: dict[str, str] = {}
    if named:
        found = await session.exec(select(PersonRow.id, PersonRow.name).where(col(PersonRow.id).in_(named)))
        people = dict(found.all())
    return Known(flows=who.enrollments, people=people, questions=of, asked=asked, answers=answers)


async def _asked_about(session: AsyncSession, ids: Collection[str]) -> dict[str, About]:
    found: dict[str, About] = {}
    for table, subject in (
        (ApprovalRow, col(ApprovalRow.subject)),
        (TaskRow, col(TaskRow.subject)),
        (AssignmentRow, literal("the lead")),
        (MessageRow, func.coalesce(col(MessageRow.subject), "")),
    ):
        query = select(table.id, subject, table.enrollment_id, table.step).where(col(table.id).in_(ids))
        found |= {id_: About(*rest) for id_, *rest in await session.exec(query)}
    return found


def _all(lists: Iterable[list[Any]]) -> Iterator[Any]:
    for each in lists:
        yield from each


def _people_in(row: Any) -> Iterator[str]:
    for name in ("person_id", "done_by", "delegate_id", "requested_by"):
        if person_id := getattr(row, name, None):
            yield person_id
    if isinstance(row, CrmChangeRow) and (owner := row.change.get("person_id")):
        yield str(owner)
    if isinstance(row, AssignmentRow):
        yield from (person_id for reason in row.reasons for by in ("person", "by") if (person_id := reason.get(by)))
