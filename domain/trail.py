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
MAX_SUMMARY = 256
"""Bytes. A Temporal server accepts 400 by default; the rest is for what makes an encrypted payload of a text."""
_TIMER = re.compile(r"(?P<step>\S+): until .*?(?: after (?P<trail>.*?))?(?:, or (?P<event>\S+))?")
_ACTIVITY = re.compile(r"(?P<words>.+?)(?: after (?P<trail>.*))?")
_PASSED = re.compile(r"(?P<step>[^\s:]+)(?:: (?P<answer>yes|no|skipped)(?: by (?P<event>\S+))?)?")


class Passed(NamedTuple):
    """A step that the journey left behind: a wait, answered by an event or not, or one that was skipped."""

    step: str
    answer: bool | None = None
    event: str | None = None
    """What answered a wait with yes."""
    skipped: bool = False


def activity_summary(words: str, trail: Sequence[Passed]) -> str:
    """`email case-study after clicked: yes`. `words` say what is done, without the word "after"."""
    return f"{words}{_after(trail)}"


def wait_summary(step: str, duration: timedelta, trail: Sequence[Passed], latest: str, event: str | None = None) -> str:
    """`activated: until 3 days after welcome, or activated`. `latest` is what an empty trail follows."""
    alternative = f", or {event}" if event else ""
    return f"{step}: until {in_words(duration)}{_after(trail) or f' after {latest}'}{alternative}"


def moment_summary(step: str, moment: datetime, trail: Sequence[Passed], event: str | None = None) -> str:
    """`check-in-day: until 2026-12-01 09:30 UTC after training-tip`."""
    return f"{step}: until {minute(moment)}{_after(trail)}{f', or {event}' if event else ''}"


def read_activity_summary(summary: str) -> list[Passed]:
    """What came before an activity. Raises: ValueError if no step wrote this."""
    found = _ACTIVITY.fullmatch(summary)
    return _read_trail(found["trail"] if found else None)


def read_timer_summary(summary: str) -> tuple[str, list[Passed]]:
    """The step that waits, and what came before, of which some may have been told already.

    Raises: ValueError if no step wrote this.
    """
    if found := _TIMER.fullmatch(summary):
        return found["step"], _read_trail(found["trail"])
    raise ValueError(f"{summary!r} is not the summary of a wait")


def shortened(summary: str) -> str:
    """As much of it as may be."""
    return summary.encode()[:MAX_SUMMARY].decode(errors="ignore")


def minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _after(trail: Sequence[Passed]) -> str:
    return f" after {', '.join(_told(passed) for passed in trail)}" if trail else ""


def _read_trail(told: str | None) -> list[Passed]:
    return [_passed(text) for text in told.split(", ")] if told and told != BEGINNING else []


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
