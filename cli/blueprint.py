"""A new flow before it is written: its first steps with names, and a setting for each of its times."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from cli.failures import CommandFailed
from cli.steps_language import LONGEST_NAME, plain_words
from cli.story import Approval, HandOver, Lifecycle, Message, Question, Score, Story, Task, Wait
from cli.story import each as each_item
from domain.flows import OnEdit

_LONGEST_DESCRIPTION = 95
"""It has to fit into a line."""
_FLOW_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TAKEN_CLASSES = frozenset({"Enrollment", "Exit", "Field", "Flow", "Goal", "Journey", "JourneyStarter", "Outcome"})
_TAKEN_CLASSES |= {"Duration", "FlowSettings", "FlowType", "OnEdit", "Workflow"}


@dataclass(frozen=True)
class Setting:
    """A time; with a `role`, the plan of an approval by it, which expires after that time."""

    name: str
    default: timedelta
    description: str
    role: str | None = None


@dataclass(frozen=True)
class Sent:
    step: str


@dataclass(frozen=True)
class Waited:
    step: str
    setting: Setting


@dataclass(frozen=True)
class Asked:
    """A question whose answer is an event in time or, with a `subject`, an approval of that."""

    step: str
    event: str
    setting: Setting
    yes: Steps
    no: Steps
    subject: str = ""


@dataclass(frozen=True)
class Given:
    """A task."""

    step: str
    subject: str
    role: str
    setting: Setting


@dataclass(frozen=True)
class Done:
    """A verb that takes no time, with the source of what it is given."""

    step: str
    verb: str
    given: str


Timed: TypeAlias = Waited | Asked | Given
Step: TypeAlias = Sent | Timed | Done
Steps: TypeAlias = tuple[Step, ...]
Answers: TypeAlias = Mapping[str, bool]
"""By the step of a question; one that is not named is answered by no."""


@dataclass(frozen=True)
class Blueprint:
    """All that the files of a new flow say."""

    name: str
    title: str
    goal: str
    owner: str
    on_edit: OnEdit
    story: Story
    steps: Steps
    end: str

    @property
    def class_name(self) -> str:
        return class_name(self.name)

    @property
    def messages(self) -> list[str]:
        return [step.step for step in each(self.steps) if isinstance(step, Sent)]

    @property
    def settings(self) -> list[Setting]:
        return [step.setting for step in each(self.steps) if isinstance(step, Timed)]

    @property
    def listens(self) -> list[str]:
        """Events that its questions ask for, besides the goal."""
        events = {step.event for step in each(self.steps) if isinstance(step, Asked) and not step.subject}
        return sorted(events - {self.goal})

    @property
    def roles(self) -> list[str]:
        """Whom it asks."""
        tasks = [step.role for step in each(self.steps) if isinstance(step, Given)]
        return sorted({*tasks, *(setting.role for setting in self.settings if setting.role)})

    @property
    def flows(self) -> list[str]:
        """Whom it hands contacts over to."""
        return [item.flow for item in each_item(self.story) if isinstance(item, HandOver)]

    @property
    def days(self) -> int:
        """How many days it takes at the longest, begun ones too."""
        return math.ceil(_longest(self.steps) / timedelta(days=1))


def drawn_up(name: str, title: str, goal: str, owner: str, on_edit: OnEdit, story: Story) -> Blueprint:
    namer = _Namer(story)
    return Blueprint(name, title, goal, owner, on_edit, story, namer.steps(story), namer.free("series-sent"))


def checked_flow_name(name: str) -> str:
    """Raises: CommandFailed."""
    if not _FLOW_NAME.fullmatch(name):
        words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower())
        mended = "_".join(words)[:LONGEST_NAME].rstrip("_")
        mend = f"write {mended}" if _FLOW_NAME.fullmatch(mended) else "write it like win_back"
        raise CommandFailed(f"{name!r} is no name of a flow, which is in snake_case: {mend}")
    if len(name) > LONGEST_NAME:
        raise CommandFailed(f"{name} has {len(name)} characters: name the flow in {LONGEST_NAME} or less")
    if keyword.iskeyword(name) or class_name(name) in _TAKEN_CLASSES:
        raise CommandFailed(f"{name} means something else in a flow's code: name it more fully, such as {name}_series")
    return name


def class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def each(steps: Steps) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, Asked):
            yield from each(step.yes)
            yield from each(step.no)


def path(steps: Steps, answers: Answers) -> Iterator[Step]:
    """What a contact who answers so comes to, in order."""
    for step in steps:
        yield step
        if isinstance(step, Asked):
            yield from path(step.yes if answers.get(step.step) else step.no, answers)


def ways_to_yes(steps: Steps, on_the_way: Answers | None = None) -> Iterator[tuple[Asked, Answers]]:
    """Each question with the answers that lead a contact to it and through it by yes."""
    before = on_the_way or {}
    for step in steps:
        if isinstance(step, Asked):
            yield step, {**before, step.step: True}
            yield from ways_to_yes(step.yes, {**before, step.step: True})
            yield from ways_to_yes(step.no, before)


def _longest(steps: Steps) -> timedelta:
    total = timedelta(0)
    for step in steps:
        if isinstance(step, Timed):
            total += step.setting.default
        if isinstance(step, Asked):
            total += max(_longest(step.yes), _longest(step.no))
    return total


class _Namer:
    """Gives all other steps names that no message and no other step has.

    A wait is named for the message that it follows, or else for the one that it precedes; a question like its event,
    and when that is asked again also for the message that it is asked of.
    """

    def __init__(self, story: Story) -> None:
        self._steps = set(_message_names(story))
        self._settings: set[str] = set()
        self._latest = ""
        """The latest message on every way to here, if there is one for all."""

    def free(self, *names: str) -> str:
        """The first of these that is free, or else the last with a number; taken from now on."""
        tries = [*names, *(f"{names[-1]}-{number}" for number in range(2, 100))]
        name = next(name for name in tries if name not in self._steps)
        self._steps.add(name)
        return name

    def steps(self, story: Story, since: str = "entering") -> Steps:
        """`since` is what the story comes after, in words."""
        named: list[Step] = []
        for at, item in enumerate(story):
            match item:
                case Message():
                    self._latest = since = item.name
                    named.append(Sent(item.name))
                case Wait():
                    named.append(self._wait(item, story[at - 1 : at], story[at + 1 : at + 2], since))
                case Question():
                    named.append(self._question(item))
                    since = f"{item.event}, or its time-out"
                case Approval():
                    named.append(self._approval(item))
                    since = "the approval, or its end"
                case Task():
                    named.append(self._task(item))
                    since = "the task, or when it was due"
                case Score(points):
                    named.append(Done(self.free("score"), "change_score", str(points)))
                case Lifecycle(stage):
                    named.append(Done(self.free(f"lifecycle-{_kebab(stage)}"), "set_lifecycle", f'"{stage}"'))
                case HandOver(flow):
                    named.append(Done(self.free(f"to-{_kebab(flow)}"), "hand_over", f'"{flow}"'))
        return tuple(named)

    def _wait(self, wait: Wait, before: Story, then: Story, since: str) -> Waited:
        after = [f"after-{item.name}" for item in before if isinstance(item, Message)]
        for item in then:
            if isinstance(item, Message):
                step = self.free(*after, f"before-{item.name}")
                description = f"send {item.name} this long after", since
                return Waited(step, self._setting(f"{item.name}-after", wait.duration, *description))
        step = self.free(*after, "time-to-decide")
        return Waited(step, self._setting(f"pause-{step}", wait.duration, "go on this long after", since))

    def _question(self, asked: Question) -> Asked:
        name = asked.event.replace("_", "-")
        step = self.free(name, *([f"{name}-{self._latest}"] if self._latest else []))
        setting = self._setting(
            f"{step}-within", asked.within, f"wait this long for {asked.event} after", self._latest or "the step before"
        )
        return Asked(step, asked.event, setting, *self._answers(asked, asked.event))

    def _approval(self, asked: Approval) -> Asked:
        first = next((item.name for item in asked.yes if isinstance(item, Message)), None)
        subject = f"Send {first}" if first else f"Go on after {self._latest}" if self._latest else "Go on"
        step = self.free(f"approve-{first}" if first else "approval")
        setting = self._setting(f"{step}-by", asked.within, "who decides, and until when:", subject.lower(), asked.role)
        return Asked(step, asked.role, setting, *self._answers(asked, "the approval"), subject)

    def _answers(self, asked: Question | Approval, event: str) -> tuple[Steps, Steps]:
        before = self._latest
        yes = self.steps(asked.yes, event)
        after_yes, self._latest = self._latest, before
        no = self.steps(asked.no, f"the time-out of {event}")
        self._latest = self._latest if self._latest == after_yes else ""
        return yes, no

    def _task(self, task: Task) -> Given:
        subject = task.subject or "See what this contact needs"
        step = self.free(_kebab(task.subject) if task.subject else f"task-for-{_kebab(task.role)}")
        setting = self._setting(f"{step}-within", task.due, f"{task.role} has this long for the task", f"“{subject}”")
        return Given(step, subject, task.role, setting)

    def _setting(
        self, named: str, default: timedelta, description: str, since: str, role: str | None = None
    ) -> Setting:
        if len(f"{description} {since}") > _LONGEST_DESCRIPTION:
            since = "the step before"
        name = named.replace("-", "_")
        if name.startswith("model_"):  # pydantic's own
            name = f"the_{name}"
        name = next(n for n in (name, *(f"{name}_{number}" for number in range(2, 100))) if n not in self._settings)
        self._settings.add(name)
        return Setting(name, default, f"{description} {since}", role)


def _kebab(text: str) -> str:
    return "-".join(plain_words(text))


def _message_names(story: Story) -> Iterator[str]:
    return (item.name for item in each_item(story) if isinstance(item, Message))
