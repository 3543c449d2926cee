"""Reads the first steps of a flow as a marketer writes them: `welcome, wait 3 days, tip`.

    story    = step, step, …
    step     = message | wait duration | question
    question = event within duration ? answer : answer       the answer yes, then the answer no; either may be left out
    answer   = step | (story)

After a question's answers the story goes on in common: `guide, clicked within 3 days? case-study : reminder, wait 7
days, last-call` sends the last call to everybody. `not clicked within 3 days? reminder` asks the other way round.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from cli.failures import CommandFailed
from domain.events import LEAVING_EVENTS
from domain.trail import BEGINNING

EXAMPLE = "guide, clicked within 3 days? case-study : reminder, wait 7 days, last-call"
MOST_STEPS = 40
LONGEST_NAME = 40
_LONGEST_WAIT = timedelta(days=730)
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_DURATION = re.compile(rf"(\d{{1,6}}) ?({'|'.join(_UNITS)})s?(?: |$)")
_SIGNS = re.compile(r"([,?:()])")
_EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True)
class Message:
    name: str


@dataclass(frozen=True)
class Wait:
    duration: timedelta


@dataclass(frozen=True)
class Question:
    event: str
    within: timedelta
    yes: Story
    no: Story


Story: TypeAlias = tuple[Message | Wait | Question, ...]


def read_steps(text: str, goal: str) -> Story:
    """Read a story, of a flow with this goal. Raises: CommandFailed."""
    story = _Reader(text).read()
    items = list(_each(story))
    messages = [item.name for item in items if isinstance(item, Message)]
    if not messages:
        raise _wrong(text, "no message is sent", "name one: welcome, wait 3 days, tip")
    if len(messages) == len(items):
        mend = "add a wait: welcome, wait 3 days, tip"
        raise _wrong(text, "nobody waits in it, so nobody could leave it either", mend)
    if len(items) > MOST_STEPS:
        raise _wrong(text, f"{len(items)} steps are too many", f"begin with {MOST_STEPS} at the most")
    for name in messages:
        if messages.count(name) > 1:
            raise _wrong(text, f"{name} comes twice", f"give the second a name of its own, such as {name}-2")
    for item in items:
        if isinstance(item, Question) and item.event == goal and item.yes:
            what = f"{goal} is the goal, and reaching it ends the flow at once: nothing comes after yes"
            raise _wrong(text, what, f"leave that answer out: {goal} within 3 days? : reminder")
    return story


def event_name(text: str) -> str:
    """Raises: CommandFailed for what is no name of an event, or means that contacts leave."""
    text = text.strip()
    if not _EVENT.fullmatch(text) or len(text) > LONGEST_NAME:
        mended = "_".join(_words(text))[:LONGEST_NAME].rstrip("_")
        mend = f"write {mended}" if _EVENT.fullmatch(mended) else "write it like demo_requested"
        raise CommandFailed(f"{text!r} is no name of an event, which is in snake_case: {mend}")
    if text in LEAVING_EVENTS:
        raise CommandFailed(f"{text} ends every enrollment at once, in any flow: name what contacts should do instead")
    return text


def _each(story: Story) -> Iterator[Message | Wait | Question]:
    for item in story:
        yield item
        if isinstance(item, Question):
            yield from _each(item.yes)
            yield from _each(item.no)


class _Reader:
    """Goes through a text once, sign by sign: `,`, `?`, `:`, brackets, and the words between them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._left = [part for piece in _SIGNS.split(text) if (part := " ".join(piece.split()))]

    def read(self) -> Story:
        story = self._story()
        if self._left:
            raise self._unexpected()
        return story

    def _story(self) -> Story:
        items = [self._item()]
        while self._next == ",":
            self._left.pop(0)
            items.append(self._item())
            if isinstance(items[-2], Wait) and isinstance(items[-1], Wait):
                raise _wrong(self._text, "two waits follow each other", "write one: wait 2 weeks")
        return tuple(items)

    def _item(self) -> Message | Wait | Question:
        words = self._said()
        if self._next == "?":
            self._left.pop(0)
            return self._question(words)
        return self._plain(words)

    def _plain(self, words: str) -> Message | Wait:
        if " within " in words:
            mend = f"ask with a question mark: {words}? case-study : reminder"
            raise _wrong(self._text, f"{words} is not asked", mend)
        if words.lower().startswith("wait ") or words.lower() == "wait":
            return Wait(self._duration(words[5:], words))
        return Message(self._message(words))

    def _question(self, words: str) -> Question:
        event, within, duration = words.partition(" within ")
        if not within:
            mend = f"say how long: {words} within 3 days?"
            raise _wrong(self._text, f"{words}? waits without an end", mend)
        negated = event.lower().startswith("not ")
        event = event_name(event[4:] if negated else event)
        first = self._answer()
        second: Story = ()
        if self._next == ":":
            self._left.pop(0)
            second = self._answer()
        if not first + second:
            mend = "write what follows: clicked within 3 days? case-study : reminder"
            raise _wrong(self._text, f"{words}? has no answer", mend)
        yes, no = (second, first) if negated else (first, second)
        return Question(event, self._duration(duration, words), yes, no)

    def _answer(self) -> Story:
        if self._next in ("", ",", ":", ")"):
            return ()
        if self._next != "(":
            words = self._said()
            if self._next == "?":
                raise _wrong(self._text, f"{words}? is asked within an answer", f"put it in brackets: ({words}? …)")
            return (self._plain(words),)
        self._left.pop(0)
        story = self._story()
        if self._next != ")":
            raise self._unexpected("a bracket that is opened and not closed", "close it by )")
        self._left.pop(0)
        return story

    @property
    def _next(self) -> str:
        return self._left[0] if self._left else ""

    def _said(self) -> str:
        if not self._next or _SIGNS.fullmatch(self._next):
            raise self._unexpected()
        return self._left.pop(0)

    def _unexpected(self, what: str = "", mend: str = "") -> CommandFailed:
        what = what or (f"{self._next} stands where a step should" if self._next else "it ends where a step should be")
        return _wrong(self._text, what, mend or f"write steps with commas between them: {EXAMPLE}")

    def _message(self, words: str) -> str:
        name = "-".join(_words(words.removeprefix("send ")))
        if duration := _DURATION.search(words):
            raise _wrong(self._text, f"{words} is no message", f"write wait {duration[0].strip()}")
        if not name or not name[0].isalpha():
            mend = "begin it with a letter: tip-2"
            raise _wrong(self._text, f"{words} is no name of a message", mend)
        if len(name) > LONGEST_NAME:
            mend = f"name it in {LONGEST_NAME} characters or less"
            raise _wrong(self._text, f"the message {name} has a long name", mend)
        if name == BEGINNING:
            raise _wrong(self._text, f"{name} is what the beginning of every flow is called", "name it otherwise")
        return name

    def _duration(self, text: str, where: str) -> timedelta:
        text = re.sub(r"^an? ", "1 ", text.strip().lower())
        found, end = timedelta(0), 0
        while part := _DURATION.match(text, end):
            found += int(part[1]) * timedelta(seconds=_UNITS[part[2]])
            end = part.end()
        if not text or end != len(text):
            units = ", ".join(f"{unit}s" for unit in _UNITS)
            mend = f"write a number and {units}: 3 days, 1 day 12 hours"
            raise _wrong(self._text, f"in {where!r}, {text or 'nothing'} is no duration", mend)
        if not timedelta(0) < found <= _LONGEST_WAIT:
            raise _wrong(self._text, f"{where!r} is out of bounds", "wait between a minute and 730 days")
        return found


def _words(text: str) -> list[str]:
    """What of a text may stand in a name, in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.findall(r"[a-z0-9]+", plain.lower())


def _wrong(text: str, what: str, mend: str) -> CommandFailed:
    return CommandFailed(f"the steps {text.strip()!r}: {what}: {mend}")
