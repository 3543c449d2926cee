"""People of the team: added, changed, listed by role and team, and deleted while nothing names them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import ConfigDict, Field

from api.content import require_json
from api.paging import Page, PageRequest, page_of
from api.passing_on import pass_on_offers
from api.problems import ProblemError, answers, invalid_request, not_found
from api.wiring import Wired
from domain.contacts import EmailAddress
from domain.limits import Text
from domain.people import Person, PersonProfile, Role, Team
from store.people import (
    AddressTaken,
    StillNamed,
    UnknownDelegates,
    delete_person,
    insert_person,
    page_of_people,
    update_person,
)
from store.people_tables import PersonRow

router = APIRouter(prefix="/v1/people", tags=["people"])


def _nobody() -> ProblemError:
    return not_found("person with this id")


def _address_taken() -> ProblemError:
    return ProblemError(
        409,
        "address-taken",
        "Another person has this address",
        "GET /v1/people?email= with the address tells who: change that person, or give another address",
    )


def _still_named(by: list[str]) -> ProblemError:
    return ProblemError(
        409,
        "person-still-named",
        "The person cannot be deleted any more",
        f"{', '.join(by)} name this person: PATCH them with active=false instead, and they are asked nothing more",
    )


def _unknown_delegates(absences: list[int]) -> ProblemError:
    message = "expected the id of another person: GET /v1/people lists them"
    return invalid_request([{"loc": ("body", "absences", at, "delegate"), "msg": message} for at in absences])


def _only_what_changes(schema: dict[str, Any]) -> None:
    for given in schema["properties"].values():
        given.pop("default", None)


class PersonChanges(PersonProfile):
    """What is to be otherwise. What is left out stays as it is; a list or the working hours are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra=_only_what_changes)

    email: EmailAddress = Field(default="", examples=["rosa@example.com"])
    name: Text = Field(default="", min_length=1, examples=["Rosa Pérez"])


class PersonView(Person):
    created_at: datetime
    updated_at: datetime


class PeopleRequest(PageRequest):
    email: EmailAddress | None = Field(default=None, examples=["rosa@example.com"])
    role: Role | None = Field(default=None, examples=["sales"])
    team: Team | None = Field(default=None, examples=["andes"])
    active: bool | None = None


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": {"Location": {"description": "the person's address", "schema": {"type": "string"}}}},
        **answers(400, _address_taken(), 415, 422),
    },
)
async def add_person(person: PersonProfile, response: Response, services: Wired) -> PersonView:
    """Add somebody to the team. Without working hours they work Monday to Friday, 09:00 to 18:00."""
    try:
        async with services.database.write() as session:
            row = await insert_person(session, person)
    except AddressTaken:
        raise _address_taken() from None
    except UnknownDelegates as refusal:
        raise _unknown_delegates(refusal.absences) from None
    response.headers["Location"] = f"/v1/people/{row.id}"
    return PersonView.model_validate(row)


@router.get("", responses=answers(422))
async def list_people(query: Annotated[PeopleRequest, Query()], services: Wired) -> Page[PersonView]:
    """People, newest first."""
    async with services.database.read() as session:
        rows = await page_of_people(
            session,
            limit=query.limit + 1,
            before=query.before(),
            email=query.email,
            role=query.role,
            team=query.team,
            active=query.active,
        )
    return page_of(rows, query.limit, PersonView.model_validate)


@router.get("/{person_id}", responses=answers(_nobody(), 422))
async def read_person(person_id: UUID, services: Wired) -> PersonView:
    """One person."""
    async with services.database.read() as session:
        row = await session.get(PersonRow, str(person_id))
    if row is None:
        raise _nobody()
    return PersonView.model_validate(row)


@router.patch(
    "/{person_id}",
    dependencies=[Depends(require_json)],
    responses=answers(400, _nobody(), _address_taken(), 415, 422),
)
async def change_person(person_id: UUID, changes: PersonChanges, services: Wired) -> PersonView:
    """Change what is given. Changes of other members made at the same time are kept.

    Leads that are offered to somebody who is made inactive go on to the next at once.
    """
    try:
        async with services.database.write() as session:
            row = await update_person(session, str(person_id), changes)
    except AddressTaken:
        raise _address_taken() from None
    except UnknownDelegates as refusal:
        raise _unknown_delegates(refusal.absences) from None
    if row is None:
        raise _nobody()
    if changes.active is False:
        await pass_on_offers(services, Person.model_validate(row))
    return PersonView.model_validate(row)


@router.delete("/{person_id}", status_code=204, responses=answers(_nobody(), 422, _still_named(["approvals", "leads"])))
async def remove_person(person_id: UUID, services: Wired) -> None:
    """Delete somebody whom nothing names. Who has been asked or given something is made inactive instead."""
    try:
        async with services.database.write() as session:
            found = await delete_person(session, str(person_id))
    except StillNamed as refusal:
        raise _still_named(refusal.by) from None
    if not found:
        raise _nobody()
