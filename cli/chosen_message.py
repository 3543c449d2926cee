"""The message that `cauce emails preview` and `send-test` are about, rendered for one contact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cli.contact_file import read_contact
from cli.enroll import parse_overrides
from cli.failures import CommandFailed
from domain.broadcasts import FLOW as BROADCAST
from domain.contacts import Locale
from domain.flows import FlowSettings
from domain.messages import MessageClass
from emails.folder import PEOPLE, Message
from emails.templates import Rendered, UnknownMessage
from inspection.rendered.rendering import CannotRender, Rendering
from inspection.rendered.samples import sample_contact, sample_of
from rehearsal.simulation import CannotSimulate, checked_settings
from runtime.settings import Settings
from workflows.discovery import discover_flows

_LOCALE: TypeAdapter[str] = TypeAdapter(Locale)
_WITHOUT_SETTINGS = {BROADCAST: "broadcasts", PEOPLE: "messages to people"}


@dataclass(frozen=True)
class ChosenMessage:
    """`reader` is a name. `unsubscribe_url`, if the message has one, leads to a page that changes nothing."""

    flow: str
    message: str
    reader: str
    rendered: Rendered
    unsubscribe_url: str | None


def choose(
    name: str, settings: Settings, locale: str | None, contact_file: Path | None, assignments: Iterable[str]
) -> ChosenMessage:
    """Render `flow/message`, from the sender that is set, for the contact of a file, else for a sample.

    Of a message to people of the team, a sample of them is the reader, and the contact is whom they are asked about.
    Raises: CommandFailed, TemplateError.
    """
    flow, slash, message = name.partition("/")
    if not slash:
        raise CommandFailed(f"{name} names no message: write it as flow/message, such as onboarding/welcome")
    flow_settings = _flow_settings(flow, parse_overrides(assignments))
    contact = read_contact(contact_file) if contact_file else sample_contact()
    rendering = Rendering(sender=settings.sender, public_url=str(settings.public_url), only=flow)
    try:
        kind = rendering.message_class(flow, message)
        if locale is not None:
            contact = contact.model_copy(update={"locale": _locale(locale)})
        sample = sample_of(contact, contact.locale)
        rendered = rendering.render(flow, message, sample, flow_settings)
        if locale is not None:
            _require_written(name, rendering.messages[flow, message], locale)
    except UnknownMessage as error:
        raise CommandFailed(str(error)) from None
    except CannotRender as error:
        mend = f"mend emails/{name}, or what it is rendered with"
        raise CommandFailed(f"{name} cannot be rendered for this contact ({error}): {mend}") from None
    return ChosenMessage(
        flow=flow,
        message=message,
        reader=sample.question.person.name if flow == PEOPLE else f"{contact.first_name} {contact.last_name}".strip(),
        rendered=rendered,
        unsubscribe_url=None if kind is MessageClass.TRANSACTIONAL else rendering.unsubscribe_url,
    )


def _flow_settings(flow: str, overrides: dict[str, Any]) -> FlowSettings:
    flows = discover_flows()
    if flow in _WITHOUT_SETTINGS:
        if overrides:
            raise CommandFailed(
                f"--set {next(iter(overrides))}: {_WITHOUT_SETTINGS[flow]} see no settings: leave it out"
            )
        return FlowSettings()
    if flow not in flows:
        others = " and ".join(f"{name} for {what}" for name, what in _WITHOUT_SETTINGS.items())
        raise CommandFailed(f"there is no flow {flow}, only {', '.join(flows)}, and {others}")
    try:
        return flows[flow].settings_model.of(checked_settings(flows[flow], overrides))
    except CannotSimulate as error:
        raise CommandFailed(str(error)) from None


def _locale(written: str) -> str:
    try:
        return _LOCALE.validate_python(written)
    except ValidationError:
        raise CommandFailed(f"--locale {written}: is not named as a locale: write it like es or es-CL") from None


def _require_written(name: str, message: Message, locale: str) -> None:
    """Raises: CommandFailed if a sound message is written neither in the locale nor in its language."""
    if not {locale, locale.partition("-")[0]} & message.by_locale.keys():
        written = ", ".join(message.by_locale)
        raise CommandFailed(f"--locale {locale}: {name} is not written in it, but in {written}")
