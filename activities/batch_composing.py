"""What goes to a provider for those of a broadcast who get it now: shared requests, and messages of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from activities.batch_handover import Post
from activities.outgoing import Way
from domain.broadcasts import FLOW
from domain.contacts import Contact
from domain.message_batches import BatchMailer, Letter, MessageBatch
from domain.messages import EmailMessage
from domain.sending_rules import Decision
from emails.substitutions import SharedMessage, Skeleton
from store.broadcast_ledger import Open
from store.ledger_tables import MessageRow
from store.list_tables import BroadcastRow
from store.tables import month_of

AT_ONCE = 20
"""Messages in requests of their own that are reserved together: so many may come into doubt if a worker is killed."""


class Chosen(NamedTuple):
    """A contact who is to get it now."""

    who: Open
    message_id: str
    contact: Contact
    variant: str | None
    decision: Decision
    row: MessageRow | None


class Composed(NamedTuple):
    """The requests to make, each with whom it is for and the subject that they get; who cannot be written to and why;
    and those for whom there was no room among messages of their own.
    """

    posts: list[tuple[Post, list[tuple[Chosen, str]]]]
    unwritten: list[tuple[Chosen, str]]
    no_room: list[Chosen]


class ContactLinks(NamedTuple):
    """`unsubscribe_url` makes a contact's own link; `others` those that templates name, each of a contact's id too."""

    unsubscribe_url: Callable[[str], str]
    others: Mapping[str, Callable[[str], str]]


class Composing:
    """For one broadcast, at one moment. `shared` is its message, with the subject of a variant."""

    def __init__(
        self,
        broadcast: BroadcastRow,
        shared: Callable[[str | None], SharedMessage],
        links: ContactLinks,
        moment: datetime,
    ) -> None:
        self._broadcast = broadcast
        self._shared = shared
        self._links = links
        self._moment = moment
        self._numbers = 0

    def compose(self, chosen: Sequence[Chosen], way: Way) -> Composed:
        """As few requests as can be, and at most AT_ONCE messages of their own."""
        mailer = way.mailer if isinstance(way.mailer, BatchMailer) else None
        batches: dict[str, tuple[Skeleton, list[tuple[Chosen, Letter]]]] = {}
        by_themselves: list[Chosen] = []
        for each in chosen:
            found = self._letter(each, mailer) if mailer is not None else None
            if found is None:
                by_themselves.append(each)
            else:
                skeleton, letter = found
                batches.setdefault(skeleton.html, (skeleton, []))[1].append((each, letter))
        composed = Composed([], [], by_themselves[AT_ONCE:])
        for skeleton, letters in batches.values():
            size = mailer.batch_size if mailer is not None else 1
            for begins in range(0, len(letters), size):
                part = letters[begins : begins + size]
                batch = self._batch(skeleton, [letter for _, letter in part])
                receivers = [(each, letter.subject) for each, letter in part]
                composed.posts.append((self._post(batch, way), receivers))
        for each in by_themselves[:AT_ONCE]:
            try:
                email = self._email(each)
            except Exception as error:  # of one contact: it must not keep the others from getting theirs
                why = f"the message cannot be rendered for this contact: {type(error).__name__}"
                composed.unwritten.append((each, why))
            else:
                composed.posts.append((self._post(email, way), [(each, email.subject)]))
        return composed

    def _letter(self, each: Chosen, mailer: BatchMailer) -> tuple[Skeleton, Letter] | None:
        contact, shared = each.contact, self._shared(each.variant)
        skeleton = shared.skeleton(contact.locale)
        if skeleton is None:
            return None
        url = self._opt_out(shared, contact)
        try:
            personal = skeleton.personal(contact, url)
        except Exception:  # whatever a template's expressions may raise: it is told where the message is rendered
            return None
        if personal is None:
            return None
        letter = Letter(each.message_id, contact.email, _name(contact), personal.subject, url, personal.values)
        return (skeleton, letter) if mailer.takes(letter) else None

    def _batch(self, skeleton: Skeleton, letters: Sequence[Letter]) -> MessageBatch:
        return MessageBatch(
            flow=FLOW,
            step=self._broadcast.message,
            sender=self._shared(None).sender,
            html=skeleton.html,
            text=skeleton.text,
            letters=letters,
        )

    def _email(self, each: Chosen) -> EmailMessage:
        contact, shared = each.contact, self._shared(each.variant)
        url = self._opt_out(shared, contact)
        others = {name: link(contact.id) for name, link in self._links.others.items()}
        rendered = shared.render(contact, url, others)
        return EmailMessage(
            id=each.message_id,
            flow=FLOW,
            step=self._broadcast.message,
            sender=shared.sender,
            to_email=contact.email,
            to_name=_name(contact),
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            unsubscribe_url=url,
        )

    def _opt_out(self, shared: SharedMessage, contact: Contact) -> str | None:
        return self._links.unsubscribe_url(contact.id) if shared.has_opt_out else None

    def _post(self, content: MessageBatch | EmailMessage, way: Way) -> Post:
        """Its moment is its own, by microseconds."""
        moment = self._moment + timedelta(microseconds=self._numbers)
        self._numbers += 1
        return Post(self._broadcast.id, month_of(self._broadcast.created_at), moment, way, content)


def _name(contact: Contact) -> str:
    return f"{contact.first_name} {contact.last_name}".strip()
