"""People of the team: who answers approvals, does tasks and takes leads."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from domain.contacts import DEFAULT_LOCALE, EmailAddress, Locale, TimeZone
from domain.limits import Text
from domain.public_holidays import CODE, is_known, public_holidays
from domain.working_time import OFFICE_HOURS, Absence, Calendar, WorkingHours


def _holidays(value: str) -> str:
    if not is_known(value):
        raise ValueError("no public holidays are known for this code; expected a country or a part of it, as CL, ES-MD")
    return value


Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""What somebody may be asked as: `marketing`, `sales`, `sales_manager`, `customer_success`, or a role of your own."""
Team = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Territory = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(/[^/\x00-\x1f]{1,100})?$")]
"""A country, or a region of one: `CL`, `CL/Valparaíso`."""
Holidays = Annotated[str, StringConstraints(pattern=CODE), AfterValidator(_holidays)]
"""Whose public holidays are free: a country, or a part of it (ISO 3166-2): `CL`, `ES-MD`."""
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


MANAGERS: Role = "sales_manager"
"""Of those who look after leads that nobody else does."""


class PersonProfile(BaseModel):
    """What is known of a person. A list of territories, products or languages that is empty means all of them."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    email: EmailAddress = Field(examples=["rosa@example.com"])
    name: Text = Field(min_length=1, examples=["Rosa Pérez"])
    roles: list[Role] = Field(default_factory=list, max_length=50, examples=[["sales"]])
    teams: list[Team] = Field(default_factory=list, max_length=50, examples=[["andes"]])
    locale: Locale = Field(default=DEFAULT_LOCALE, description="of emails to them", examples=["es-CL"])
    time_zone: TimeZone = Field(default="UTC", examples=["America/Santiago"])
    working_hours: WorkingHours = Field(default_factory=lambda: dict(OFFICE_HOURS))
    holidays: Holidays | None = Field(default=None, description="whose public holidays are free", examples=["CL"])
    absences: list[Absence] = Field(default_factory=list, max_length=200)
    capacity: int | None = Field(
        default=None, ge=0, le=100_000, strict=True, description="leads at once; null: no limit"
    )
    weight: int = Field(default=1, ge=1, le=100, strict=True, description="share of leads, beside the others' weights")
    territories: list[Territory] = Field(default_factory=list, max_length=500, examples=[["CL", "AR/Córdoba"]])
    products: list[Text] = Field(default_factory=list, max_length=200)
    languages: list[Language] = Field(default_factory=list, max_length=50, examples=[["es", "en"]])
    active: StrictBool = Field(default=True, description="false: asked nothing and given no leads any more")


class Person(PersonProfile):
    """A stored person. `id` is a UUID and the only part of it that may enter Temporal."""

    id: str


def calendar_of(person: PersonProfile) -> Calendar:
    """When they work."""
    return Calendar(
        zone=person.time_zone,
        hours=person.working_hours,
        holidays=partial(public_holidays, person.holidays) if person.holidays else None,
        absences=tuple(person.absences),
    )
