"""What contacts say on topics: kept, with what follows from it for the flow that has them confirm it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from api.telling import tell
from api.triggering import tell_triggered, triggered_by
from api.wiring import Services
from domain.consent import CONFIRMATION_FLOW, CONFIRMED_EVENT, ConsentState, Word
from store.consents import consent_of, record_words
from store.enrollments import AlreadyActive, NotYetAgain, active_enrollments, enroll, request_cancel
from store.events import record_event
from store.tables import ContactRow, EnrollmentRow, EventRow, new_id, now


class Following(NamedTuple):
    """What follows from words: Temporal is told of it when they are stored."""

    begins: EnrollmentRow | None = None
    ends: EnrollmentRow | None = None
    happened: EventRow | None = None
    triggered: Sequence[EnrollmentRow] = ()


async def keep_words(
    session: AsyncSession, services: Services, contact: ContactRow, words: Collection[Word], *, is_new: bool = False
) -> Following:
    """Keep what a contact, whom the caller has locked, says on topics, within the caller's transaction.

    Whoever is said to agree, and has yet to confirm it, is enrolled for that. When nothing waits for their confirmation
    any more, that enrollment is at its goal, or cancelled if they agree to nothing of it. A contact who `is_new` has
    said nothing before.
    """
    if not words:
        return Following()
    asked = set() if is_new else _requested(await consent_of(session, contact.id))
    counting = await record_words(session, contact.id, words, is_new=is_new)
    if any(word.state is ConsentState.REQUESTED for word in counting):
        return Following(begins=await _enrolled(session, services, contact))
    return await settle_request(session, contact, asked, counting)


async def settle_request(
    session: AsyncSession, contact: ContactRow, asked: Collection[str], counting: Iterable[Word]
) -> Following:
    """What follows for a contact who had these topics to confirm, and of whom these words count from now on."""
    if not asked or _requested(await consent_of(session, contact.id)):
        return Following()
    if any(word.topic in asked and word.state is ConsentState.GRANTED for word in counting):
        event = EventRow(id=new_id(), contact_id=contact.id, name=CONFIRMED_EVENT, occurred_at=now())
        await record_event(session, contact, event)
        return Following(happened=event)
    active = await active_enrollments(session, contact.id)
    confirming = next((row for row in active if row.flow == CONFIRMATION_FLOW), None)
    return Following(ends=await request_cancel(session, confirming.id) if confirming else None)


async def with_triggered(
    session: AsyncSession, services: Services, contact: ContactRow, following: Following
) -> Following:
    """What follows, with whom triggers enroll. It is the last thing that a transaction that changes a contact does."""
    return following._replace(triggered=await triggered_by(session, services, contact, following.happened))


async def tell_following(services: Services, following: Following) -> None:
    """As far as that can be done now; the sweep does the rest."""
    if following.begins is not None:
        await tell(services.dispatcher.start(following.begins), f"enrollment {following.begins.id}")
    if following.ends is not None:
        await tell(services.dispatcher.cancel(following.ends), f"enrollment {following.ends.id}")
    if following.happened is not None:
        await tell(services.dispatcher.deliver(following.happened), f"event {following.happened.id}")
    await tell_triggered(services, following.triggered)


def _requested(consent: dict[str, ConsentState]) -> set[str]:
    return {topic for topic, state in consent.items() if state is ConsentState.REQUESTED}


async def _enrolled(session: AsyncSession, services: Services, contact: ContactRow) -> EnrollmentRow | None:
    """None if they are being asked already, or were too lately."""
    reenroll_after = services.flows[CONFIRMATION_FLOW].about.reenroll_after
    try:
        return await enroll(
            session, flow=CONFIRMATION_FLOW, contact_id=contact.id, settings={}, reenroll_after=reenroll_after
        )
    except (AlreadyActive, NotYetAgain):
        return None
