"""What the first steps of a new flow are, as they were told: without names of steps and settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias


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


@dataclass(frozen=True)
class Approval:
    """People in a role are asked, who may let it expire."""

    role: str
    within: timedelta
    yes: Story
    no: Story


@dataclass(frozen=True)
class Task:
    subject: str | None
    role: str
    due: timedelta


@dataclass(frozen=True)
class Score:
    points: int


@dataclass(frozen=True)
class Lifecycle:
    stage: str


@dataclass(frozen=True)
class HandOver:
    flow: str


Plain: TypeAlias = Message | Wait | Task | Score | Lifecycle | HandOver
Item: TypeAlias = Plain | Question | Approval
Story: TypeAlias = tuple[Item, ...]


def each(story: Story) -> Iterator[Item]:
    for item in story:
        yield item
        if isinstance(item, Question | Approval):
            yield from each(item.yes)
            yield from each(item.no)
