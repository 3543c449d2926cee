"""People of the team: kept by id and address, changed without losing anybody else's change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, cast, exists
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.people import Person, PersonProfile
from domain.working_time import Absence
from store.insertion import insert_unless_there
from store.ledger_tables import MessageRow
from store.people_tables import (
    AnswerRow,
    ApprovalRequestRow,
    ApprovalRow,
    AssignmentRow,
    LeadRulesRow,
    PersonRow,
    TaskRow,
)
from store.tables import ContactRow, now

NAMING: Mapping[str, tuple[Mapped[Any], ...]] = {
    "approvals": (
        col(ApprovalRequestRow.person_id),
        col(ApprovalRequestRow.delegated_to),
        col(ApprovalRow.stages),
    ),
    "tasks": (col(TaskRow.person_id), col(TaskRow.done_by)),
    "leads": (col(AssignmentRow.person_id), col(ContactRow.owner_id)),
    "answers": (col(AnswerRow.person_id), col(AnswerRow.delegate_id)),
    "emails": (col(MessageRow.person_id),),
    "assignment rules": (col(LeadRulesRow.rules),),
    "absences of others": (col(PersonRow.absences),),
}
"""Where a person's id may stand, by what that is called: alone, or somewhere in JSON."""


class AddressTaken(Exception):
    """Another person has this address."""


class UnknownDelegates(Exception):
    """`absences` are the positions, from 0, of absences whose delegate is not another person that is stored."""

    def __init__(self, absences: list[int]) -> None:
        super().__init__(absences)
        self.absences = absences


class StillNamed(Exception):
    """The person cannot be deleted: `by` are the keys of NAMING that have their id."""

    def __init__(self, by: list[str]) -> None:
        super().__init__(by)
        self.by = by


async def insert_person(session: AsyncSession, profile: PersonProfile) -> PersonRow:
    """Raises: AddressTaken, UnknownDelegates."""
    people = await _locked(session, _delegates(profile))
    row = PersonRow.model_validate(profile.model_dump(mode="json"))
    _require_delegates(profile.absences, people.keys())
    if not await insert_unless_there(session, row):
        raise AddressTaken
    return row


async def update_person(session: AsyncSession, person_id: str, changes: PersonProfile) -> PersonRow | None:
    """Change what `changes` sets and nothing else; None if there is no such person.

    Raises: AddressTaken, UnknownDelegates.
    """
    changed = changes.model_dump(mode="json", exclude_unset=True)
    people = await _locked(session, {person_id, *_delegates(changes)}, changed.get("email"))
    person = people.pop(person_id, None)
    if person is None:
        return None
    if any(other.email == changed.get("email") for other in people.values()):
        raise AddressTaken
    _require_delegates(changes.absences, people.keys())
    if any(getattr(person, field) != value for field, value in changed.items()):
        person.sqlmodel_update(changed, update={"updated_at": now()})
        session.add(person)
        try:
            await session.flush()
        except IntegrityError:  # somebody got the address between our look and now
            raise AddressTaken from None
    return person


async def delete_person(session: AsyncSession, person_id: str) -> bool:
    """Delete somebody whom nothing names; False if there is no such person. Raises: StillNamed."""
    # The lock keeps out whatever would come to name them, as far as a foreign key or `update_person` leads here.
    person = await session.get(PersonRow, person_id, with_for_update=True)
    if person is None:
        return False
    by = [
        kind
        for kind, columns in NAMING.items()
        if (await session.exec(select(or_(*(exists().where(_names(column, person_id)) for column in columns))))).one()
    ]
    if by:
        raise StillNamed(by)
    await session.delete(person)
    await session.flush()
    return True


async def person_by_id(session: AsyncSession, person_id: str) -> Person | None:
    row = await session.get(PersonRow, person_id)
    return None if row is None else Person.model_validate(row)


async def page_of_people(
    session: AsyncSession,
    *,
    limit: int,
    before: str | None = None,
    email: str | None = None,
    role: str | None = None,
    team: str | None = None,
    active: bool | None = None,
) -> list[PersonRow]:
    """People added before the one with the id `before`, newest first; a filter that is None lets everybody through."""
    query = select(PersonRow)
    if before is not None:
        query = query.where(PersonRow.id < before)
    if email is not None:
        query = query.where(PersonRow.email == email)
    if role is not None:
        query = query.where(_lists(col(PersonRow.roles), role))
    if team is not None:
        query = query.where(_lists(col(PersonRow.teams), team))
    if active is not None:
        query = query.where(col(PersonRow.active).is_(active))
    return list(await session.exec(query.order_by(col(PersonRow.id).desc()).limit(limit)))


async def active_people(session: AsyncSession) -> list[Person]:
    """Everybody who may be asked something, in the order in which they were added."""
    rows = await session.exec(select(PersonRow).where(col(PersonRow.active)).order_by(col(PersonRow.id)))
    return [Person.model_validate(row) for row in rows]


async def people_in_role(session: AsyncSession, role: str) -> list[Person]:
    """The active people who have a role, in the order in which they were added."""
    query = select(PersonRow).where(col(PersonRow.active), _lists(col(PersonRow.roles), role))
    return [Person.model_validate(row) for row in await session.exec(query.order_by(col(PersonRow.id)))]


async def people_by_ids(session: AsyncSession, ids: Iterable[str]) -> list[Person]:
    """People, active or not, in the order in which they were added."""
    rows = await session.exec(select(PersonRow).where(col(PersonRow.id).in_(ids)).order_by(col(PersonRow.id)))
    return [Person.model_validate(row) for row in rows]


async def _locked(session: AsyncSession, ids: Iterable[str], email: str | None = None) -> dict[str, PersonRow]:
    """These people and whoever has the address, by id, kept from changing until the transaction ends."""
    # In the order of ids: two changes that concern the same people wait for each other in one direction only.
    concerned = or_(col(PersonRow.id).in_(ids), PersonRow.email == email)
    query = select(PersonRow).where(concerned).order_by(col(PersonRow.id)).with_for_update()
    return {row.id: row for row in await session.exec(query)}


def _delegates(profile: PersonProfile) -> set[str]:
    return {absence.delegate for absence in profile.absences if absence.delegate is not None}


def _require_delegates(absences: list[Absence], others: Iterable[str]) -> None:
    known = {None, *others}
    unknown = [position for position, absence in enumerate(absences) if absence.delegate not in known]
    if unknown:
        raise UnknownDelegates(unknown)


def _lists(column: Mapped[list[str]], word: str) -> ColumnElement[bool]:
    """Whether a column of roles or teams has one of them, in SQL of both dialects: those names have no quotes."""
    return cast(column, String).contains(f'"{word}"', autoescape=True)


def _names(column: Mapped[Any], person_id: str) -> ColumnElement[bool]:
    return cast(column, String).contains(person_id)
