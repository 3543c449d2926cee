"""What the pages have in common by which people of the team answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from fastapi.responses import HTMLResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from api.answering import AskedRow
from api.console.answer_form import Form
from api.console.pages import page
from api.console.reader import Reader
from api.wiring import Services
from domain.people import Person
from store import holds
from store.tables import EnrollmentRow

GONE = frozenset({"expired", "withdrawn", "changed", "overdue", "lapsed"})
"""States in which there is nothing to answer any more, and no answer."""


class DeadLink(Exception):
    """A link that leads to no question: not ours, too old, of somebody who is not active, or no manager any more."""

    def __init__(self, why: Literal["bad", "expired", "inactive", "not_manager"]) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Reply:
    """What a page has for a form: empty, or as it was sent, with what is wrong about it."""

    form: Form
    fault: str | None = None
    status: int = 200


class AskingPage(Protocol):
    """One question, at the page of one person."""

    @classmethod
    async def opened(cls, services: Services, token: str) -> Self:
        """The question that a link's token stands for. Raises: DeadLink, LinkExpired."""

    async def show(self, reply: Reply) -> HTMLResponse:
        """The page as things stand."""

    async def answer(self, form: Form) -> None:
        """Raises: Faulty; Refused, NotTold or UnfitDelegate as `give_answer`."""


def active(person: Person | None) -> Person:
    """Raises: DeadLink."""
    if person is None:
        raise DeadLink("bad")
    if not person.active:
        raise DeadLink("inactive")
    return person


def flow_fact(services: Services, reader: Reader, name: str) -> tuple[str, str]:
    """Which flow asks, by its title."""
    flow = services.flows.get(name)
    return reader.say("flow"), services.words.say(name, flow.about.title, reader.language) if flow else name


async def is_held(session: AsyncSession, asked: AskedRow) -> bool:
    """Whether the flow that asks is on hold: no deadline comes until it is resumed, and each moves by that time."""
    enrollment = await session.get_one(EnrollmentRow, asked.enrollment_id)
    return await holds.is_held(session, enrollment)


def render(services: Services, template: str, reader: Reader, reply: Reply, state: str, **values: Any) -> HTMLResponse:
    """The page in a state: `ask` has a form, those of GONE answer 410."""
    status = 410 if state in GONE and reply.status in (200, 409) else reply.status
    return page(
        template,
        reader.language,
        status=status,
        sender=services.settings.sender_name,
        reader=reader,
        state=state,
        form=reply.form,
        fault=reader.say(reply.fault) if reply.fault else None,
        **values,
    )
