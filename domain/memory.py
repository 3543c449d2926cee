"""What an enrollment remembers of its journey, and how it comes through a change of the flow's code."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID, uuid5

from pydantic import BaseModel, Field, JsonValue

from domain.questions import Answer

_EVENTS = UUID("4d5f1c1e-7a0b-5c8e-9a53-0c5f2f6b8d11")


class Happening(BaseModel):
    """An event as a workflow learns of it. The sender's id may name a person, so a digest of it stands here."""

    id: str
    name: str

    @classmethod
    def of(cls, event_id: str, name: str) -> Happening:
        return cls(id=str(uuid5(_EVENTS, event_id)), name=name)


class Memory(BaseModel):
    """What an enrollment takes along when its run continues as new, on the same code or on another."""

    entered_at: datetime
    build: str | None = Field(
        default=None, exclude_if=operator.not_, description="of the flow's code, that the enrollment began on"
    )
    finished: dict[str, JsonValue] = Field(default_factory=dict, description="result by step, in order of finishing")
    waiting: dict[str, datetime] = Field(
        default_factory=dict, description="begun and not finished: since when, by step"
    )
    skipped: list[str] = Field(default_factory=list, description="steps inserted where the contact had passed")
    unheard: list[Happening] = Field(default_factory=list, description="arrived, and no wait has taken it yet")
    seen: list[str] = Field(
        default_factory=list, description="ids of events that arrived: a second delivery is ignored"
    )

    renamed: dict[str, str] = Field(
        default_factory=dict,
        exclude_if=operator.not_,
        description="new names of steps by old ones: of every version that the enrollment came through",
    )

    left: list[str] = Field(
        default_factory=list,
        exclude_if=operator.not_,
        description="waits that an edit took from under the contact",
    )
    answers: list[Answer] = Field(
        default_factory=list, exclude_if=operator.not_, description="what people answered, in order"
    )
    held_since: datetime | None = Field(default=None, exclude_if=operator.not_, description="None: not held")

    def name_of(self, step: str, named: Collection[str] = ()) -> str | None:
        """The name under which a step is remembered: its own or one that it had before or after; None if it is not.

        `named` are steps of the code at hand: what has one of their names is theirs.
        """
        others = (name for name in other_names(step, self.renamed) if name not in named)
        known = (self.finished, self.waiting, self.skipped, self.left)
        return next((name for name in (step, *others) if any(name in steps for steps in known)), None)

    def begin(self, step: str, now: datetime, named: Collection[str] = ()) -> datetime:
        """The contact is at a step; answer since when. A wait that they were at before, and is not over, is left.

        At a part of a step, `approve-offer/stage-1/remind-1`, the contact is at `approve-offer/stage-1` and at
        `approve-offer` too. From a step that is done once more they come back to where they were.
        """
        names = [self.name_of(above, named) or above for above in _from_the_whole(step)]
        whole = names[0]
        same = {whole, *other_names(whole, self.renamed)}
        for other in [waited for waited in self.waiting if whole_of(waited) not in same and whole not in self.finished]:
            del self.waiting[other]
            self.left.append(other)
        return [self.waiting.setdefault(name, now) for name in names][-1]

    def finish(self, step: str, result: JsonValue, named: Collection[str] = ()) -> None:
        name = self.name_of(step, named) or step
        parts = (f"{name}/", f"{step}/")
        for waited in [waited for waited in self.waiting if waited == name or waited.startswith(parts)]:
            del self.waiting[waited]
        self.finished.pop(step, None)
        self.finished[step] = result

    def hold(self, now: datetime) -> None:
        self.held_since = self.held_since or now

    def clock(self, moment: datetime) -> datetime:
        """A moment as the contact's waits count it: a hold stops their clock."""
        return min(moment, self.held_since or moment)

    def resume(self, now: datetime) -> None:
        """Go on: the time while the contact was held does not count for what they wait for."""
        if self.held_since is not None:
            held = now - self.held_since
            self.waiting = {step: since + held for step, since in self.waiting.items()}
            self.held_since = None

    def under(self, renamed: Mapping[str, str]) -> Memory:
        """A copy that knows these renamings too."""
        return self.model_copy(deep=True, update={"renamed": {**self.renamed, **renamed}})


def whole_of(step: str) -> str:
    """The step of the journey that a step is, or is a part of."""
    return step.partition("/")[0]


def _from_the_whole(step: str) -> list[str]:
    """A step of the journey, each part of it that a part belongs to, and that part itself."""
    parts = step.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def present_name(step: str, renamed: Mapping[str, str]) -> str:
    """What a step is called now, after one renaming or several in a row."""
    for _ in renamed:
        step = next((name for old, new in renamed.items() if (name := _translated(step, old, new))), step)
    return step


def other_names(step: str, renamed: Mapping[str, str]) -> list[str]:
    """What a step was called before and, for code that is older than a renaming, what it was called later."""
    names = [step]
    for name in names:
        for old, new in renamed.items():
            names += [
                other
                for other in (_translated(name, new, old), _translated(name, old, new))
                if other and other not in names
            ]
    return names[1:]


def _translated(step: str, old: str, new: str) -> str | None:
    """The new name of a step that has the old one; the key of a loop's step, `tip-{week}`, and what part of a step it
    is, are kept."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(old))
    found = re.fullmatch(rf"{pattern}(?P<part_>/.*)?", step)
    return new.format_map(found.groupdict()) + (found["part_"] or "") if found else None
