"""Writes out the files of a new flow, as text: the flow, its messages in each locale, its test."""

from __future__ import annotations

import tomllib
from collections.abc import Container, Iterable, Iterator
from datetime import timedelta
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cli.blueprint import (
    Answers,
    Asked,
    Blueprint,
    Done,
    Given,
    Sent,
    Setting,
    Steps,
    Timed,
    Waited,
    each,
    path,
    ways_to_yes,
)
from domain.contacts import DEFAULT_LOCALE
from domain.events import LEAVING_EVENTS

_SCAFFOLD = Path(__file__).parent / "scaffold"
_TARGET = 0.2
"""A guess to begin with, like the times."""
_LONGEST_TEST_NAME = 100
"""It has to fit into a line."""
# Delimiters of its own: what is written are Jinja templates among other things.
_FILES = Environment(
    loader=FileSystemLoader(_SCAFFOLD, encoding="utf-8"),
    undefined=StrictUndefined,
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    trim_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 (it is source text)
)


class FlowTest(NamedTuple):
    """A test of a flow: its name, and what a contact lives through."""

    name: str
    lines: list[str]


def scaffolded(flow: Blueprint, topics: Container[str] = ()) -> dict[str, str]:
    """Each file's text, by its path from the project's root. `topics` are described already."""
    emails = f"emails/{flow.name}"
    files = {f"workflows/{flow.name}.py": _flow(flow), f"tests/flows/test_{flow.name}.py": _tests(flow)}
    if flow.roles:
        languages = [locale for locale in _all_texts() if locale != DEFAULT_LOCALE]
        files[f"{emails}/words.toml"] = _written("words.toml", texts=_said_to_people(flow), languages=languages)
    if flow.name not in topics:
        files[f"{emails}/topics.toml"] = _topics(flow)
    for message in flow.messages:
        files[f"{emails}/{message}/message.toml"] = _written("message.toml", topic=flow.name)
        for locale, texts in _texts(message).items():
            files[f"{emails}/{message}/{locale}/subject.txt"] = _written("subject.txt", **texts)
            files[f"{emails}/{message}/{locale}/body.mjml"] = _written("body.mjml", locale=locale, **texts)
    return files


def _topics(flow: Blueprint) -> str:
    """One of the flow's own: nobody who agreed to something else is taken to agree to this."""
    locales = {
        locale: {entry: text.replace("{title}", flow.title) for entry, text in texts["topic"].items()}
        for locale, texts in _all_texts().items()
    }
    return _written("topics.toml", topic=flow.name, purpose=flow.title, locales=locales)


def _said_to_people(flow: Blueprint) -> list[str]:
    subjects = [step.subject for step in each(flow.steps) if isinstance(step, Asked | Given) and step.subject]
    return list(dict.fromkeys([flow.title, *subjects]))


def _written(template: str, **values: object) -> str:
    return _FILES.get_template(f"{template}.jinja").render(values)


def _flow(flow: Blueprint) -> str:
    return _written(
        "flow.py",
        name=flow.name,
        class_name=flow.class_name,
        title=flow.title,
        goal=flow.goal,
        target=_TARGET,
        days=flow.days,
        owner=flow.owner,
        on_edit=flow.on_edit,
        listens=flow.listens,
        settings=[(setting, *_typed(setting)) for setting in flow.settings],
        asks=_imported_of_questions(flow),
        journey=[*_journey(flow.steps), f'self.finish("{flow.end}")'],
        quoted=_quoted,
    )


def _typed(setting: Setting) -> tuple[str, str]:
    """Type and default of a setting, in source."""
    if setting.role is None:
        return "Duration", _duration(setting.default)
    stages = f'(Stage(asks=(Asked(role="{setting.role}"),)),)'
    return "ApprovalPlan", f"ApprovalPlan(stages={stages}, expires_after={_duration(setting.default)})"


def _imported_of_questions(flow: Blueprint) -> list[str]:
    plans = ["ApprovalPlan", "Stage"] if any(setting.role for setting in flow.settings) else []
    return sorted({*plans, *(["Asked"] if flow.roles else [])})


def _journey(steps: Steps) -> Iterator[str]:
    for step in steps:
        match step:
            case Sent(name):
                yield f'await self.send("{name}")'
            case Waited(name, setting):
                yield f'await self.wait("{name}", self.settings.{setting.name})'
            case Given(name, subject, role, setting):
                whom = f'to=Asked(role="{role}"), due=self.settings.{setting.name}'
                yield f'await self.task("{name}", "{subject}", {whom})'
            case Done(name, verb, given):
                yield f'await self.{verb}("{name}", {given})'
            case Asked():
                yield from _question(step)


def _question(asked: Asked) -> Iterator[str]:
    event = "" if asked.step == asked.event else f', event="{asked.event}"'
    answer = f'await self.happened("{asked.step}"{event}, within=self.settings.{asked.setting.name})'
    if asked.subject:
        answer = (
            f'(await self.ask("{asked.step}", "{asked.subject}", plan=self.settings.{asked.setting.name})).approved'
        )
    yield f"if {answer}:" if asked.yes else f"if not {answer}:"
    yield from _indented(_journey(asked.yes or asked.no))
    if asked.yes and asked.no:
        yield "else:"
        yield from _indented(_journey(asked.no))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _tests(flow: Blueprint) -> str:
    all_questions = ways_to_yes(flow.steps)
    questions = [(asked, answers) for asked, answers in all_questions if asked.subject or asked.event != flow.goal]
    whole = "a_contact_who_never_answers_gets_the_series_to_its_end" if questions else "a_contact_gets_the_whole_series"
    tests = [FlowTest(f"test_{whole}", _lived(flow, {}))]
    for asked, answers in questions:
        tests.append(FlowTest(_told(asked), _lived(flow, answers)))
    before = takewhile(lambda step: not isinstance(step, Timed), path(flow.steps, {}))
    at_first = [step.step for step in before if isinstance(step, Sent)]
    return _written(
        "test_flow.py",
        name=flow.name,
        class_name=flow.class_name,
        goal=flow.goal,
        roles=_quoted(flow.roles),
        tests=tests,
        at_first=_inbox(at_first),
        leaving=LEAVING_EVENTS,
        long_after=flow.days + 365,
    )


def _told(asked: Asked) -> str:
    name = f"test_{asked.step}_{'granted' if asked.subject else 'in_time'}"
    for steps, verb in ((asked.yes, "leads_to"), (asked.no, "spares")):
        first = next((step.step for step in each(steps) if isinstance(step, Sent)), None)
        if first and len(longer := f"{name}_{verb}_{first}") < _LONGEST_TEST_NAME:
            name = longer
            break
    return name.replace("-", "_")


def _lived(flow: Blueprint, answers: Answers) -> list[str]:
    """What the contact who answers so lives through, and gets meanwhile."""
    lines: list[str] = []
    received: list[str] = []
    for step in path(flow.steps, answers):
        if isinstance(step, Sent):
            received.append(step.step)
        if not isinstance(step, Timed):
            continue
        lines += _inbox_if_new(received, lines)
        if isinstance(step, Asked) and answers.get(step.step):
            lines.append("await j.approve()" if step.subject else f'await j.happens("{step.event}")')
        else:
            lines.append(f"await j.travel({_units(step.setting.default)})")
    lines += _inbox_if_new(received, lines)
    end = f'assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "{flow.end}")'
    return [*lines, "outcome = await j.outcome()", end]


def _inbox_if_new(received: list[str], lines: list[str]) -> list[str]:
    """What arrived is looked at once, and so is an inbox that stays empty."""
    line = _inbox(received)
    return [] if line in lines else [line]


def _inbox(received: Iterable[str]) -> str:
    return f"assert j.inbox().steps == [{_quoted(received)}]"


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _duration(duration: timedelta) -> str:
    return f"timedelta({_units(duration)})"


def _units(duration: timedelta) -> str:
    minutes = duration.seconds // 60
    units = {"days": duration.days, "hours": minutes // 60, "minutes": minutes % 60}
    return ", ".join(f"{unit}={count}" for unit, count in units.items() if count)


def _texts(message: str) -> dict[str, dict[str, str]]:
    """What a message says at first, by locale."""
    named = message.replace("-", " ").capitalize()
    found = {}
    for locale, texts in _all_texts().items():
        heading = texts["headings"].get(message) or texts["heading"].replace("{message}", named)
        replaced = {key: text.replace("{name}", message) for key, text in texts.items() if isinstance(text, str)}
        found[locale] = {**replaced, "heading": heading, "subject": texts["subject"].replace("{heading}", heading)}
    return found


@cache
def _all_texts() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_SCAFFOLD / "texts.toml").read_text(encoding="utf-8"))
