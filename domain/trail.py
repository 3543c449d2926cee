"""What the summaries of a flow's activities and timers say, and how it is read back from a server's history.

An activity leaves its step's name and result in the history, and a timer when a wait began. What else a journey went
through on the way to them, its trail, stands in their summaries: how each wait ended, and what was skipped. So the
Temporal Web UI tells the whole story, and a memory can be rebuilt without the code that it was made by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.durations import in_words

BEGINNING = "entering"
"""What a wait follows if it is the first step: no step may have this name."""
MAX_SUMMARY = 400
"""Bytes that a Temporal server accepts, by default, in a summary."""
_TIMER = re.compile(r"(?P<step>\S+): until .*?(?: after (?P<trail>.*?))?(?:, or (?P<event>\S+))?")
_ACTIVITY = re.compile(r"email \S+?(?: after (?P<trail>.*))?")
_PASSED = re.compile(r"(?P<step>[^\s:]+)(?:: (?P<answer>yes|no|skipped)(?: by (?P<event>\S+))?)?")


class Passed(NamedTuple):
    """A step that the journey left behind: a wait, answered by an event or not, or one that was skipped."""

    step: str
    answer: bool | None = None
    event: str | None = None
    """What answered a wait with yes."""
    skipped: bool = False


class Read(NamedTuple):
    """What a summary tells: the step that waits, if it is a timer's, and what came before."""

    step: str | None
    trail: list[Passed]


def email_summary(message: str, trail: Sequence[Passed]) -> str:
    """`email case-study after clicked: yes`."""
    return f"email {message}{_after(trail)}"


def wait_summary(step: str, duration: timedelta, trail: Sequence[Passed], latest: str, event: str | None = None) -> str:
    """`activated: until 3 days after welcome, or activated`. `latest` is what an empty trail follows."""
    alternative = f", or {event}" if event else ""
    return f"{step}: until {in_words(duration)}{_after(trail) or f' after {latest}'}{alternative}"


def moment_summary(step: str, moment: datetime, trail: Sequence[Passed]) -> str:
    """`check-in-day: until 2026-12-01 09:30 UTC after training-tip`."""
    return f"{step}: until {minute(moment)}{_after(trail)}"


def read_summary(summary: str) -> Read:
    """The inverse of the three above. A timer's trail may name a step that was told of before: it is known already.

    Raises: ValueError if none of them wrote this.
    """
    for pattern in (_ACTIVITY, _TIMER):
        if found := pattern.fullmatch(summary):
            told = found["trail"]
            trail = [_passed(text) for text in told.split(", ")] if told and told != BEGINNING else []
            return Read(found.groupdict().get("step"), trail)
    raise ValueError(f"{summary!r} is not the summary of a step")


def minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _after(trail: Sequence[Passed]) -> str:
    return f" after {', '.join(_told(passed) for passed in trail)}" if trail else ""


def _told(passed: Passed) -> str:
    if passed.skipped:
        return f"{passed.step}: skipped"
    if passed.answer is None:
        return passed.step
    by = f" by {passed.event}" if passed.event and passed.event != passed.step else ""
    return f"{passed.step}: yes{by}" if passed.answer else f"{passed.step}: no"


def _passed(text: str) -> Passed:
    found = _PASSED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a step that was passed")
    step, answer = found["step"], found["answer"]
    event = (found["event"] or step) if answer == "yes" else None
    return Passed(step, {"yes": True, "no": False}.get(answer), event, answer == "skipped")
