"""All that is checked of a flow without running it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from emails.folder import NO_FLOWS
from inspection import (
    code_rules,
    declaration_rules,
    goal_rules,
    message_rules,
    people_rules,
    record_rules,
    step_rules,
    trigger_rules,
    verb_rules,
    word_rules,
)
from inspection.computed_messages import sent_by
from inspection.faults import Fault, UnreadableFlow
from inspection.flow_source import FlowSource, flow_classes, parse
from inspection.layout import Layout
from inspection.outline import steps
from inspection.step_rules import SNAKE_CASE
from inspection.verb_calls import waits

Rule: TypeAlias = Callable[[FlowSource, Layout], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    declaration_rules.flow_is_named_like_its_file,
    declaration_rules.about_is_complete,
    goal_rules.goal_is_complete,
    goal_rules.other_events_reach_the_goal,
    trigger_rules.triggers_are_complete,
    declaration_rules.renamed_steps_are_known,
    declaration_rules.settings_are_described,
    code_rules.imports_are_few,
    code_rules.only_verbs_act,
    code_rules.verbs_are_called_in_sight,
    code_rules.base_is_kept,
    code_rules.run_conducts,
    code_rules.run_takes_an_enrollment,
    code_rules.order_is_the_same_twice,
    code_rules.nothing_is_raised,
    code_rules.what_is_read_exists,
    step_rules.journey_is_told,
    step_rules.names_are_literal,
    step_rules.names_tell_rounds_apart,
    step_rules.names_are_unique,
    step_rules.names_are_not_reserved,
    step_rules.waits_end,
    step_rules.events_are_heard,
    step_rules.steps_are_reached,
    verb_rules.arguments_are_given,
    verb_rules.answers_are_read,
    verb_rules.lookups_are_written,
    verb_rules.local_times_are_real,
    people_rules.people_are_named,
    people_rules.tasks_are_waited_for_or_not,
    people_rules.contacts_are_handed_to_flows,
    message_rules.messages_are_named,
    message_rules.messages_are_sent,
    message_rules.messages_of_pinned_contacts_are_kept,
    message_rules.templates_are_sound,
    word_rules.words_are_said,
    record_rules.flow_is_tested,
    record_rules.flow_has_histories,
)


@dataclass(frozen=True)
class Checked:
    """A flow and what was found; without `source`, it could not be read at all."""

    flow: str
    faults: tuple[Fault, ...]
    source: FlowSource | None
    messages: frozenset[str] = frozenset()
    """The folders of those that its steps send."""

    @property
    def told(self) -> str:
        """What the flow consists of, in words: `7 steps, 3 waits, 4 messages`."""
        found = {(step.line, step.name): step for step in steps(self.source.outline)} if self.source else {}
        waiting = [step for step in found.values() if waits(step)]
        return ", ".join([_many(len(found), "step"), _many(len(waiting), "wait"), _many(len(self.messages), "message")])


def flow_names(layout: Layout) -> list[str]:
    """The flows of a project: modules with a workflow, and those that should have one and cannot be read."""
    return sorted(path.stem for path in layout.workflows.glob("*.py") if _is_to_be_a_flow(path, layout))


def check_flow(flow: str, layout: Layout, rules: Sequence[Rule] = RULES) -> Checked:
    """Never raises for what a flow's author wrote. Faults are in the order of their files and lines."""
    if not SNAKE_CASE.fullmatch(flow):
        what, mend = f"{flow!r} is no name of a flow", "write it in snake_case, like the file in workflows/"
        return Checked(flow, (layout.fault(layout.workflows, what, mend),), None)
    try:
        source = FlowSource.load(layout.module(flow))
        faults = {fault for rule in rules for fault in rule(source, layout)}
    except UnreadableFlow as unreadable:
        return Checked(flow, (unreadable.fault,), None)
    except (RecursionError, ValueError) as error:  # too deep, or with a number too large, to be written out
        fault = layout.fault(layout.module(flow), f"cannot be followed ({error})", "write it in a plainer way")
        return Checked(flow, (fault,), None)
    present = layout.messages(flow)
    sent = frozenset(message for step in steps(source.outline) for message in sent_by(step, present))
    return Checked(flow, tuple(sorted(faults)), source, sent)


def stray_folders(layout: Layout) -> list[Fault]:
    """Folders of messages or words that no flow has."""
    flows = {*flow_names(layout), *NO_FLOWS}
    folders = {path.parents[1] for path in layout.emails.glob("*/*/message.toml")}
    folders |= {path.parent for path in layout.emails.glob("*/words.toml")}
    strays = sorted(path for path in folders if path.name not in flows)
    return [layout.fault(path, f"no flow is called {path.name}", "delete the folder, or rename it") for path in strays]


def _is_to_be_a_flow(path: Path, layout: Layout) -> bool:
    if path.stem == "__init__":
        return False
    try:
        module = parse(path)
    except UnreadableFlow:
        return True
    has_messages = path.stem not in NO_FLOWS and (layout.emails / path.stem).is_dir()
    meant = has_messages or any(map(_defines_workflow, module.body))
    return meant or bool(flow_classes(module))


def _defines_workflow(node: ast.stmt) -> bool:
    decorators = node.decorator_list if isinstance(node, ast.ClassDef) else []
    return any(ast.unparse(decorator).startswith("workflow.defn") for decorator in decorators)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
