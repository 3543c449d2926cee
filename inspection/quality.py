"""How good each flow is, computed from its code and from what stands beside it. Nothing of it is run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import workflows
from domain.contacts import DEFAULT_LOCALE
from domain.flows import Exit
from emails.folder import Message, read_messages
from emails.templates import TemplateError, Templates
from emails.words import read_words
from inspection import record_rules
from inspection.asserted_exits import asserted_exits
from inspection.checks import RULES, Checked, check_flow
from inspection.computed_messages import is_computed
from inspection.diagram import JOURNEY_END, draw
from inspection.diagram_words import Words
from inspection.faults import Fault, UnreadableFlow
from inspection.flow_source import parse
from inspection.grades import ELSEWHERE, Fact, Grade, Measure, grade_of, next_grade
from inspection.layout import Layout
from inspection.message_rules import templates_are_sound
from inspection.outline import Block, steps
from inspection.pages import COMMAND, FOLDER, stale_pages
from inspection.verb_calls import waits
from inspection.word_rules import said_to_people
from workflows.builds import build_id
from workflows.discovery import FlowClass, discover_flows

_OF_RECORDS = (record_rules.flow_is_tested, record_rules.flow_has_histories)
_UNREAD = Measure(0, 1, ("the flow's source cannot be read",))
_INTERRUPTIONS = [exit_ for exit_ in Exit if exit_ not in (Exit.COMPLETED, Exit.FAILED)]
"""Exits of whoever waits. That a step fails for good is no journey that a flow tells."""


@dataclass(frozen=True)
class Quality:
    """Of one flow, whose code at hand is this `version`."""

    flow: str
    version: str
    measures: Mapping[Fact, Measure]

    @property
    def grade(self) -> Grade | None:
        """None if not even the lowest is reached."""
        return grade_of(self.measures)

    @property
    def next(self) -> tuple[Grade, list[Measure]] | None:
        """The grade above, and what lacks for it; None at the top."""
        return next_grade(self.measures)


def qualities(layout: Layout, package: ModuleType = workflows) -> list[Quality]:
    """Measure every flow of a package whose project lies there. Takes some 30 ms a flow, most of it for templates.

    What an installation leaves out, tests and documents, is told as not here.
    """
    flows, messages = discover_flows(package), read_messages(layout.emails)
    templates = Templates(layout.emails, messages)
    try:
        stale = stale_pages(layout.root, package, templates)
    except (ValueError, OSError, RecursionError) as error:  # one flow or page that cannot be read keeps all from it
        stale = [Fault(f"{FOLDER}/{name}.md", 1, f"cannot be written ({error})", "") for name in flows]
    return [_quality(name, flow, layout, messages, templates, stale) for name, flow in flows.items()]


def _quality(
    name: str,
    flow: FlowClass,
    layout: Layout,
    messages: Mapping[tuple[str, str], Message],
    templates: Templates,
    stale: Sequence[Fault],
) -> Quality:
    here = (layout.tests / "flows").is_dir()
    # Templates are judged below: the rule reads them all anew for each flow.
    left_out = (templates_are_sound, *(() if here else _OF_RECORDS))
    checked = check_flow(name, layout, [rule for rule in RULES if rule not in left_out])
    version = build_id(flow)
    measures = {
        Fact.CHECKS: _checks(checked, flow, templates),
        Fact.LOCALES: _locales(checked, layout, messages),
        Fact.PAGE: _page(name, layout, stale),
        Fact.EXITS: ELSEWHERE,
        Fact.HISTORIES: ELSEWHERE,
    }
    if here and checked.source is not None:
        exits = possible_exits(flow, checked.source.outline)
        measures[Fact.EXITS] = _exits(name, checked.source.class_name, exits, layout)
        measures[Fact.HISTORIES] = _histories(checked, checked.source.outline, exits, layout, version)
    elif here:
        measures |= {Fact.EXITS: _UNREAD, Fact.HISTORIES: _UNREAD}
    return Quality(name, version, measures)


def possible_exits(flow: FlowClass, outline: Block) -> list[Exit]:
    """The exits that a journey can be made to take: one without a wait is over before anything interrupts it."""
    diagram = draw(flow.about, outline, Words.of(flow))
    finishes = {step.name for step in steps(outline) if step.verb == "finish"} - set(diagram.unreached)
    ends = finishes or any(box.title == JOURNEY_END for box in diagram.boxes)
    is_left = any(map(waits, steps(outline)))
    possible = {*(_INTERRUPTIONS if is_left else ()), *((Exit.COMPLETED,) if ends else ())}
    return [exit_ for exit_ in Exit if exit_ in possible]


def _checks(checked: Checked, flow: FlowClass, templates: Templates) -> Measure:
    faults = [str(fault) for fault in checked.faults]
    try:
        templates.check(checked.flow, flow.settings_model)
    except TemplateError as error:
        faults += error.problems
    return _measure(1, faults, f"run cauce flows check {checked.flow}, and mend what it says")


def _locales(checked: Checked, layout: Layout, messages: Mapping[tuple[str, str], Message]) -> Measure:
    """By language of the project: a region, such as es-CL, falls back to its language."""
    flow = checked.flow
    folders = {path.name for path in layout.emails.glob("*/*/*") if path.is_dir() and path.name[0] not in "._"}
    languages = sorted({DEFAULT_LOCALE} | {locale.partition("-")[0] for locale in folders})
    sent = {step.message for step in steps(checked.source.outline)} if checked.source else set()
    wanted = {name for name in sent if name and not is_computed(name)} | {
        name for owner, name in messages if owner == flow
    }
    missing = {
        language: [name for name in sorted(wanted) if language not in _languages(messages.get((flow, name)))]
        for language in languages
    }
    lacking = [f"{name} in {language}" for language, names in missing.items() for name in names]
    unsaid = _unsaid(checked, layout, languages)
    folder = layout.seen(layout.emails / flow)
    mend = [f"write {', '.join(lacking)} in {folder}"] if lacking else []
    mend += [f"say {each[0]} in {language} in {folder}/words.toml" for language, each in unsaid.items() if each][:1]
    lacking += [f"{text} in {language}" for language, texts in unsaid.items() for text in texts]
    done = sum(not names and not unsaid[language] for language, names in missing.items())
    return Measure(done, len(languages), tuple(lacking), ", ".join(mend))


def _unsaid(checked: Checked, layout: Layout, languages: Sequence[str]) -> dict[str, list[str]]:
    """What the code says to people of the team, and no words are there for, by language, in quotes."""
    said = said_to_people(checked.source) if checked.source else []
    try:
        words = read_words(layout.emails / checked.flow / "words.toml")
    except (ValueError, OSError):  # told by the checks
        words = {}
    return {
        language: [f"“{text}”" for text in said if language != DEFAULT_LOCALE and text not in words.get(language, {})]
        for language in languages
    }


def _languages(message: Message | None) -> Collection[str]:
    return message.by_locale if message else ()


def _page(flow: str, layout: Layout, stale: Sequence[Fault]) -> Measure:
    if not (layout.root / "docs").is_dir():
        return ELSEWHERE
    faults = [f"{fault.path} {fault.what}" for fault in stale if fault.path == f"{FOLDER}/{flow}.md"]
    return _measure(1, faults, f"run {COMMAND}")


def _exits(flow: str, class_name: str, exits: Sequence[Exit], layout: Layout) -> Measure:
    path = layout.test(flow)
    try:
        tested = asserted_exits(parse(path), class_name)
    except UnreadableFlow:  # told by the checks
        tested = frozenset()
    missing = [str(exit_) for exit_ in exits if exit_ not in tested]
    return _measure(len(exits), missing, f"assert in {layout.seen(path)} that contacts take {', '.join(missing)}")


def _histories(checked: Checked, outline: Block, exits: Sequence[Exit], layout: Layout, version: str) -> Measure:
    """Of the version at hand. What is no history does not count."""
    faulty = {fault.path for fault in checked.faults}
    found = [path for path in layout.histories(checked.flow).glob("*/*.json") if layout.seen(path) not in faulty]
    missing = []
    wanted = list(_wanted_histories(outline, exits))
    for name, pattern in wanted:
        versions = {path.parent.name for path in found if pattern.fullmatch(path.stem)}
        if version not in versions:
            missing.append(f"{name}, but of other code" if versions else name)
    return _measure(len(wanted), missing, f"run cauce flows record {checked.flow}")


def _wanted_histories(outline: Block, exits: Sequence[Exit]) -> Iterator[tuple[str, re.Pattern[str]]]:
    """As the recorder names them. A loop's key stands in braces, and one round of the loop is enough."""
    waiting = dict.fromkeys(f"waiting-{step.name}" for step in steps(outline) if waits(step))
    ends = ["finished" if exit_ is Exit.COMPLETED else f"exited-{exit_}" for exit_ in exits]
    for name in [*waiting, *ends]:
        yield name, re.compile(re.sub(r"\\\{[^{}]*\\\}", ".+", re.escape(name)))


def _measure(of: int, missing: Sequence[str], mend: str) -> Measure:
    """A fact that has so many parts, `of` which each missing one is named."""
    return Measure(max(of - len(missing), 0), of, tuple(missing), mend if missing else "")
