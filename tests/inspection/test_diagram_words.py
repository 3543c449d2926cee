"""Times and tests in words, from their source."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspection.diagram_words import Words
from inspection.outline import Step

WORDS = Words({"hand_after": timedelta(days=3), "laps": 2, "name": "Ada"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("self.settings.hand_after", "3 days (hand_after)"),
        ("timedelta(days=1, hours=12)", "1 day 12 hours"),
        ("datetime.timedelta(weeks=2)", "14 days"),
        ("self.settings.hand_after * 2", "6 days (hand_after * 2)"),
        ("self.settings.hand_after / self.settings.laps", "1 day 12 hours (hand_after / laps)"),
        ("timedelta(days=self.settings.laps)", "2 days (timedelta(days=laps))"),
        ("timedelta(days=1) + timedelta(hours=1)", "1 day 1 hour"),
        ("timedelta(milliseconds=20)", "20 milliseconds"),
        ("timedelta(days=1) - timedelta(days=2)", "no time"),
        ("self.settings.no_such", "no_such"),
        ("self.settings.name", "name"),
        ("pause", "pause"),
        ("timedelta(days=week)", "timedelta(days=week)"),
        ("timedelta(days=1) / 0", "timedelta(days=1) / 0"),
        ("timedelta(fortnights=1)", "timedelta(fortnights=1)"),
        (None, "a time that is not given"),
    ],
)
def test_durations(source: str | None, said: str) -> None:
    assert WORDS.duration(source) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("self.entered_at + self.settings.hand_after", "3 days after entering (hand_after)"),
        ("self.entered_at + timedelta(days=60)", "60 days after entering"),
        ("self.entered_at + self._pause()", "entered_at + _pause()"),
        ("workflow.now()", "workflow.now()"),
    ],
)
def test_moments(source: str, said: str) -> None:
    assert WORDS.moment(source) == said


def test_a_question_names_its_step_where_it_is_not_called_like_the_event() -> None:
    step = Step(1, "happened", "clicked-again", event="clicked", limit="self.settings.hand_after")
    assert WORDS.question(step) == ("clicked within 3 days (hand_after)?", "clicked-again")


def test_long_tests_are_cut() -> None:
    assert len(WORDS.test("a" * 500)) < 100


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_source_is_said(source: str) -> None:
    assert isinstance(WORDS.duration(source) + WORDS.moment(source) + WORDS.test(source), str)
