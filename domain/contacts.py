"""A contact: a person we may write to."""

from __future__ import annotations

import zoneinfo
from functools import cache
from typing import Annotated

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from domain.limits import JsonObject, Text

DEFAULT_LOCALE = "en"
_OF_THIS_MACHINE = "localtime"
"""A file beside those of the zones."""


def _email(value: str) -> str:
    try:
        checked = validate_email(value, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None
    return checked.normalized.lower()


@cache
def _time_zones() -> set[str]:
    return zoneinfo.available_timezones() - {_OF_THIS_MACHINE}


def _time_zone(value: str) -> str:
    if value not in _time_zones():
        raise ValueError("not a time zone of the IANA database; expected a name such as America/Santiago")
    return value


EmailAddress = Annotated[
    str, StringConstraints(max_length=254), AfterValidator(_email), Field(json_schema_extra={"format": "email"})
]
"""Lower case: addresses that differ in case alone are one contact."""
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")]
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_time_zone)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Topic = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class ContactProfile(BaseModel):
    """What is known of a contact, in the field's usual terms; all but the address may be left out."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    email: EmailAddress = Field(examples=["ada@example.com"])
    first_name: Text = Field(default="", examples=["Ada"])
    last_name: Text = Field(default="", examples=["Lovelace"])
    locale: Locale = Field(
        default=DEFAULT_LOCALE, description="BCP 47: language, or language-REGION", examples=["es-CL"]
    )
    time_zone: TimeZone | None = Field(
        default=None, description="IANA name; null: the country's, else the sender's", examples=["America/Santiago"]
    )
    country: Country | None = Field(default=None, description="ISO 3166-1 alpha-2", examples=["CL"])
    region: Text | None = Field(default=None, examples=["Valparaíso"])
    company: Text | None = Field(default=None, examples=["Analytical Engines"])
    attributes: JsonObject = Field(
        default_factory=dict, description="Facts of your own, by name", examples=[{"plan": "team", "seats": 12}]
    )


class Contact(ContactProfile):
    """A stored contact. `id` is a UUID and the only part of it that may enter Temporal."""

    id: str
