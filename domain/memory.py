"""What an enrollment remembers of its journey, and how it comes through a change of the flow's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID, uuid5

from pydantic import BaseModel, Field, JsonValue

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
    finished: dict[str, JsonValue] = Field(default_factory=dict, description="result by step, in order of finishing")
    waiting: dict[str, datetime] = Field(
        default_factory=dict, description="begun and not finished: since when, by step"
    )
    skipped: list[str] = Field(default_factory=list, description="steps inserted where the contact had passed")
    unheard: list[Happening] = Field(default_factory=list, description="arrived, and no wait has taken it yet")
    seen: list[str] = Field(
        default_factory=list, description="ids of events that arrived: a second delivery is ignored"
    )

    def knows(self, step: str) -> bool:
        return step in self.finished or step in self.waiting or step in self.skipped

    def renamed(self, names: Mapping[str, str]) -> Memory:
        """The same memory under the steps' present names."""

        def now(step: str) -> str:
            return present_name(step, names)

        return self.model_copy(
            update={
                "finished": {now(step): result for step, result in self.finished.items()},
                "waiting": {now(step): since for step, since in self.waiting.items()},
                "skipped": [now(step) for step in self.skipped],
            }
        )


def present_name(step: str, renamed: Mapping[str, str]) -> str:
    """What a step is called now, after one renaming or several in a row."""
    for _ in renamed:
        step = next((name for old, new in renamed.items() if (name := _translated(step, old, new))), step)
    return step


def former_names(step: str, renamed: Mapping[str, str]) -> list[str]:
    """What a step may have been called before."""
    names: list[str] = []
    ahead = [step]
    while ahead:
        name = ahead.pop()
        for old, new in renamed.items():
            if (former := _translated(name, new, old)) and former not in names:
                names.append(former)
                ahead.append(former)
    return names


def _translated(step: str, old: str, new: str) -> str | None:
    """The new name of a step that has the old one; in names of a loop's steps, `tip-{week}`, the key is kept."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(old))
    found = re.fullmatch(pattern, step)
    return new.format_map(found.groupdict()) if found else None
