"""Rules for the messages that a journey sends: each is there, has a class, and fits the flow's settings."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Any

from pydantic import create_model

from domain.flows import FlowSettings, OnEdit
from emails.templates import TemplateError, Templates
from inspection.computed_messages import lacking, sent_by
from inspection.faults import Fault
from inspection.flow_source import FlowSource, dotted
from inspection.journey_source import VerbCall
from inspection.layout import Layout
from inspection.outline import steps
from inspection.recorded_sends import recorded_sends
from inspection.template_faults import template_fault
from inspection.verb_calls import argument

_NAME = re.compile(r"([a-z][a-z0-9]*|\{[^{}]*\})(-([a-z0-9]+|\{[^{}]*\}))*")
"""Of a message, with what is computed in braces."""


def messages_are_named(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """A send says which message, by its step's name or beside it; not all of that may be computed."""
    for call in _sends(source):
        given = argument(call.node, "send", "message")
        if given is None and "{" in call.step.name:
            what = f"step {call.step.name} does not say which message it sends"
            yield source.fault(call.step.line, what, 'name it: await self.send(f"…", "message")')
        elif given is not None and not _is_written(given):
            what = f"step {call.step.name} computes its message: {ast.unparse(given)}"
            yield source.fault(call.step.line, what, 'write it as a literal, or a part of it: f"offer-{size}"')
        elif call.step.message and given is not None and not _NAME.fullmatch(call.step.message):
            yield source.fault(call.step.line, f"message {call.step.message} is not in kebab-case", "rename its folder")


def _sends(source: FlowSource) -> list[VerbCall]:
    return [call for call in source.journey.calls if call.step.verb == "send"]


def _is_written(message: ast.expr) -> bool:
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return any(isinstance(part, ast.Constant) for part in parts)


def messages_are_sent(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """Each message's folder is there, and each folder is a message that a step sends, or a recorded version did.

    Of a message whose name is computed, a folder is there for each word that it is written to be made of. Contacts who
    are on a recorded version, or on the way from it, get its messages yet.
    """
    folder = layout.emails / source.path.stem
    present = layout.messages(source.path.stem)
    named = [call.step for call in _sends(source) if _is_known(call)]
    told: set[str] = set()
    for step in named:
        for message in lacking(step, present):
            if message not in told and _NAME.fullmatch(message):
                what = f"message {message} has no folder {layout.seen(folder)}/{message}"
                yield source.fault(step.line, what, "add it, or mend the name")
                told.add(message)
    if source.journey.faults or len(named) < len(_sends(source)):
        return  # which messages are sent is not known
    if unsent := present.difference(*(sent_by(step, present) for step in named)):
        for message in sorted(unsent.difference(*recorded_sends(layout.histories(source.path.stem)).values())):
            what = f"no step sends {message}, and no recorded version does"
            yield layout.fault(folder / message, what, "delete the folder, or send it")


def _is_known(call: VerbCall) -> bool:
    given = argument(call.node, "send", "message")
    return "{" not in call.step.name if given is None else _is_written(given)


def messages_of_pinned_contacts_are_kept(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """In a flow that pins, contacts finish on the version that they started with, and get its messages."""
    flow = source.path.stem
    on_edit = source.about.get("on_edit")
    if on_edit is None or dotted(on_edit.value) != f"OnEdit.{OnEdit.PIN.name}":
        return
    folder, histories = layout.emails / flow, layout.histories(flow)
    kept = layout.messages(flow) | {step.message for step in steps(source.outline)}  # what is sent now is told above
    for version, messages in recorded_sends(histories).items():
        for message in sorted(messages - kept):
            what = f"contacts of version {version} still need {message}, and {layout.seen(folder)}/{message} is gone"
            mend = f"keep it until nobody is on that version, then run cauce flows record {flow} --forget {version}"
            yield layout.fault(histories / version, what, mend)


def templates_are_sound(source: FlowSource, layout: Layout) -> Iterator[Fault]:
    """What the worker refuses to start with, told of each file."""
    flow = source.path.stem
    try:
        Templates.load(layout.emails).check(flow, _settings_model(source))
    except TemplateError as error:
        line = source.settings.line if source.settings else source.line
        for problem in error.problems:
            yield template_fault(problem, source.file, line)
    except OSError as error:
        where = layout.emails / flow
        yield layout.fault(where, f"cannot be read ({error.strerror})", "make its files ones that can be read")


def _settings_model(source: FlowSource) -> type[FlowSettings]:
    """A stand-in with the fields of the flow's settings, since templates are checked for their names alone."""
    fields = source.settings.fields if source.settings else ()
    usable = [field.name for field in fields if not field.name.startswith(("_", "model_"))]
    values: dict[str, Any] = {name: (Any, None) for name in usable if not hasattr(FlowSettings, name)}
    name = source.settings.name if source.settings else "FlowSettings"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return create_model(name, __base__=FlowSettings, **values)
