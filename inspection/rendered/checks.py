"""All that is checked of messages as their readers get them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError

from domain.flows import FlowSettings
from emails.folder import PEOPLE, Message, path_in_project
from emails.templates import TemplateError
from inspection.faults import Fault
from inspection.rendered import contrast, identity, inbox, links, page, text_part
from inspection.rendered.reading import Reading, ReadMessage
from inspection.rendered.rendering import CannotRender, Rendering
from inspection.rendered.samples import samples
from inspection.template_faults import template_fault

Rule: TypeAlias = Callable[[ReadMessage], Iterator[Fault]]

RULES: tuple[Rule, ...] = (
    inbox.html_is_not_clipped,
    inbox.subject_fits,
    inbox.preview_is_there,
    page.title_is_told,
    page.headline_is_one,
    links.links_are_absolute,
    links.links_have_words,
    links.images_are_absolute,
    contrast.text_is_legible,
    contrast.colours_are_known,
    text_part.text_is_there,
    text_part.text_has_every_link,
    identity.sender_is_named,
    identity.opt_out_is_offered,
)
WARNINGS: tuple[Rule, ...] = (inbox.html_is_far_from_the_clip,)
"""What is told and fails nothing."""


@dataclass(frozen=True)
class CheckedMessage:
    """A message in one locale. `html_bytes` are of the longest that a sample gets, `subject` of the usual one."""

    message: str
    locale: str
    subject: str
    html_bytes: int
    least_contrast: float
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


@dataclass(frozen=True)
class CheckedFlow:
    """`faults` are of the start-up checks, and of messages that cannot be rendered; others are of each message."""

    flow: str
    faults: tuple[Fault, ...]
    messages: tuple[CheckedMessage, ...]

    @property
    def all_faults(self) -> list[Fault]:
        return _sorted([*self.faults, *(fault for message in self.messages for fault in message.faults)])

    @property
    def warnings(self) -> list[Fault]:
        return _sorted(warning for message in self.messages for warning in message.warnings)


def check_messages(rendering: Rendering, flow: str, settings_model: type[FlowSettings]) -> CheckedFlow:
    """Check a flow's messages in every locale that they are written in; those to people are of the flow `people`.

    Never raises for what a template's author wrote.
    """
    faults = _start_up_faults(rendering, flow, settings_model)
    checked: list[CheckedMessage] = []
    try:
        settings = settings_model()
    except ValidationError as error:
        names = ", ".join(str(fault["loc"][0]) for fault in error.errors())
        what = f"{settings_model.__name__} has no default for {names}, so its messages have no sample"
        return CheckedFlow(flow, (*faults, Fault(f"workflows/{flow}.py", 1, what, "give it one")), ())
    for (owner, name), message in rendering.messages.items():
        if owner != flow or message.problems or message.type is None:
            continue
        for locale in sorted(message.by_locale):
            try:
                read = _read(rendering, flow, name, message, locale, settings)
            except CannotRender as error:
                if not faults:  # else they are why
                    where = path_in_project(rendering.root, rendering.root / flow / name / locale / "body.mjml")
                    faults = (*faults, Fault(where, 1, f"cannot be rendered {error}", "mend the expression"))
                continue
            checked.append(_checked(name, read))
    return CheckedFlow(flow, faults, tuple(checked))


def _start_up_faults(rendering: Rendering, flow: str, settings_model: type[FlowSettings]) -> tuple[Fault, ...]:
    try:
        if flow == PEOPLE:
            rendering.templates.check_people()
        else:
            rendering.templates.check(flow, settings_model)
    except TemplateError as error:
        return tuple(template_fault(problem, f"workflows/{flow}.py") for problem in error.problems)
    return ()


def _read(
    rendering: Rendering, flow: str, name: str, message: Message, locale: str, settings: FlowSettings
) -> ReadMessage:
    readings = []
    for sample in samples(locale):
        try:
            readings.append(Reading(sample, rendering.render(flow, name, sample, settings)))
        except CannotRender as error:
            raise CannotRender(f"for a reader {sample.who} ({error})") from None
    return ReadMessage(
        folder=path_in_project(rendering.root, rendering.root / flow / name),
        locale=locale,
        message_class=rendering.message_class(flow, name),
        sources=message.sources,
        sender=rendering.sender,
        unsubscribe_url=rendering.unsubscribe_url,
        readings=readings,
    )


def _checked(name: str, read: ReadMessage) -> CheckedMessage:
    return CheckedMessage(
        message=name,
        locale=read.locale,
        subject=read.subject,
        html_bytes=read.html_bytes,
        least_contrast=contrast.least_contrast(read),
        faults=tuple(_found(RULES, read)),
        warnings=tuple(_found(WARNINGS, read)),
    )


def _found(rules: Iterable[Rule], read: ReadMessage) -> list[Fault]:
    return _sorted(fault for rule in rules for fault in rule(read))


def _sorted(faults: Iterable[Fault]) -> list[Fault]:
    """Each once: what samples have in common, and parts that messages share."""
    return sorted(set(faults))
