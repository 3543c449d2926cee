from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.crm import AddNote, AddScore, Change, SetFields, SetLifecycle, SetOwner, Sunset

CHANGE: TypeAdapter[Change] = TypeAdapter(Change)
ROSA = "0199aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee"


@pytest.mark.parametrize(
    "change",
    [
        SetFields(fields={"plan": "team", "trial": None}),
        SetLifecycle(stage="qualified"),
        AddScore(points=-5),
        SetOwner(person_id=ROSA),
        SetOwner(person_id=None),
        AddNote(text="Asked for a demo.\nTwice."),
        Sunset(),
    ],
)
def test_a_change_comes_back_as_the_kind_that_it_was(change: Change) -> None:
    assert CHANGE.validate_json(CHANGE.dump_json(change)) == change


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "fields", "fields": {}},
        {"kind": "fields", "fields": {"text": "x" * 20_001}},
        {"kind": "fields", "fields": {"text": "\0"}},
        {"kind": "lifecycle", "stage": "Qualified lead"},
        {"kind": "lifecycle", "stage": ""},
        {"kind": "score", "points": 1_000_001},
        {"kind": "score", "points": 0.5},
        {"kind": "owner", "person_id": "rosa@example.com"},
        {"kind": "owner"},
        {"kind": "note", "text": " \n"},
        {"kind": "note", "text": "x" * 2_001},
        {"kind": "note", "text": "\0"},
        {"kind": "forget"},
        {},
    ],
)
def test_what_cannot_be_stored_is_refused_before_anybody_is_asked(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CHANGE.validate_python(change)
