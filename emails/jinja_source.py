"""The Jinja that templates are written in, and what can be wrong with it.

Templates are checked without rendering them, so branches that are never taken count too. Problems are one line each,
naming the file and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.messages import Sender
from domain.people import Person
from emails.html_tree import Element, parse_html
from emails.mjml_source import Source
from emails.moments import duration, moment

SUBJECT_MAX_CHARACTERS = 120

HTML = ImmutableSandboxedEnvironment(
    autoescape=True,
    undefined=StrictUndefined,
    finalize=lambda value: "" if value is None else value,
)
# A template sees its context alone: Jinja's own globals would pass for settings.
HTML.globals.clear()
HTML.filters |= {"moment": moment, "duration": duration}
SUBJECT = HTML.overlay(autoescape=False)

_GUARDS = frozenset({"default", "d", "defined", "undefined"})


class Seen(NamedTuple):
    """What a template sees: objects, of which it names single fields, and plain values."""

    fields: Mapping[str, frozenset[str]]
    values: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return self.values | self.fields.keys()


SEEN_FOR_CONTACTS = Seen(
    {"contact": frozenset(Contact.model_fields), "sender": frozenset(Sender.model_fields)},
    frozenset({"unsubscribe_url", "confirm_url"}),
)
"""Beside the settings of the flow, by their names."""
SEEN_FOR_PEOPLE = Seen(
    {**SEEN_FOR_CONTACTS.fields, "person": frozenset(Person.model_fields)},
    frozenset({"subject", "facts", "url", "until", "others", "in_place_of"}),
)


def jinja_problems(source: Source, seen: Seen) -> list[str]:
    """Check what no settings decide: syntax, filters, tests, and the fields of contact, sender and person."""
    try:
        tree = HTML.parse(source.text)
    except TemplateSyntaxError as error:
        return [f"{source.file}:{error.lineno} is not valid Jinja ({error.message}): mend it there"]
    found = sorted([*_unknown_calls(tree), *_field_problems(tree, seen)])
    return [f"{source.file}:{line} {problem}" for line, problem in found]


def _unknown_calls(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for node in tree.find_all(nodes.Filter):
        if node.name not in HTML.filters:
            yield node.lineno, f"uses the filter {node.name}, which does not exist: mend its name"
    for test in tree.find_all(nodes.Test):
        if test.name not in HTML.tests:
            yield test.lineno, f"uses the test {test.name}, which does not exist: mend its name"
    for tag in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
        yield tag.lineno, "pulls in another Jinja template: use mj-include"


def _field_problems(tree: nodes.Template, seen: Seen) -> Iterator[tuple[int, str]]:
    read: set[int] = set()
    calls = [*tree.find_all(nodes.Filter), *tree.find_all(nodes.Test)]
    guarded = {id(call.node) for call in calls if call.name in _GUARDS}
    for access in _accesses(tree):
        owner, field = _path(access.node), _path(access).rpartition(".")[2]
        if owner in seen.fields:
            read.add(id(access.node))
            if field not in seen.fields[owner]:
                choices = ", ".join(sorted(seen.fields[owner]))
                yield access.lineno, f"uses {owner}.{field or '[…]'}, which does not exist: use one of {choices}"
        elif owner == "contact.attributes" and id(access) not in guarded:
            path = f"{owner}.{field}"
            yield access.lineno, f'uses {path}, which a contact may lack: write {path}|default("…")'
    for name in tree.find_all(nodes.Name):
        if name.name in seen.fields and id(name) not in read:
            yield name.lineno, f"uses {name.name} as a whole: name one of its fields"


def _accesses(tree: nodes.Node) -> Iterator[nodes.Getattr | nodes.Getitem]:
    yield from tree.find_all(nodes.Getattr)
    yield from tree.find_all(nodes.Getitem)


def _path(node: nodes.Node | None) -> str:
    """Write `contact.email` and `contact["email"]` alike; what is computed is left empty."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_path(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{_path(node.node)}.{node.arg.value if isinstance(node.arg, nodes.Const) else ''}"
    return ""


def settings_problems(source: Source, settings_model: type[FlowSettings]) -> list[str]:
    """Check that each name in a template is one of its context or a field of the flow's settings."""
    unknown = _names(source) - SEEN_FOR_CONTACTS.names - set(settings_model.model_fields)
    return [
        f"{source.file} uses {{{{ {name} }}}}, which {settings_model.__name__} has not: add the field or edit the file"
        for name in sorted(unknown)
    ]


def people_problems(source: Source) -> list[str]:
    """Check that each name in a template is one that mails to people see."""
    choices = ", ".join(sorted(SEEN_FOR_PEOPLE.names))
    return [
        f"{source.file} uses {{{{ {name} }}}}, which mails to people do not see: use one of {choices}"
        for name in sorted(_names(source) - SEEN_FOR_PEOPLE.names)
    ]


def _names(source: Source) -> set[str]:
    try:
        tree = HTML.parse(source.text)
    except TemplateSyntaxError:
        return set()
    # An unknown filter or test is told by jinja_problems; here it would end the search for names.
    for node in tree.find_all(nodes.Filter):
        node.name = "string"
    for test in tree.find_all(nodes.Test):
        test.name = "defined"
    return find_undeclared_variables(tree)


def reserved_problems(settings_model: type[FlowSettings]) -> list[str]:
    return [
        f"{settings_model.__name__} has a field {name}, which means something else to templates: rename the field"
        for name in sorted(SEEN_FOR_CONTACTS.names & set(settings_model.model_fields))
    ]


def subject_problems(subject: Source) -> list[str]:
    lines = subject.text.strip().splitlines()
    if not lines:
        return [f"{subject.file} is empty: write the subject"]
    if len(lines) > 1:
        return [f"{subject.file} has {len(lines)} lines: write one"]
    try:
        length = _longest(HTML.parse(lines[0]).body)
    except TemplateSyntaxError:
        return []
    if length > SUBJECT_MAX_CHARACTERS:
        return [f"{subject.file} has {length} characters: shorten it to {SUBJECT_MAX_CHARACTERS}"]
    return []


def _longest(body: Sequence[nodes.Node]) -> int:
    """Count the characters of the longest way through the branches; values are not counted."""
    length = 0
    for node in body:
        if isinstance(node, nodes.If):
            length += max(_longest(branch) for branch in (node.body, node.elif_, node.else_))
        else:
            length += sum(len(text.data) for text in node.find_all(nodes.TemplateData))
    return length


def opt_out_problems(file: str, html: str) -> list[str]:
    """Check that the compiled body shows who writes, from where, and how to opt out, whoever the contact is."""
    shown = _always_shown_in(html)
    return [
        f"{file} does not always show {{{{ {needed} }}}}, as all but transactional messages must:"
        ' add it, or <mj-include path="footer.mjml" />'
        for needed in ("unsubscribe_url", "sender.name", "sender.postal_address")
        if needed not in shown
    ]


def _always_shown_in(html: str) -> set[str]:
    """What no condition keeps from a reader. What stands in a comment, the title or the preview line is not seen."""
    try:
        return set(_always_shown(HTML.parse("".join(map(_readable, parse_html(html).seen))).body))
    except TemplateSyntaxError:  # a condition that begins where it is seen and ends where it is not
        return set()


def _readable(node: Element | str) -> str:
    if isinstance(node, str):
        return node
    return node.attributes.get("href", "") if node.tag == "a" and node.words else ""


def _always_shown(body: Sequence[nodes.Node]) -> Iterator[str]:
    for node in body:
        if isinstance(node, nodes.If) and _path(node.test) == "unsubscribe_url":
            yield from _always_shown(node.body)
        if isinstance(node, nodes.Output):
            for value in node.nodes:
                yield from _always_printed(value)


def _always_printed(value: nodes.Expr | None) -> Iterator[str]:
    """Of `{{ sender.name if contact.company }}`, nothing."""
    if isinstance(value, nodes.Concat):
        for part in value.nodes:
            yield from _always_printed(part)
    elif isinstance(value, nodes.Filter):
        yield from _always_printed(value.node)
    else:
        yield _path(value)
