"""Reads the messages of a folder, compiles them, and tells what is wrong as far as no flow's settings decide it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jinja2
import mjml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from domain.broadcasts import FLOW as BROADCAST
from domain.contacts import DEFAULT_LOCALE, Locale, Topic
from domain.messages import MessageClass
from emails.jinja_source import (
    HTML,
    SEEN_FOR_CONTACTS,
    SEEN_FOR_PEOPLE,
    SUBJECT,
    jinja_problems,
    opt_out_problems,
    people_problems,
    subject_problems,
)
from emails.mjml_source import Source, body_problems, expanded, included, loading_problems
from emails.topics import Topics

LAYOUT = "layout"
"""The folder of the parts that messages share."""
PEOPLE = "people"
"""The folder of the messages to people of the team."""
NO_FLOWS = frozenset({LAYOUT, PEOPLE, BROADCAST})
"""Folders that no flow has, and so names that no flow can have."""
_LOCALE: TypeAdapter[str] = TypeAdapter(Locale)


class MessageType(BaseModel):
    """What `message.toml` says: the class of a message, and the topic that a contact may opt in to or out of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_class: MessageClass = Field(alias="class")
    topic: Topic


class Compiled(NamedTuple):
    """A message in one locale. The sources are the Jinja that the templates were compiled from."""

    subject: jinja2.Template
    html: jinja2.Template
    subject_source: str
    html_source: str


@dataclass
class Message:
    """A message as read. It can be sent if `type` is known and there are no `problems`."""

    type: MessageType | None = None
    by_locale: dict[str, Compiled] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_messages(root: Path, only: str | None = None) -> dict[tuple[str, str], Message]:
    """Read every message below `root`, or those of one flow, by flow and message.

    Those to people of the team are as of a flow `people`.
    """
    folders = [message for flow in _folders(root) if flow.name != LAYOUT for message in _folders(flow)]
    locales = {locale.name for message in folders for locale in _folders(message)}
    # A region falls back to its language, so a message may do without it.
    required = {DEFAULT_LOCALE} | {locale.partition("-")[0] for locale in locales if _is_locale(locale)}
    wanted = [folder for folder in folders if only in (None, folder.parent.name)]
    topics = Topics(root)
    return {(folder.parent.name, folder.name): _Reader(root, topics).read(folder, required) for folder in wanted}


class _Reader:
    def __init__(self, root: Path, topics: Topics) -> None:
        self._root = root
        self._topics = topics
        self._message = Message()
        self._to_people = False

    def read(self, folder: Path, required: set[str]) -> Message:
        path = folder / "message.toml"
        kind = self._message.type = self._type(path)
        has_opt_out = kind is not None and kind.message_class is not MessageClass.TRANSACTIONAL
        if folder.parent.name == PEOPLE:
            self._to_people = True
            if has_opt_out:
                self._report(path, "is of another class than transactional, as mails to people are: mend the entry")
        elif kind and has_opt_out:
            self._message.problems += self._topics.problems_of(kind.topic, path)
        found = {locale.name for locale in _folders(folder)}
        for name in sorted(found | required):
            if name not in found:
                self._report(folder / name, f"is missing: write the message in {name}")
            elif not _is_locale(name):
                self._report(folder / name, "is not named as a locale: rename it, like es or es-CL")
            else:
                self._read_locale(folder / name)
        return self._message

    def _read_locale(self, folder: Path) -> None:
        subject = self._source(folder / "subject.txt")
        body = self._source(folder / "body.mjml")
        if not (subject and body):
            return
        parts = self._parts(folder.name)
        sources = [subject, body, *included(body, parts)]
        problems = subject_problems(subject) + body_problems(body, folder.name, parts)
        for source in sources:
            problems += _jinja_problems(source, to_people=self._to_people)
        self._message.sources += sources
        self._message.problems += problems
        if not problems and (html := self._html(body, parts)):
            line = subject.text.strip()
            self._message.by_locale[folder.name] = Compiled(SUBJECT.from_string(line), html[0], line, html[1])

    def _html(self, body: Source, parts: dict[str, Source]) -> tuple[jinja2.Template, str] | None:
        try:
            html = mjml.mjml2html(expanded(body, parts), fonts={})
            template = HTML.from_string(html)
        except ValueError as error:
            fault = f"{body.file} is not valid MJML ({error}): look for a bare < or a tag that is never closed"
            self._message.problems.append(fault)
            return None
        except jinja2.TemplateSyntaxError as error:
            fault = f"{body.file} is not valid Jinja once compiled ({error.message}): keep quotes out of attributes"
            self._message.problems.append(fault)
            return None
        self._message.problems += loading_problems(body.file, html)
        if self._message.type and self._message.type.message_class is not MessageClass.TRANSACTIONAL:
            self._message.problems += opt_out_problems(body.file, html)
        return template, html

    def _parts(self, locale: str) -> dict[str, Source]:
        """Only these can be included, by file name: no path leads out of the layout."""
        layout = self._root / LAYOUT
        paths = [*sorted(layout.glob("*.mjml")), *sorted((layout / locale).glob("*.mjml"))]
        return {path.name: source for path in paths if (source := self._source(path))}

    def _type(self, path: Path) -> MessageType | None:
        source = self._source(path)
        if source is None:
            return None
        try:
            return MessageType.model_validate(tomllib.loads(source.text))
        except tomllib.TOMLDecodeError as error:
            self._report(path, f"is not valid TOML ({error}): mend it there")
        except ValidationError as error:
            for detail in error.errors():
                entry = ".".join(map(str, detail["loc"]))
                self._report(path, f"has a wrong {entry} ({detail['msg']}): mend the entry")
        return None

    def _source(self, path: Path) -> Source | None:
        try:
            return Source(path_in_project(self._root, path), path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._report(path, "is missing: add it")
        except UnicodeDecodeError:
            self._report(path, "is not UTF-8: save it as UTF-8")
        return None

    def _report(self, path: Path, problem: str) -> None:
        self._message.problems.append(f"{path_in_project(self._root, path)} {problem}")


def path_in_project(root: Path, path: Path) -> str:
    """Write a path below the folder of templates as seen from the project: `emails/onboarding/tip`."""
    return path.relative_to(root.parent).as_posix()


@lru_cache  # most of what is read are parts that messages share
def _jinja_problems(source: Source, *, to_people: bool) -> tuple[str, ...]:
    if to_people:
        return (*jinja_problems(source, SEEN_FOR_PEOPLE), *people_problems(source))
    return tuple(jinja_problems(source, SEEN_FOR_CONTACTS))


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def _is_locale(name: str) -> bool:
    try:
        _LOCALE.validate_python(name)
    except ValidationError:
        return False
    return True
