"""What a process is told of how long events and messages are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from domain.durations import in_words, read_duration
from domain.frequency import Cap
from runtime.sending_settings import SendingSettings

_LONGEST = timedelta(days=3650)
LEAST = timedelta(days=31)
"""Less than a month could not be told from a mistake, and what providers tell comes in for some days."""


def _long_duration(value: object) -> object:
    return (read_duration(value, _LONGEST) if value.strip() else None) if isinstance(value, str) else value


Retention = Annotated[timedelta | None, BeforeValidator(_long_duration)]
"""As `760d`, up to ten years; blank, or none: for ever."""


class RetentionSettings(SendingSettings):
    keep_events: Retention = Field(
        default=None, description="how long events of contacts are kept, as 760d; default: for ever"
    )
    keep_messages: Retention = Field(
        default=None,
        description="how long messages are kept, with what providers told of them, as 760d; default: for ever",
    )

    @field_validator("keep_events", "keep_messages")
    @classmethod
    def _is_long_enough(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < LEAST:
            raise ValueError(f"{in_words(value)} is too short: 31d at the least")
        return value

    @field_validator("keep_messages")
    @classmethod
    def _outlasts_what_asks_for_messages(cls, value: timedelta | None, info: ValidationInfo) -> timedelta | None:
        for name, needed in _needed(info.data):
            if value is not None and value <= needed:
                raise ValueError(f"{in_words(value)} is too short for {name}, which looks back {in_words(needed)}")
        return value


def _needed(settings: Mapping[str, Any]) -> Iterator[tuple[str, timedelta]]:
    for name in ("marketing_caps", "relationship_caps"):
        caps: tuple[Cap, ...] = settings.get(name, ())
        yield from ((f"CAUCE_{name.upper()}", cap.within) for cap in caps)
    for name in ("minimum_gap", "doubt_window"):
        yield f"CAUCE_{name.upper()}", settings.get(name, timedelta())
