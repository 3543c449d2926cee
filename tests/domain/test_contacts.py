from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from domain.contacts import ContactProfile
from domain.limits import Duration, JsonObject, Moment, Text


class Given(BaseModel):
    text: Text = ""
    facts: JsonObject = {}
    moment: Moment = datetime(2026, 1, 1, tzinfo=UTC)
    duration: Duration | None = None


def deep(levels: int) -> Any:
    return {} if levels == 0 else {"a": deep(levels - 1)}


@pytest.mark.parametrize(
    "value",
    [
        {"text": "a\0b"},
        {"text": "a\nBcc: b"},
        {"text": "x" * 201},
        {"facts": {"n": float("nan")}},
        {"facts": {"n": float("inf")}},
        {"facts": {"n": 2**70}},
        {"facts": {"a\0": 1}},
        {"facts": {"a": "x" * 30_000}},
        {"facts": {"a": [[]] * 5_000}},
        {"facts": deep(9)},
        {"moment": "0001-01-01T00:00:00+14:00"},
        {"moment": "9999-12-31T23:59:59-14:00"},
        {"moment": "2026-01-01T00:00:00"},
        {"duration": "-PT1S"},
        {"duration": "P731D"},
        {"duration": 3},
        {"duration": "3 days"},
        {"duration": "00:30"},
        {"duration": "P1M"},
        {"duration": "P"},
        {"duration": "PT"},
    ],
)
def test_what_a_store_or_transport_could_not_hold_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Given.model_validate(value)


@pytest.mark.parametrize("value", [{"facts": deep(8)}, {"facts": {"n": 2**62, "list": [1, 2.5, None, True, "x"]}}])
def test_ordinary_facts_are_kept(value: dict[str, Any]) -> None:
    assert Given.model_validate(value).facts == value["facts"]


@pytest.mark.parametrize(
    "email", ["ada", "ada@localhost", "ada@@example.com", "a b@example.com", "x" * 255 + "@example.com"]
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        ContactProfile(email=email)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("locale", "spanish"),
        ("locale", "ES"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "localtime"),
        ("country", "Chile"),
    ],
)
def test_codes_that_do_not_exist_are_refused(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        ContactProfile.model_validate({"email": "ada@example.com", field: value})


def test_an_address_is_kept_in_lower_case() -> None:
    assert ContactProfile(email="Ada@Example.COM").email == "ada@example.com"


@pytest.mark.parametrize(
    ("text", "seconds"), [("P3D", 259_200), ("PT12H", 43_200), ("P1DT1M", 86_460), ("PT0.5S", 0.5), ("P1W", 604_800)]
)
def test_durations_are_iso_8601(text: str, seconds: float) -> None:
    duration = Given.model_validate({"duration": text}).duration
    assert duration is not None
    assert duration.total_seconds() == seconds
