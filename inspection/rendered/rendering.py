"""Renders messages for samples: the one place that does, beside the activities that write to somebody."""

from __future__ import annotations

from pathlib import Path

from domain.flows import FlowSettings
from domain.messages import MessageClass, Sender
from emails.folder import PEOPLE, Message, read_messages
from emails.templates import EMAILS, Rendered, TemplateError, Templates
from inspection.rendered.samples import PUBLIC_URL, SENDER, Sample

_NOBODYS = "sample"
"""In the place of a link's token. Nobody signed it, so its page changes nothing."""


class CannotRender(Exception):
    """A template that fails with what it is given: says on what, without values."""


class Rendering:
    """The messages below `root`, or those of one flow; those to people of the team are of the flow `people`."""

    def __init__(
        self, root: Path = EMAILS, *, sender: Sender = SENDER, public_url: str = PUBLIC_URL, only: str | None = None
    ) -> None:
        self.root = root
        self.messages: dict[tuple[str, str], Message] = read_messages(root, only)
        self.templates = Templates(root, self.messages)
        self.sender = sender
        self.unsubscribe_url = f"{public_url.rstrip('/')}/unsubscribe/{_NOBODYS}"
        self._confirm_url = f"{public_url.rstrip('/')}/confirm/{_NOBODYS}"
        self._answer_url = f"{public_url.rstrip('/')}/answer/approval/{_NOBODYS}"

    def message_class(self, flow: str, message: str) -> MessageClass:
        """Raises: UnknownMessage; TemplateError if its message.toml is faulty."""
        return self.templates.message(flow, message).message_class

    def render(self, flow: str, message: str, sample: Sample, settings: FlowSettings) -> Rendered:
        """Render a message for a sample; `settings` are the flow's. Links in it lead to pages that change nothing.

        Raises: UnknownMessage, TemplateError, CannotRender.
        """
        transactional = self.message_class(flow, message) is MessageClass.TRANSACTIONAL
        try:
            if flow == PEOPLE:
                return self._to_a_person(message, sample)
            return self.templates.render(
                flow,
                message,
                contact=sample.contact,
                sender=self.sender,
                settings=settings,
                unsubscribe_url=None if transactional else self.unsubscribe_url,
                links={"confirm_url": self._confirm_url},
            )
        except TemplateError:
            raise
        except Exception as error:  # whatever a template's expressions may raise
            raise CannotRender(f"{type(error).__name__}: {error}") from None

    def _to_a_person(self, message: str, sample: Sample) -> Rendered:
        question = sample.question
        return self.templates.render_for_person(
            message,
            person=question.person,
            contact=sample.contact,
            sender=self.sender,
            subject=question.subject,
            facts=question.facts,
            url=self._answer_url,
            until=question.until,
            others=question.others,
            in_place_of=question.in_place_of,
        )
