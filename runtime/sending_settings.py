"""What a process is told of when messages go out, and of what happens when a provider does not take them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode

from domain.contacts import TimeZone
from domain.durations import read_duration
from domain.frequency import Cap, read_caps
from domain.messages import MessageClass
from domain.sending_hours import SendingHours
from domain.sending_rules import SendingRules
from domain.working_time import Weekday

_HOURS = re.compile(r"(\d{2}:\d{2})-(\d{2}:\d{2})")


def _duration(value: object) -> object:
    return read_duration(value) if isinstance(value, str) else value


def _caps(value: object) -> object:
    return read_caps(value) if isinstance(value, str) else value


def _days(value: object) -> object:
    return tuple(day.strip() for day in value.split(",") if day.strip()) if isinstance(value, str) else value


ShortDuration = Annotated[timedelta, BeforeValidator(_duration)]
"""As `4h` or `1d`."""
Caps = Annotated[tuple[Cap, ...], NoDecode, BeforeValidator(_caps)]


class SendingSettings(BaseSettings):
    sender_time_zone: TimeZone = Field(
        default="UTC", description="time zone of contacts whose own and whose country's is not known"
    )
    sending_hours: str | None = Field(
        default=None,
        description="HH:MM-HH:MM where the contact is; the rest is quiet hours, in which only transactional messages "
        "go out; default: none are quiet",
    )
    sending_days: Annotated[tuple[Weekday, ...], NoDecode, BeforeValidator(_days)] = Field(
        default=(), description="comma-separated weekdays on which there are sending hours; none: every day"
    )
    sending_on_holidays: bool = Field(
        default=False, description="whether there are sending hours on public holidays of the contact's country"
    )
    marketing_caps: Caps = Field(
        default=(), description="most marketing messages to a contact over all flows, as 2/1d,5/7d; default: no cap"
    )
    relationship_caps: Caps = Field(default=(), description="the same for relationship messages")
    minimum_gap: ShortDuration = Field(
        default=timedelta(0), description="least time between two messages to a contact, as 4h; transactional pass"
    )
    doubt_window: ShortDuration = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="how long an unconfirmed message waits for the provider's events before its flow's policy applies",
    )
    failover_mailer: Literal["sendgrid", "smtp"] | None = Field(
        default=None, description="who gets the emails while CAUCE_MAILER is out of order; default: nobody, they wait"
    )
    failover_after: ShortDuration = Field(
        default=timedelta(minutes=5), description="how long CAUCE_MAILER has to be out of order before that"
    )

    @field_validator("sending_hours")
    @classmethod
    def _are_hours(cls, value: str | None) -> str | None:
        if value:
            _read_hours(value)
        return value or None

    @property
    def sending_rules(self) -> SendingRules:
        return SendingRules(
            hours=self._hours(),
            caps={MessageClass.MARKETING: self.marketing_caps, MessageClass.RELATIONSHIP: self.relationship_caps},
            minimum_gap=self.minimum_gap,
            sender_zone=self.sender_time_zone,
        )

    def _hours(self) -> SendingHours | None:
        if self.sending_hours is None and not self.sending_days:
            return None
        limits = _read_hours(self.sending_hours or "00:00-24:00")
        return SendingHours.model_validate(
            {**limits, "days": self.sending_days or tuple(Weekday), "on_holidays": self.sending_on_holidays}
        )


def _read_hours(text: str) -> dict[str, Any]:
    read = _HOURS.fullmatch(text.replace(" ", ""))
    if read is None:
        raise ValueError(f"{text!r} are no hours: expected HH:MM-HH:MM, as 08:00-21:00")
    limits = {"begins": read[1], "ends": "23:59" if read[2] == "24:00" else read[2]}
    try:
        SendingHours.model_validate(limits)
    except ValidationError as error:
        raise ValueError(f"{text!r} are no hours: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return limits
