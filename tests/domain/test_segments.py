"""The language of segments: what it takes, what it refuses, and how it says itself in words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.segment_explanations import deciding, explained
from domain.segments import MAX_CLAUSES, MAX_DEPTH, Segment, leaves
from tests.segment_predicates import PREDICATES

DOCUMENT = Path(__file__).parents[2] / "docs/segments.md"
CHILE = {"kind": "contact", "field": "country", "is": "CL"}
SECRET = "ada.private@example.com"
VALIDATOR = jsonschema.Draft202012Validator(Segment.model_json_schema())


def faults(predicate: Any) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        Segment.model_validate(predicate)
    return [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in refused.value.errors()]


@given(predicate=PREDICATES)
def test_what_is_sent_is_what_is_stored_and_what_the_json_schema_describes(predicate: dict[str, Any]) -> None:
    segment = Segment.model_validate(predicate)
    stored = segment.model_dump(mode="json")
    assert Segment.model_validate(stored) == segment
    VALIDATOR.validate(predicate)
    VALIDATOR.validate(stored)


def test_the_examples_of_the_document_are_segments() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 10
    for example in examples:
        Segment.model_validate_json(example)


@pytest.mark.parametrize(
    ("clause", "sentence"),
    [
        (CHILE, "country is CL"),
        ({"kind": "contact", "field": "time_zone", "is_known": False}, "time zone is not known"),
        ({"kind": "contact", "field": "company", "starts_with": "Acme"}, "company starts with Acme"),
        (
            {"kind": "contact", "field": "email_domain", "is_one_of": ["a.cl", "b.cl"]},
            "email domain is one of a.cl, b.cl",
        ),
        ({"kind": "contact", "field": "score", "at_least": 50}, "score is at least 50"),
        ({"kind": "contact", "field": "created_at", "within": "P7D"}, "was created in the last 7 days"),
        (
            {"kind": "contact", "field": "created_at", "before": "2026-11-23T09:00:00-03:00"},
            "was created before 2026-11-23T12:00:00Z",
        ),
        ({"kind": "attribute", "name": "trial", "is_not": True}, "attribute trial is not true"),
        ({"kind": "consent", "topic": "news", "state": "none"}, "consent to news is none"),
        ({"kind": "event"}, "at least 1 event"),
        (
            {"kind": "event", "name": "clicked", "at_least": 3, "within": "P7D"},
            "at least 3 events clicked in the last 7 days",
        ),
        ({"kind": "event", "at_most": 0, "within": "P90D"}, "no event in the last 90 days"),
        ({"kind": "event", "acts_only": True, "exactly": 1}, "exactly 1 act"),
        (
            {"kind": "event", "name": "bought", "where": {"property": "sku", "is": 5}, "at_most": 2},
            "at most 2 events bought with sku 5",
        ),
        ({"kind": "message", "flow": "onboarding", "at_most": 0}, "has had no message of flow onboarding"),
        (
            {"kind": "message", "topic": "news", "step": "a", "reached": "clicked", "at_least": 2, "within": "PT12H"},
            "has had at least 2 messages of step a, topic news that came to be clicked in the last 12 hours",
        ),
        ({"kind": "enrollment", "flow": "onboarding"}, "is in flow onboarding"),
        (
            {"kind": "enrollment", "state": "ended", "exit": "goal", "within": "P1D"},
            "has left any flow by goal in the last 1 day",
        ),
        ({"kind": "enrollment", "within": "P2D"}, "is in any flow and entered in the last 2 days"),
        ({"kind": "suppression", "reason": "manual"}, "address is suppressed: manual"),
    ],
)
def test_a_clause_says_itself_in_words(clause: dict[str, Any], sentence: str) -> None:
    ((path, leaf),) = leaves(Segment.model_validate(clause).root)
    assert (path, leaf.sentence) == ("", sentence)


@pytest.mark.parametrize(
    ("predicate", "fault"),
    [
        ({}, "/kind has to be one of all, any, not, contact"),
        ({"kind": SECRET}, "/kind has to be one of all, any, not, contact"),
        ({"kind": ["all"]}, "/kind has to be one of all, any, not, contact"),
        (
            {"kind": "all", "of": [CHILE, {"kind": "contact", "field": SECRET}]},
            "/of/1/field has to be one of email_domain",
        ),
        ({"kind": "all", "of": []}, "all.of: Tuple should have at least 1 item"),
        ({"kind": "not", "of": [CHILE]}, "not.of: Input should be a valid dictionary"),
        ({"kind": "contact", "field": "country"}, "give exactly one of is, is_not, is_one_of, is_known"),
        ({**CHILE, "is_not": "AR"}, "give exactly one of is, is_not, is_one_of, is_known"),
        ({"kind": "contact", "field": "country", "is": "Chile"}, "contact.country.is: String should match pattern"),
        ({"kind": "contact", "field": "country", "contains": "C"}, "contact.country.contains: Extra inputs"),
        ({"kind": "contact", "field": "email", "is": SECRET}, "/field has to be one of email_domain"),
        ({"kind": "contact", "field": "score", "is": True}, "contact.score.is: Input should be a valid integer"),
        ({"kind": "contact", "field": "score", "at_least": 10**10}, "contact.score.at_least: Input should be less"),
        ({"kind": "contact", "field": "company", "is": ""}, "String should have at least 1 character"),
        ({"kind": "contact", "field": "company", "is": "a\0"}, "contact.company.is: String should match pattern"),
        ({"kind": "contact", "field": "created_at", "within": "P0D"}, "is no time at all"),
        ({"kind": "contact", "field": "created_at", "within": 7}, "expected an ISO 8601 duration"),
        ({"kind": "contact", "field": "created_at", "after": "2026-11-23T09:00:00"}, "should have timezone"),
        ({"kind": "attribute", "name": "a", "is": float("nan")}, "expected a text of 1 to 2000 characters, a number"),
        ({"kind": "attribute", "name": "a", "is": 10**400}, "expected a text of 1 to 2000 characters, a number"),
        ({"kind": "attribute", "name": "a", "at_least": float("inf")}, "expected a number between -10^15 and 10^15"),
        ({"kind": "attribute", "name": "a", "at_least": "5"}, "expected a number between -10^15 and 10^15"),
        ({"kind": "attribute", "name": "a\n", "is": 1}, "attribute.name: String should match pattern"),
        (
            {"kind": "attribute", "name": "a", "is_one_of": ["x"] * 501},
            "attribute.is_one_of: Tuple should have at most 500",
        ),
        ({"kind": "event", "at_least": 0}, "at_least 0 holds for everybody"),
        ({"kind": "event", "at_least": 1, "at_most": 2}, "give at most one of at_least, at_most, exactly"),
        ({"kind": "event", "at_least": 2.5}, "event.at_least: Input should be a valid integer"),
        ({"kind": "event", "name": "Robert'); DROP TABLE"}, "event.name: String should match pattern"),
        ({"kind": "enrollment", "exit": "goal"}, "exit goes with state ended alone"),
        ([CHILE], "Input should be a valid dictionary"),
        (SECRET, "Input should be a valid dictionary"),
    ],
)
def test_what_is_no_segment_is_refused_and_not_repeated(predicate: Any, fault: str) -> None:
    told = faults(predicate)
    assert len(told) == 1
    assert fault in told[0]
    assert SECRET not in told[0]


def nested(depth: int) -> dict[str, Any]:
    predicate: dict[str, Any] = CHILE
    for _ in range(depth):
        predicate = {"kind": "not", "of": predicate}
    return predicate


def test_what_is_too_large_is_refused_with_one_error() -> None:
    assert Segment.model_validate(nested(MAX_DEPTH))
    assert faults(nested(MAX_DEPTH + 1)) == [": Value error, all, any and not are nested more than 5 deep"]
    assert len(faults(nested(10_000))) == 1
    assert Segment.model_validate({"kind": "all", "of": [CHILE] * (MAX_CLAUSES - 1)})
    too_many = {"kind": "all", "of": [{"kind": "contact"}] * MAX_CLAUSES}
    assert len(faults(too_many)) == 1
    assert "more than 50 clauses" in faults({"kind": "all", "of": [CHILE] * MAX_CLAUSES})[0]


@given(predicate=PREDICATES, data=st.data())
def test_the_clauses_that_decide_do_so_whatever_the_others_say(predicate: dict[str, Any], data: st.DataObject) -> None:
    tree = Segment.model_validate(predicate).root
    paths = [path for path, _ in leaves(tree)]
    truths = data.draw(st.lists(st.booleans(), min_size=len(paths), max_size=len(paths)))
    verdict = explained(tree, iter(truths))
    by = {each.path: each.holds for each in deciding(verdict)}
    assert by
    assert by.items() <= dict(zip(paths, truths, strict=True)).items()
    others = [by.get(path, data.draw(st.booleans())) for path in paths]
    assert explained(tree, iter(others)).holds is verdict.holds


def test_of_all_that_fails_those_that_fail_decide() -> None:
    chile, peru, score = ({"kind": "contact", "field": "score", "is": number} for number in range(3))
    tree = Segment.model_validate({"kind": "all", "of": [chile, {"kind": "not", "of": peru}, score]}).root
    verdict = explained(tree, iter([True, True, False]))
    assert [(each.path, each.holds) for each in deciding(verdict)] == [("/of/1/of", True), ("/of/2", False)]
    assert [(each.path, each.holds, each.sentence) for each in verdict.of] == [
        ("/of/0", True, "score is 0"),
        ("/of/1", False, "not this"),
        ("/of/2", False, "score is 2"),
    ]
