"""Reads the first steps of a flow as a marketer writes them: `welcome, wait 3 days, tip`.

    story    = step, step, …
    step     = message | wait duration | question | task | deed
    question = event within duration ? answer : answer       the answer yes, then the answer no; either may be left out
               approved by role within duration ? answer : answer
    answer   = step | (story)
    task     = task subject for role within duration         the subject may be left out
    deed     = score +10 | lifecycle stage | hand over to flow

After a question's answers the story goes on in common: `guide, clicked within 3 days? case-study : reminder, wait 7
days, last-call` sends the last call to everybody. `not clicked within 3 days? reminder` asks the other way round.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

from cli.failures import CommandFailed
from cli.story import Approval, HandOver, Item, Lifecycle, Message, Plain, Question, Score, Story, Task, Wait, each
from domain.events import LEAD_OFFERED, LEAVING_EVENTS
from domain.trail import BEGINNING

EXAMPLE = "guide, clicked within 3 days? case-study : reminder, wait 7 days, last-call"
MOST_STEPS = 40
LONGEST_NAME = 40
_LONGEST_WAIT = timedelta(days=730)
_UNITS = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_DURATION = re.compile(rf"(\d{{1,6}}) ?({'|'.join(_UNITS)})s?(?: |$)")
_SIGNS = re.compile(r"([,?:()])")
_EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_APPROVED = re.compile(r"approved? by (?P<role>.+)", re.IGNORECASE)
_TASK = re.compile(r"task (?:(?P<subject>.+) )?for (?P<role>\S+)(?: within (?P<due>.+))?", re.IGNORECASE)
_SCORE = re.compile(r"score ([+-]?[0-9]{1,6})", re.IGNORECASE)
_LIFECYCLE = re.compile(r"lifecycle (.+)", re.IGNORECASE)
_HAND_OVER = re.compile(r"hand over to (.+)", re.IGNORECASE)


def read_steps(text: str, goal: str) -> Story:
    """Read a story, of a flow with this goal. Raises: CommandFailed."""
    story = _Reader(text).read()
    items = list(each(story))
    messages = [item.name for item in items if isinstance(item, Message)]
    if not messages:
        raise _wrong(text, "no message is sent", "name one: welcome, wait 3 days, tip")
    if not any(isinstance(item, Wait | Task | Question | Approval) for item in items):
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
    """Raises: CommandFailed for what is no name of an event, or means something to Cauce itself."""
    event = _snake_case(text, "an event", "demo_requested")
    if event in LEAVING_EVENTS:
        raise CommandFailed(f"{event} ends every enrollment at once, in any flow: name what contacts should do instead")
    if event == LEAD_OFFERED:
        raise CommandFailed(f"{event} is what Cauce tells a lead in the queue: name what contacts do")
    return event


def role_name(text: str) -> str:
    """Raises: CommandFailed."""
    return _snake_case(text, "a role", "sales_manager")


def _snake_case(text: str, what: str, example: str) -> str:
    text = text.strip()
    if not _EVENT.fullmatch(text) or len(text) > LONGEST_NAME:
        mended = "_".join(plain_words(text))[:LONGEST_NAME].rstrip("_")
        mend = f"write {mended}" if _EVENT.fullmatch(mended) else f"write it like {example}"
        raise CommandFailed(f"{text!r} is no name of {what}, which is in snake_case: {mend}")
    return text


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

    def _item(self) -> Item:
        words = self._said()
        if self._next == "?":
            self._left.pop(0)
            return self._question(words)
        return self._plain(words)

    def _plain(self, words: str) -> Plain:
        if deed := self._deed(words):
            return deed
        if found := _APPROVED.fullmatch(words):
            role = found["role"].partition(" ")[0]
            mend = f"ask with a question mark: approved by {role} within 3 days? offer : reminder"
            raise _wrong(self._text, f"{words} is not asked", mend)
        if " within " in words:
            mend = f"ask with a question mark: {words}? case-study : reminder"
            raise _wrong(self._text, f"{words} is not asked", mend)
        if words.lower().startswith("wait ") or words.lower() == "wait":
            return Wait(self._duration(words[5:], words))
        return Message(self._message(words))

    def _deed(self, words: str) -> Task | Score | Lifecycle | HandOver | None:
        if found := _TASK.fullmatch(words):
            if found["due"] is None:
                raise _wrong(self._text, f"{words} is never due", f"say when: {words} within 2 days")
            return Task(self._subject(found["subject"]), role_name(found["role"]), self._duration(found["due"], words))
        if found := _SCORE.fullmatch(words):
            return Score(int(found[1]))
        if found := _LIFECYCLE.fullmatch(words):
            return Lifecycle(_snake_case(found[1], "a lifecycle stage", "sales_accepted"))
        if found := _HAND_OVER.fullmatch(words):
            return HandOver(_snake_case(found[1], "a flow", "lead_assignment"))
        return None

    def _subject(self, words: str | None) -> str | None:
        if words is None:
            return None
        if len(words) > LONGEST_NAME or not words.isprintable() or set(words) & set('"\\'):
            mend = f"say it in {LONGEST_NAME} characters or less, without quotes and backslashes"
            raise _wrong(self._text, f"the task {words!r} cannot stand in code as it is", mend)
        self._message(words)  # it becomes the step's name
        return words[0].upper() + words[1:]

    def _question(self, words: str) -> Question | Approval:
        event, within, duration = words.partition(" within ")
        if not within:
            mend = f"say how long: {words} within 3 days?"
            raise _wrong(self._text, f"{words}? waits without an end", mend)
        negated = event.lower().startswith("not ")
        event = event[4:] if negated else event
        if _TASK.fullmatch(words):
            raise _wrong(self._text, f"{words} is a task, and no question", "leave the question mark out")
        approved = _APPROVED.fullmatch(event)
        name = role_name(approved["role"]) if approved else event_name(event)
        first = self._answer()
        second: Story = ()
        if self._next == ":":
            self._left.pop(0)
            second = self._answer()
        if not first + second:
            mend = "write what follows: clicked within 3 days? case-study : reminder"
            raise _wrong(self._text, f"{words}? has no answer", mend)
        yes, no = (second, first) if negated else (first, second)
        kind = Approval if approved else Question
        return kind(name, self._duration(duration, words), yes, no)

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
        name = "-".join(plain_words(words.removeprefix("send ")))
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


def plain_words(text: str) -> list[str]:
    """What of a text may stand in a name, in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.findall(r"[a-z0-9]+", plain.lower())


def _wrong(text: str, what: str, mend: str) -> CommandFailed:
    return CommandFailed(f"the steps {text.strip()!r}: {what}: {mend}")
