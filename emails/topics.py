"""Subscription topics: what contacts may agree to get email about, and to which text.

emails/topics.toml             those of the project
emails/<flow>/topics.toml      those of one flow, beside them

[newsletter]
wording = "2026-11"            version of what people agree to
purpose = "…"                  what the emails are for, as the record of a consent says it
public = true                  whether the preference page offers it to everybody
[newsletter.en]                and the same in es
title = "Newsletter"
description = "…"
agreement = "I want to get …"
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StrictBool, StringConstraints, TypeAdapter, ValidationError

from domain.contacts import Topic

EMAILS = Path(__file__).parent
FILE = "topics.toml"
_NAME: TypeAdapter[str] = TypeAdapter(Topic)
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class TopicText(BaseModel):
    """What people read of a topic; `agreement` is what they agree to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: _Text
    description: _Text
    agreement: _Text


class SubscriptionTopic(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    wording: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    purpose: _Text
    public: StrictBool
    en: TopicText
    es: TopicText

    def text(self, language: Literal["en", "es"]) -> TopicText:
        return self.en if language == "en" else self.es


class TopicsError(Exception):
    """Topics that nobody can agree to. `problems` are lines that each name a file and what to do."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Topics(Mapping[str, SubscriptionTopic]):
    """By name, in the order of the files: those of the project first. Faulty ones are left out."""

    def __init__(self, root: Path = EMAILS) -> None:
        self._root = root
        self._sound: dict[str, SubscriptionTopic] = {}
        self._described: dict[str, str] = {}
        """The file that describes a topic, soundly or not."""
        self._problems: dict[str, list[str]] = {}
        """By file."""
        for path in (root / FILE, *sorted(root.glob(f"*/{FILE}"))):
            self._read(path)

    @classmethod
    def load(cls, root: Path = EMAILS) -> Topics:
        """Raises: TopicsError, with every problem at once."""
        topics = cls(root)
        if problems := [problem for of_file in topics._problems.values() for problem in of_file]:
            raise TopicsError(problems)
        return topics

    def __getitem__(self, name: str) -> SubscriptionTopic:
        return self._sound[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sound)

    def __len__(self) -> int:
        return len(self._sound)

    def problems_of(self, name: str, message: Path) -> list[str]:
        """Why the message whose message.toml this is cannot be about this topic, and what its flow's file has wrong."""
        shared, own = self._seen(self._root / FILE), self._seen(message.parents[1] / FILE)
        problems = list(self._problems.get(own, ()))
        if name not in self._sound:
            problems += self._problems.get(self._described.get(name, shared), ())
        if not problems and name not in self._sound:
            known = ", ".join(self._sound) or "none yet"
            mend = f"describe it in {shared} or {own}, or name one that is ({known})"
            problems.append(f"{self._seen(message)} is about {name}, which is not described as a topic: {mend}")
        return problems

    def _read(self, path: Path) -> None:
        file = self._seen(path)
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except UnicodeDecodeError:
            self._report(file, "is not UTF-8: save it as UTF-8")
        except tomllib.TOMLDecodeError as error:
            self._report(file, f"is not valid TOML ({error}): mend it there")
        else:
            for name, table in tables.items():
                self._add(file, name, table)

    def _add(self, file: str, name: str, table: Any) -> None:
        if (other := self._described.get(name)) is not None:
            self._report(file, f"describes {name}, which {other} describes too: delete one of the two")
            return
        self._described[name] = file
        try:
            self._sound[_NAME.validate_python(name)] = SubscriptionTopic.model_validate(table)
        except ValidationError as error:
            for detail in error.errors():
                entry = ".".join(map(str, (name, *detail["loc"])))
                self._report(file, f"has a wrong {entry} ({detail['msg']}): mend the entry")

    def _report(self, file: str, problem: str) -> None:
        self._problems.setdefault(file, []).append(f"{file} {problem}")

    def _seen(self, path: Path) -> str:
        """As seen from the project."""
        return path.relative_to(self._root.parent).as_posix()
