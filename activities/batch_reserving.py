"""Who of many contacts gets the message of a broadcast now: decided and reserved for all of them in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Row
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.batch_composing import Chosen, Composed, Composing, ContactLinks
from activities.batch_handover import Post
from activities.outgoing import NoWay, Outgoing, Way
from domain.broadcasts import BroadcastSettings, parts_of, variant_at
from domain.circuit import Probe
from domain.contacts import Contact
from domain.country_zones import known_zone
from domain.durations import in_words
from domain.messages import InOutage, MessageStatus
from domain.sending_rules import Decision, Recipient, Ruling, SendingRules, decide
from emails.folder import MessageType
from emails.substitutions import SharedMessage
from store import broadcast_ledger, holds
from store.broadcast_ledger import Open
from store.circumstances import handed_over_to, suppressions_among, words_on
from store.ledger_tables import MessageRow
from store.list_tables import BroadcastRow
from store.tables import new_id, now

HELD_FOR = timedelta(hours=1)
"""Until a message to a contact who is held is decided on again."""
_Values: TypeAlias = dict[str, Any]


class Reserved(NamedTuple):
    """`left` are those for whom there was no room among messages in requests of their own, or no provider."""

    posts: list[Post]
    left: list[Open]
    no_way: NoWay | None
    skipped: int
    deferred: int
    rejected: int


class Reserving:
    def __init__(self, outgoing: Outgoing, links: ContactLinks, rules: SendingRules) -> None:
        self.outgoing = outgoing
        self.links = links
        self.rules = rules

    async def reserve(
        self,
        session: AsyncSession,
        broadcast: BroadcastRow,
        settings: BroadcastSettings,
        shared: Callable[[str | None], SharedMessage],
        members: Sequence[Open],
    ) -> Reserved:
        """Decide on each of these, and write that down. `shared` is the message with a variant's subject."""
        return await _Piece(self, session, broadcast, settings, shared).reserve(members)


class _Piece:
    """One transaction's work."""

    def __init__(
        self,
        by: Reserving,
        session: AsyncSession,
        broadcast: BroadcastRow,
        settings: BroadcastSettings,
        shared: Callable[[str | None], SharedMessage],
    ) -> None:
        self._by = by
        self._session = session
        self._broadcast = broadcast
        self._settings = settings
        self._kind: MessageType = shared(None).kind
        self._tested = parts_of(settings, broadcast.size or 0).tested
        self._now = now()
        self._composing = Composing(broadcast, shared, by.links, self._now)
        self._new: list[_Values] = []
        self._changed: list[_Values] = []
        self._counts = {MessageStatus.SKIPPED: 0, MessageStatus.DEFERRED: 0, MessageStatus.REJECTED: 0}
        self._decisions: dict[Any, Decision] = {}
        self._dumped: dict[int, tuple[Decision, _Values]] = {}
        self._due: dict[str, datetime | None] = {}

    async def reserve(self, members: Sequence[Open]) -> Reserved:
        chosen = await self._choose(members)
        posts: list[Post] = []
        left: list[Open] = []
        way: Way | NoWay | None = None
        if chosen:
            way = await self._by.outgoing.way_of_new(self._session, self._broadcast.id, InOutage.OTHER_PROVIDER)
        if isinstance(way, Way):
            # One message tells as much as a thousand whether the provider is back, and is one doubt if it is not.
            count = 1 if isinstance(way.permission, Probe) else len(chosen)
            composed = self._composing.compose(chosen[:count], way)
            posts = self._noted(composed)
            left = [each.who for each in (*composed.no_room, *chosen[count:])]
        elif way is not None:
            left = [each.who for each in chosen]
        try:
            await broadcast_ledger.add_rows(self._session, self._new)
        except broadcast_ledger.DecidedMeanwhile:
            raise ApplicationError(
                "another attempt has decided on some of these contacts",
                type="DecidedMeanwhile",
                category=ApplicationErrorCategory.BENIGN,
            ) from None
        await broadcast_ledger.change_rows(self._session, self._changed)
        counts = self._counts.values()
        return Reserved(posts, left, way if isinstance(way, NoWay) else None, *counts)

    def _noted(self, composed: Composed) -> list[Post]:
        """Write down what goes out, and what cannot be written at all."""
        for post, receivers in composed.posts:
            for each, subject in receivers:
                self._settle(each, MessageStatus.SENDING, None, post=post, subject=subject)
        for each, why in composed.unwritten:
            self._settle(each, MessageStatus.REJECTED, why)
        return [post for post, _ in composed.posts]

    async def _choose(self, members: Sequence[Open]) -> list[Chosen]:
        """Those who get it now. Of the others it is noted why not."""
        session, ids = self._session, [member.contact_id for member in members]
        contacts = await broadcast_ledger.lock_contacts(session, ids)
        known = [member.contact_id for member in members if member.position is None]
        rows = await broadcast_ledger.lock_rows(session, self._broadcast, known) if known else {}
        consent = await words_on(session, self._kind.topic, ids)
        suppressed = await suppressions_among(session, [contact.email for contact in contacts])
        looks_back = self._by.rules.looks_back(self._kind.message_class)
        since = self._now - looks_back
        earlier = await handed_over_to(session, ids, since, self._broadcast.id) if looks_back else {}
        held = await holds.open_holds(session, holds.Scope.CONTACT, ids)
        who = {member.contact_id: member for member in members}
        chosen = []
        for contact in contacts:
            row = rows.get(contact.id)
            if who[contact.id].position is None and (row is None or row.status not in _OPEN):
                continue  # somebody else has come first
            sent = earlier.get(contact.id, ())
            recipient = (
                consent.get(contact.id),
                suppressed[contact.email],
                contact.time_zone,
                contact.country,
                tuple(moment for kind, moment in sent if kind is self._kind.message_class),
                tuple(moment for _, moment in sent),
            )
            candidate = self._candidate(who[contact.id], contact, row, recipient)
            if self._goes_now(candidate, contact.id in held):
                chosen.append(candidate)
        return chosen

    def _candidate(self, who: Open, contact: Row[Any], row: MessageRow | None, recipient: tuple[Any, ...]) -> Chosen:
        if row is not None:
            variant = row.variant
        else:
            assert who.position is not None  # noqa: S101 (whoever has none has a row)
            variant = variant_at(self._settings, who.position, self._tested, self._broadcast.winner)
        message_id = row.id if row is not None else new_id()
        decision = self._decided(recipient, message_id)
        # Not validated again: rules for input may be stricter by now than when the contact came in.
        return Chosen(who, message_id, Contact.model_construct(**contact._mapping), variant, decision, row)

    def _decided(self, known: tuple[Any, ...], message_id: str) -> Decision:
        """Contacts of whom the same is known are decided on alike, but for when they get what has to wait."""
        if known in self._decisions:
            return self._decisions[known]
        consent, suppressions, time_zone, country, sent, sent_of_any = known
        recipient = Recipient(
            consent=consent,
            suppressions=suppressions,
            time_zone=time_zone,
            country=country,
            sent=sent,
            sent_of_any=sent_of_any,
        )
        decision = decide(self._kind.message_class, self._kind.topic, recipient, self._by.rules, self._now, message_id)
        if decision.ruling is not Ruling.DEFER:
            self._decisions[known] = decision
        return decision

    def _goes_now(self, candidate: Chosen, held: bool) -> bool:
        decision = candidate.decision
        if decision.ruling is Ruling.SKIP:
            self._settle(candidate, MessageStatus.SKIPPED, decision.reason)
            return False
        due = self._due_at(candidate.contact)
        first_at = candidate.row.created_at if candidate.row is not None else self._now
        if due is not None and due > self._now:
            self._settle(candidate, MessageStatus.DEFERRED, "until their own clock shows the time", due)
            return False
        if held:
            until, reason = self._now + HELD_FOR, "the contact is held"
        elif decision.until is not None:
            until, reason = decision.until, decision.reason or ""
        else:
            return True
        if not held and until > max(first_at, due or first_at) + self._settings.give_up_after:
            given_up = f"given up after {in_words(self._settings.give_up_after)}: {reason}"
            self._settle(candidate, MessageStatus.SKIPPED, given_up)
        else:
            self._settle(candidate, MessageStatus.DEFERRED, reason, until)
        return False

    def _due_at(self, contact: Contact) -> datetime | None:
        if self._settings.at_local is None:
            return None
        zone = known_zone(contact.time_zone, contact.country, self._by.rules.sender_zone).zone
        if zone not in self._due:
            self._due[zone] = self._settings.due_at(zone)
        return self._due[zone]

    def _settle(
        self,
        each: Chosen,
        status: MessageStatus,
        reason: str | None,
        until: datetime | None = None,
        *,
        post: Post | None = None,
        subject: str | None = None,
    ) -> None:
        if status in self._counts:
            self._counts[status] += 1
        row = each.row
        values: _Values = {
            "status": status,
            "reason": reason,
            "deferred_until": until,
            "message_class": self._kind.message_class,
            "topic": self._kind.topic,
            "subject": subject,
            "provider": post.way.mailer.name if post else None,
            "handed_over_at": post.moment if post else None,
            "handovers": (row.handovers if row else 0) + (post is not None),
            "decision": self._dump(each.decision),
        }
        if row is None:
            values |= {"id": each.message_id}
            self._new.append(broadcast_ledger.new_row(self._broadcast, each.contact.id, each.variant, **values))
        else:
            self._changed.append({"id": row.id, "month": row.month, "updated_at": self._now, **values})

    def _dump(self, decision: Decision) -> _Values:
        """Most decisions of a piece are one object. It is kept along, so that no other one gets its identity."""
        if id(decision) not in self._dumped:
            self._dumped[id(decision)] = decision, decision.model_dump(mode="json")
        return self._dumped[id(decision)][1]


_OPEN = frozenset({MessageStatus.READY, MessageStatus.DEFERRED, MessageStatus.SENDING})
