"""What a contact chooses for themselves on pages of ours: topics, all or none of them, and what they confirm.

It holds at once, in every flow: whatever is sent is judged by it in the transaction that reserves the message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from api.consenting import Following, keep_words, tell_following, with_triggered
from api.telling import tell
from api.triggering import tell_triggered, triggered_by
from api.wiring import Services
from domain.consent import CONTACT, ConsentState, Word
from domain.suppressions import STOPS_EVERYTHING, SuppressionReason
from emails.topics import Topics
from store.consents import consent_of, record_words, topics_written_about
from store.crm import note_lifted_sunset
from store.enrollments import active_enrollments
from store.erasures import erasure_of
from store.events import last_event, record_event
from store.suppressions import suppressions_of, unsuppress
from store.tables import ContactRow, EventRow, new_id, now

PREFERENCES = "preferences"
CONFIRMATION = "confirmation"
_UNSUBSCRIBED = "unsubscribed"


class ContactGone(Exception):
    """The contact is not there any more, or is being erased."""


class Offer(NamedTuple):
    """A topic on a contact's page. `would_be_on` if they had not left all."""

    topic: str
    state: ConsentState | None
    would_be_on: bool


class Preferences(NamedTuple):
    """What a contact gets.

    `is_paused`: no marketing, since they did nothing for long; `is_stopped`: nothing at all, whatever they choose.
    """

    contact: ContactRow
    offers: list[Offer]
    has_left: bool
    is_paused: bool
    is_stopped: bool

    @property
    def on(self) -> list[str]:
        return [] if self.has_left else [offer.topic for offer in self.offers if offer.would_be_on]

    @property
    def requested(self) -> list[str]:
        return [offer.topic for offer in self.offers if offer.state is ConsentState.REQUESTED]


async def read_preferences(services: Services, contact_id: str) -> Preferences:
    """Raises: ContactGone."""
    async with services.database.read() as session:
        return await _preferences(session, services.topics, await session.get(ContactRow, contact_id))


async def choose(services: Services, contact_id: str, was_on: Collection[str], chosen: Mapping[str, str]) -> None:
    """Keep what the contact changed on a page that showed `was_on` as on: `chosen` are wordings by topic.

    What they left as it was stays, whatever it is by now; nobody joins by a wording that is not the present one. Who
    had left all and joins something comes back to that alone. Whoever chooses acts: a sunset is over.
    Raises: ContactGone.
    """
    async with services.database.write() as session:
        before = await _locked_preferences(session, services, contact_id)
        offered = {offer.topic for offer in before.offers}
        joined = offered & _at_present(services.topics, chosen) - set(was_on)
        left = offered & set(was_on) - chosen.keys()
        following = await _keep(session, services, before, joined, left, PREFERENCES)
    await tell_following(services, following)


async def confirm(services: Services, contact_id: str, shown: Mapping[str, str]) -> list[str]:
    """The contact agrees to what they are said to have agreed to, as far as it was `shown`: wordings by topic.

    Returns: what they confirmed now; nothing, the second time. Raises: ContactGone.
    """
    async with services.database.write() as session:
        before = await _locked_preferences(session, services, contact_id)
        confirmed = _at_present(services.topics, shown) & set(before.requested)
        following = await _keep(session, services, before, confirmed, (), CONFIRMATION)
    await tell_following(services, following)
    return [topic for topic in before.requested if topic in confirmed]


async def leave_all(services: Services, contact_id: str) -> None:
    """Opt the contact out of everything but transactional email, and end their enrollments.

    Twice is as once. Raises: ContactGone.
    """
    event = None
    async with services.database.write() as session:
        before = await _locked_preferences(session, services, contact_id)
        agreed = [offer.topic for offer in before.offers if offer.state not in (None, ConsentState.WITHDRAWN)]
        await record_words(session, contact_id, _withdrawn(agreed, PREFERENCES))
        if not before.has_left or await _has_entered_since(session, contact_id):
            event = EventRow(id=new_id(), contact_id=contact_id, name=_UNSUBSCRIBED, occurred_at=now())
            await record_event(session, before.contact, event)
        triggered = await triggered_by(session, services, before.contact, event)
    if event is not None:
        await tell(services.dispatcher.deliver(event), f"event {event.id}")
    await tell_triggered(services, triggered)


async def _keep(
    session: AsyncSession,
    services: Services,
    before: Preferences,
    joined: Collection[str],
    left: Iterable[str],
    source: str,
) -> Following:
    if before.is_paused:
        await unsuppress(session, before.contact.email, SuppressionReason.SUNSET)
        await note_lifted_sunset(session, before.contact.id)
    if joined and before.has_left:
        await unsuppress(session, before.contact.email, SuppressionReason.UNSUBSCRIBED)
        # What they had before they left all does not come back with it.
        left = [offer.topic for offer in before.offers if offer.would_be_on and offer.topic not in joined]
    words = [*_granted(services.topics, joined, source), *_withdrawn(left, source)]
    following = await keep_words(session, services, before.contact, words)
    return await with_triggered(session, services, before.contact, following)


async def _locked_preferences(session: AsyncSession, services: Services, contact_id: str) -> Preferences:
    contact = await session.get(ContactRow, contact_id, with_for_update=True)
    return await _preferences(session, services.topics, contact)


async def _preferences(session: AsyncSession, topics: Topics, contact: ContactRow | None) -> Preferences:
    if contact is None or await erasure_of(session, contact.id):
        raise ContactGone
    consent = await consent_of(session, contact.id)
    written_about = await topics_written_about(session, contact.id)
    suppressions = await suppressions_of(session, contact.email)
    offers = []
    for name, topic in topics.items():
        state = consent.get(name)
        if state or topic.public or name in written_about:
            # Of what needs no consent they get emails without having said a word.
            is_on = state is ConsentState.GRANTED or (state is None and name in written_about)
            offers.append(Offer(name, state, is_on))
    return Preferences(
        contact,
        offers,
        has_left=SuppressionReason.UNSUBSCRIBED in suppressions,
        is_paused=SuppressionReason.SUNSET in suppressions,
        is_stopped=not suppressions.isdisjoint(STOPS_EVERYTHING),
    )


async def _has_entered_since(session: AsyncSession, contact_id: str) -> bool:
    """Whether the contact came into a flow after they left all the last time."""
    last = await last_event(session, contact_id, _UNSUBSCRIBED)
    active = await active_enrollments(session, contact_id)
    return any(last is None or enrollment.created_at > last.received_at for enrollment in active)


def _at_present(topics: Topics, wordings: Mapping[str, str]) -> set[str]:
    return {topic for topic, wording in wordings.items() if topic in topics and topics[topic].wording == wording}


def _granted(topics: Topics, names: Iterable[str], source: str) -> list[Word]:
    return [
        Word(name, ConsentState.GRANTED, source, CONTACT, topics[name].wording, topics[name].purpose)
        for name in sorted(names)
    ]


def _withdrawn(names: Iterable[str], source: str) -> list[Word]:
    return [Word(name, ConsentState.WITHDRAWN, source, CONTACT) for name in sorted(names)]
