"""Writes out the files of a new flow, as text: the flow, its messages in each locale, its test."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cli.blueprint import Answers, Asked, Blueprint, Sent, Steps, Waited, path, ways_to_yes

_SCAFFOLD = Path(__file__).parent / "scaffold"
_TARGET = 0.2
"""A guess to begin with, like the times."""
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


def scaffolded(flow: Blueprint) -> dict[str, str]:
    """Each file's text, by its path from the project's root."""
    emails = f"emails/{flow.name}"
    files = {f"workflows/{flow.name}.py": _flow(flow), f"tests/flows/test_{flow.name}.py": _tests(flow)}
    for message in flow.messages:
        files[f"{emails}/{message}/message.toml"] = _written("message.toml", topic=flow.name)
        for locale, texts in _texts(message).items():
            files[f"{emails}/{message}/{locale}/subject.txt"] = _written("subject.txt", **texts)
            files[f"{emails}/{message}/{locale}/body.mjml"] = _written("body.mjml", locale=locale, **texts)
    return files


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
        settings=flow.settings,
        journey=[*_journey(flow.steps), f'self.finish("{flow.end}")'],
        duration=_duration,
        quoted=_quoted,
    )


def _journey(steps: Steps) -> Iterator[str]:
    for step in steps:
        match step:
            case Sent(name):
                yield f'await self.send("{name}")'
            case Waited(name, setting):
                yield f'await self.wait("{name}", self.settings.{setting.name})'
            case Asked():
                yield from _question(step)


def _question(asked: Asked) -> Iterator[str]:
    event = "" if asked.step == asked.event else f', event="{asked.event}"'
    answer = f'await self.happened("{asked.step}"{event}, within=self.settings.{asked.setting.name})'
    yield f"if {answer}:" if asked.yes else f"if not {answer}:"
    yield from _indented(_journey(asked.yes or asked.no))
    if asked.yes and asked.no:
        yield "else:"
        yield from _indented(_journey(asked.no))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _tests(flow: Blueprint) -> str:
    questions = [(asked, answers) for asked, answers in ways_to_yes(flow.steps) if asked.event != flow.goal]
    whole = "a_contact_who_never_answers_gets_the_series_to_its_end" if questions else "a_contact_gets_the_whole_series"
    tests = [FlowTest(f"test_{whole}", _lived(flow, {}))]
    for asked, answers in questions:
        told = f"{asked.step}_in_time_{_consequence(asked)}".replace("-", "_")
        tests.append(FlowTest(f"test_{told}", _lived(flow, answers)))
    tests.append(FlowTest(f"test_{flow.goal}_ends_it_at_once", _left(flow, flow.goal, "GOAL")))
    gone = "test_unsubscribe_during_a_wait_ends_without_another_email"
    tests.append(FlowTest(gone, _left(flow, "unsubscribed", "UNSUBSCRIBED")))
    return _written("test_flow.py", name=flow.name, class_name=flow.class_name, tests=tests)


def _consequence(asked: Asked) -> str:
    for steps, verb in ((asked.yes, "leads_to"), (asked.no, "spares")):
        for step in path(steps, {}):
            return f"{verb}_{step.step}"
    return "counts"


def _lived(flow: Blueprint, answers: Answers) -> list[str]:
    """What the contact who answers so lives through, and gets meanwhile."""
    lines: list[str] = []
    received: list[str] = []
    seen = 0
    for step in path(flow.steps, answers):
        if isinstance(step, Sent):
            received.append(step.step)
            continue
        if len(received) > seen:
            lines.append(_inbox(received))
            seen = len(received)
        if isinstance(step, Asked) and answers.get(step.step):
            lines.append(f'await j.happens("{step.event}")')
        else:
            lines.append(f"await j.travel({_units(step.setting.default)})")
    end = f'assert (outcome.exit, outcome.step) == (Exit.COMPLETED, "{flow.end}")'
    return [*lines, "outcome = await j.outcome()", end, _inbox(received)]


def _left(flow: Blueprint, event: str, exit_: str) -> list[str]:
    """What a contact lives through who leaves at the first wait."""
    received: list[str] = []
    for step in path(flow.steps, {}):
        if not isinstance(step, Sent):
            break
        received.append(step.step)
    return [
        _inbox(received),
        f'await j.happens("{event}")',
        f"await j.travel(days={flow.days + 365})",
        f"assert (await j.outcome()).exit is Exit.{exit_}",
        _inbox(received),
    ]


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
        replaced = {key: text.replace("{name}", message) for key, text in texts.items() if key != "headings"}
        found[locale] = {**replaced, "heading": heading, "subject": texts["subject"].replace("{heading}", heading)}
    return found


@cache
def _all_texts() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_SCAFFOLD / "texts.toml").read_text(encoding="utf-8"))
