"""What all readers of a message read alike, and what each reads in the places that differ.

A provider takes one text for many readers if it differs by values alone that are put in the place of tags. So a message
becomes a skeleton: its template rendered once, with a tag for each expression `{{ … }}` that names the contact or their
opt-out link. What depends on the contact in any other way, such as `{% if contact.company %}`, makes it none.

The text part is made from the HTML, which tells a reader nothing of most white space and everything by entities. So
values with either, and empty ones, are put in only if that reads as the rendered message does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from jinja2 import Template, nodes
from markupsafe import escape

from domain.contacts import Contact
from domain.flows import FlowSettings
from domain.message_batches import with_values
from domain.messages import MessageClass, Sender
from emails.folder import Compiled
from emails.jinja_source import HTML, SUBJECT
from emails.moments import READER, wording
from emails.plain_text import plain_text
from emails.templates import Rendered, Templates, one_line_subject

_OF_CONTACT = frozenset({"contact", "unsubscribe_url", "confirm_url"})
_BETWEEN = "\0"
"""Two values. No contact has it: `domain.limits` refuses it."""
_ENTITY = re.compile("&(?:[#0-9A-Za-z]|$)")
_MARKS = "^~|`"
"""One of these begins each tag: the first that neither the texts nor the values have."""
_PLAIN = (
    *(nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.Or, nodes.And, nodes.Not),
    *(nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.Concat, nodes.Filter),
)
# Not those that write times: they do it as the reader's own region does, which the template's locale does not say.
_PLAIN_FILTERS = frozenset({"default", "d", "capitalize", "lower", "title", "trim", "upper"})
_PROBES = ("Ada", "<b> & \"Ada\" 'L'", "Ñandú 漢字 🙂", "María de los Ángeles & " * 8 + "Ada")
"""What contacts may be called. Each is put in for all that is known of one."""


class _NotPlain(Exception):
    """The text varies with the contact beyond values."""


class Personal(NamedTuple):
    """What one contact reads otherwise than others: the values by their tags, those of HTML and text apart."""

    subject: str
    values: dict[str, str]


class SharedMessage:
    """A message to many. `subjects`, by locale, take the place of its own: each is Jinja, as the templates are.

    What is prepared is kept: use one object for all contacts, in one thread.
    """

    def __init__(
        self,
        templates: Templates,
        flow: str,
        message: str,
        sender: Sender,
        subjects: Mapping[str, str] | None = None,
    ) -> None:
        self.templates = templates
        self.flow = flow
        self.message = message
        self.sender = sender
        self.kind = templates.message(flow, message)
        self._subjects = subjects or {}
        self._written: dict[str, tuple[str, Compiled]] = {}
        self._skeletons: dict[str, Skeleton | None] = {}

    @property
    def has_opt_out(self) -> bool:
        return self.kind.message_class is not MessageClass.TRANSACTIONAL

    @property
    def is_plain(self) -> bool:
        """Whether it is a skeleton in any locale that it is written in."""
        return any(self.skeleton(locale) is not None for locale in self.templates.locales(self.flow, self.message))

    def skeleton(self, asked: str) -> Skeleton | None:
        """What readers of this locale read alike; None if each has to have their message rendered."""
        locale, compiled = self._compiled(asked)
        if locale not in self._skeletons:
            self._skeletons[locale] = self._prepared(locale, compiled)
        return self._skeletons[locale]

    def render(self, contact: Contact, unsubscribe_url: str | None, links: Mapping[str, str]) -> Rendered:
        """The whole message, for one contact."""
        rendered = self.templates.render(
            self.flow,
            self.message,
            contact=contact,
            sender=self.sender,
            settings=FlowSettings(),
            unsubscribe_url=unsubscribe_url,
            links=links,
        )
        if not self._subjects:
            return rendered
        context = {**self.context(contact.locale), "contact": contact, "unsubscribe_url": unsubscribe_url, **links}
        return rendered._replace(subject=one_line_subject(self._compiled(contact.locale)[1].subject.render(context)))

    def context(self, asked: str) -> dict[str, Any]:
        """What its templates see of everything but the contact."""
        return {"sender": self.sender, READER: wording(asked, self._compiled(asked)[0])}

    def _compiled(self, asked: str) -> tuple[str, Compiled]:
        if asked not in self._written:
            locale, compiled = self.templates.written_for(self.flow, self.message, asked)
            line = self._subjects.get(locale)
            if line is not None:
                compiled = compiled._replace(subject=SUBJECT.from_string(line), subject_source=line)
            self._written[asked] = locale, compiled
        return self._written[asked]

    def _prepared(self, locale: str, compiled: Compiled) -> Skeleton | None:
        for mark in _MARKS:
            with suppress(_NotPlain):
                return Skeleton(self, locale, mark, compiled)
        return None


class Skeleton:
    """A message in one locale: `html` and `text` with tags."""

    def __init__(self, shared: SharedMessage, locale: str, mark: str, compiled: Compiled) -> None:
        """Raises: _NotPlain."""
        self._shared = shared
        self._mark = mark
        self._context = shared.context(locale)
        tree = HTML.parse(compiled.html_source)
        expressions: dict[str, nodes.Expr] = {}
        _put_tags(tree.body, mark, expressions)
        self._html_tags = [_tag(mark, number, "h") for number in range(len(expressions))]
        self._text_tags = [_tag(mark, number, "t") for number in range(len(expressions))]
        self._values = _template_of_values(list(expressions.values()))
        shown = "yes" if shared.has_opt_out else None  # that there is a link is asked, which one is a tag by now
        self.html = _from_tree(tree).render({**self._context, "unsubscribe_url": shown})
        self.text = with_values(plain_text(self.html), dict(zip(self._html_tags, self._text_tags, strict=True)))
        _require_tags_alone(self.html, mark, self._html_tags)
        _require_tags_alone(self.text, mark, self._text_tags)
        self._subject = compiled.subject
        self._one_subject: str | None = None
        if not {name.name for name in HTML.parse(compiled.subject_source).find_all(nodes.Name)} & _OF_CONTACT:
            self._one_subject = one_line_subject(compiled.subject.render(self._context))
        self._reads_same: dict[tuple[bool, ...], bool] = {}
        for probe in _PROBES:
            if not self._reads_as_rendered(_probe(probe, locale)):
                raise _NotPlain

    def personal(self, contact: Contact, unsubscribe_url: str | None) -> Personal | None:
        """What the contact reads for the tags; None if their message has to be rendered for them alone.

        With the values put in, `html` and `text` are what `SharedMessage.render` answers.
        """
        found = self._filled(contact, unsubscribe_url)
        if found is None:
            return None
        personal, plain = found
        shape = tuple(map(bool, plain))
        if all(_is_ordinary(value) for value in plain if value):
            if shape not in self._reads_same:
                self._reads_same[shape] = self._same(contact, unsubscribe_url, personal)
            return personal if self._reads_same[shape] else None
        return personal if self._same(contact, unsubscribe_url, personal) else None

    def _filled(self, contact: Contact, unsubscribe_url: str | None) -> tuple[Personal, Sequence[str]] | None:
        context = {**self._context, "contact": contact, "unsubscribe_url": unsubscribe_url}
        subject = self._one_subject
        if subject is None:
            subject = one_line_subject(self._subject.render(context))
        plain = self._values.render(context).split(_BETWEEN) if self._html_tags else []
        if len(plain) != len(self._html_tags) or any(self._mark in text for text in (subject, *plain)):
            return None
        values = dict(zip(self._text_tags, plain, strict=True))
        values |= zip(self._html_tags, map(str, map(escape, plain)), strict=True)
        return Personal(subject, values), plain

    def _same(self, contact: Contact, unsubscribe_url: str | None, personal: Personal) -> bool:
        rendered = self._shared.render(contact, unsubscribe_url, {})
        filled = with_values(self.html, personal.values), with_values(self.text, personal.values)
        return (personal.subject, *filled) == (rendered.subject, rendered.html, rendered.text)

    def _reads_as_rendered(self, contact: Contact) -> bool:
        url = "https://example.com/unsubscribe/probe" if self._shared.has_opt_out else None
        try:
            found = self._filled(contact, url)
            return found is None or self._same(contact, url, found[0])
        except Exception:  # whatever a template's expressions may raise: it is rendered for each, and tells there
            return False


def _put_tags(body: Sequence[nodes.Node], mark: str, expressions: dict[str, nodes.Expr]) -> None:
    """Put tags in the place of what names the contact, and gather that. Raises: _NotPlain."""
    for node in body:
        if isinstance(node, nodes.Output):
            for at, value in enumerate(node.nodes):
                if not _names_contact(value):
                    continue
                _require_plain(value)
                expressions.setdefault(repr(value), value)
                number = list(expressions).index(repr(value))
                node.nodes[at] = nodes.TemplateData(_tag(mark, number, "h"))
        elif isinstance(node, nodes.If) and _is_the_same_for_all(node.test):
            for branch in (node.body, node.elif_, node.else_):
                _put_tags(branch, mark, expressions)
        elif _names_contact(node):
            raise _NotPlain


def _is_the_same_for_all(test: nodes.Node) -> bool:
    return not _names_contact(test) or (isinstance(test, nodes.Name) and test.name == "unsubscribe_url")


def _names_contact(node: nodes.Node) -> bool:
    return any(name.name in _OF_CONTACT for name in _all(node, nodes.Name))


def _require_plain(value: nodes.Expr) -> None:
    if not all(isinstance(node, _PLAIN) for node in _all(value, nodes.Expr)):
        raise _NotPlain
    for node in _all(value, nodes.Filter):
        if node.name not in _PLAIN_FILTERS:
            raise _NotPlain
    if any(name.name == "confirm_url" for name in _all(value, nodes.Name)):
        raise _NotPlain


def _all(node: nodes.Node, kind: Any) -> Iterator[Any]:
    if isinstance(node, kind):
        yield node
    yield from node.find_all(kind)


def _tag(mark: str, number: int, part: str) -> str:
    """No tag begins with another one: the letter ends the number."""
    return f"{mark}{number}{part}"


def _from_tree(tree: nodes.Template) -> Template:
    return Template.from_code(HTML, HTML.compile(tree), HTML.make_globals(None))


def _template_of_values(expressions: Sequence[nodes.Expr]) -> Template:
    """All values at once, as text: what HTML makes of them is the same for each."""
    parts: list[nodes.Expr] = []
    for expression in expressions:
        parts += [nodes.TemplateData(_BETWEEN), expression] if parts else [expression]
    tree = nodes.Template([nodes.Output(parts, lineno=1)], lineno=1)
    tree.set_environment(SUBJECT)
    return Template.from_code(SUBJECT, SUBJECT.compile(tree), SUBJECT.make_globals(None))


def _require_tags_alone(text: str, mark: str, tags: Sequence[str]) -> None:
    """Raises: _NotPlain if the mark stands anywhere else, or if what stands before a tag may become an entity."""
    if mark in with_values(text, dict.fromkeys(tags, "")) or re.search(f"&[#0-9A-Za-z]*{re.escape(mark)}", text):
        raise _NotPlain


def _is_ordinary(value: str) -> bool:
    """Whether HTML and its text part keep the value as it is: single spaces within, nothing that is not seen, and no
    beginning of an entity.
    """
    spaces_are_single = value == value.strip() and "  " not in value
    return value.isprintable() and spaces_are_single and not ("&" in value and _ENTITY.search(value))


class _AnyAttribute(dict[str, str]):
    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def __missing__(self, name: str) -> str:
        return self._value


def _probe(value: str, locale: str) -> Contact:
    known: dict[str, Any] = dict.fromkeys(Contact.model_fields, value)
    known |= {"email": "probe@example.com", "locale": locale, "attributes": _AnyAttribute(value)}
    return Contact.model_construct(**known)
