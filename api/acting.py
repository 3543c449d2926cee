"""Who of the team acts: the holder of an API key says it, and is trusted to."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header
from sqlmodel import or_, select

from api.problems import ProblemError, invalid_request
from api.wiring import Wired
from domain.people import Person
from store.people_tables import PersonRow


def not_active() -> ProblemError:
    return ProblemError(
        403,
        "not-yours",
        "This person does not answer any more",
        "header.Cauce-Person: the person is not active: PATCH them with active=true, or let somebody else answer",
    )


_PersonHeader = Header(
    alias="Cauce-Person",
    pattern="^[!-~]{1,254}$",
    description="id or email address of the person who acts",
    examples=["rosa@example.com"],
)


async def _acting_person(services: Wired, cauce_person: Annotated[str, _PersonHeader]) -> Person:
    """Raises: ProblemError 422 for nobody whom we know, 403 for somebody who is not active."""
    try:
        person_id = str(UUID(cauce_person))
    except ValueError:
        person_id = ""
    async with services.database.read() as session:
        query = select(PersonRow).where(or_(PersonRow.id == person_id, PersonRow.email == cauce_person.lower()))
        row = (await session.exec(query)).one_or_none()
    if row is None:
        message = "names nobody: expected a person's id or email address, GET /v1/people lists them"
        raise invalid_request([{"loc": ("header", "Cauce-Person"), "msg": message}])
    if not row.active:
        raise not_active()
    return Person.model_validate(row)


ActingPerson = Annotated[Person, Depends(_acting_person)]


async def _person_if_said(services: Wired, cauce_person: Annotated[str | None, _PersonHeader] = None) -> Person | None:
    return None if cauce_person is None else await _acting_person(services, cauce_person)


PersonIfSaid = Annotated[Person | None, Depends(_person_if_said)]
