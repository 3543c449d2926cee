"""Sending email to contacts: permission, ledger and provider, so that a step's message reaches them at most once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from pydantic import BaseModel, Field
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.handover import Defer, Handover, Skip
from domain.contacts import Contact
from domain.flows import Exit, FlowSettings
from domain.messages import REACHED, EmailMessage, InOutage, MessageClass, MessageStatus, Sender, SendResult
from domain.sending_rules import Decision, Recipient, Ruling, SendingRules, decide
from emails.folder import MessageType
from emails.templates import Templates
from store import ledger
from store.consents import consent_of
from store.database import Database
from store.enrollments import withdrawal
from store.ledger_tables import MessageRow
from store.suppressions import suppressions_of
from store.tables import ContactRow, EnrollmentRow, now


class SendEmail(BaseModel):
    """One step's message: the template `emails/<flow>/<message>` to the contact of the enrollment."""

    enrollment_id: str
    step: str
    message: str | None = Field(default=None, exclude_if=operator.not_, description="null: called like the step")
    aliases: list[str] = Field(
        default_factory=list, exclude_if=operator.not_, description="other names of the step, in the ledger too"
    )
    in_outage: InOutage | None = Field(
        default=None, exclude_if=operator.not_, description="null: the other provider, if there is one"
    )
    build: str | None = Field(
        default=None, exclude_if=operator.not_, description="of the flow's code, that the enrollment began on"
    )


class ResendEmail(BaseModel):
    """A message of the ledger that is in doubt no more: it is to go out again."""

    message_id: str


class EmailActivities:
    """`unsubscribe_url` makes a contact's own link; `links` others that templates name, each of a contact's id too."""

    def __init__(
        self,
        database: Database,
        handover: Handover,
        templates: Templates,
        sender: Sender,
        settings_models: Mapping[str, type[FlowSettings]],
        unsubscribe_url: Callable[[str], str],
        links: Mapping[str, Callable[[str], str]],
        rules: SendingRules,
    ) -> None:
        self._database = database
        self._handover = handover
        self._templates = templates
        self._sender = sender
        self._settings_models = settings_models
        self._unsubscribe_url = unsubscribe_url
        self._links = links
        self._rules = rules

    @activity.defn(name="email.send")
    async def send(self, order: SendEmail) -> SendResult:
        """Send one message, or say why not.

        Returns: sent, deferred (why and until when), skipped (why), rejected (why), or unconfirmed if nobody can say
        whether the provider has it.
        Raises, and when it is repeated: as `Handover.message` says. Cancellation comes too late once it has begun.
        """
        return await self._handover.to_its_end(self._send(order))

    async def _send(self, order: SendEmail) -> SendResult:
        in_outage = order.in_outage or InOutage.OTHER_PROVIDER

        async def compose(session: AsyncSession, enrollment: EnrollmentRow, row: MessageRow) -> _Composed:
            row.message = order.message or order.step
            return await self._compose(session, enrollment, row)

        row = await self._handover.message(
            order.enrollment_id,
            order.step,
            compose,
            aliases=order.aliases,
            in_outage=in_outage,
            build=order.build,
        )
        if row.status == MessageStatus.READY:
            row = await self._given_up(row.id)
        # A provider may have told already what became of it: to the flow that is no other thing than sent.
        status = MessageStatus.SENT if row.status in REACHED else MessageStatus(row.status)
        given_up = row.decision.get("given_up") is True
        return SendResult(
            status=status,
            reason=None if status is MessageStatus.SENT else row.reason,
            until=row.deferred_until,
            outage=given_up,
        )

    @activity.defn(name="email.resend")
    async def resend(self, order: ResendEmail) -> SendResult:
        """Hand a message over once more: nobody ever heard of it, or somebody says that nobody got it.

        Returns and raises as `send`, but that it comes back by itself when it is deferred.
        """
        return await self._handover.to_its_end(self._resend(order))

    async def _resend(self, order: ResendEmail) -> SendResult:
        row = await self._handover.again(order.message_id, self._compose)
        return SendResult(status=MessageStatus(row.status), reason=row.reason, until=row.deferred_until)

    async def _given_up(self, message_id: str) -> MessageRow:
        """Note that a task is given in the message's place, unless it has been settled meanwhile."""
        async with self._database.write() as session:
            row = await ledger.lock_message(session, message_id)
            assert row is not None  # noqa: S101 (it was there a moment ago, and its contact is in the flow)
            if row.status == MessageStatus.READY:
                row.status, row.updated_at = MessageStatus.SKIPPED, now()
                row.reason = f"{row.reason}: a task is given in its place"
                row.decision = {**row.decision, "given_up": True}
                session.add(row)
            return row

    async def _compose(self, session: AsyncSession, enrollment: EnrollmentRow | None, row: MessageRow) -> _Composed:
        if enrollment is not None:
            resent_at_the_end = row.resend_asked_at is not None and enrollment.exit == Exit.COMPLETED
            if (withdrawn := withdrawal(enrollment)) and not resent_at_the_end:
                return Skip(withdrawn)
        assert row.message is not None  # noqa: S101 (whoever reserves it says which)
        kind = self._templates.message(row.flow, row.message)
        row.message_class, row.topic = kind.message_class, kind.topic
        # Locked, so that of two messages to one contact at once the second one sees the first; not their key, which
        # the ledger's rows refer to: both would have it already, and wait for each other.
        query = select(ContactRow).where(ContactRow.id == row.contact_id).with_for_update(key_share=True)
        contact_row = (await session.exec(query)).one()
        decision = await self._decide(session, contact_row, kind, row.id)
        row.decision = decision.model_dump(mode="json")
        if decision.ruling is Ruling.SKIP:
            return Skip(decision.reason or "")
        if decision.until is not None:
            return Defer(decision.reason or "", decision.until)
        return self._written(enrollment, row, contact_row, kind)

    async def _decide(self, session: AsyncSession, contact: ContactRow, kind: MessageType, message_id: str) -> Decision:
        looks_back = self._rules.looks_back(kind.message_class)
        earlier = await ledger.handed_over(session, contact.id, now() - looks_back, message_id) if looks_back else []
        recipient = Recipient(
            consent=(await consent_of(session, contact.id)).get(kind.topic),
            suppressions=await suppressions_of(session, contact.email),
            time_zone=contact.time_zone,
            country=contact.country,
            sent=[moment for message_class, moment in earlier if message_class is kind.message_class],
            sent_of_any=[moment for _, moment in earlier],
        )
        return decide(kind.message_class, kind.topic, recipient, self._rules, now(), message_id)

    def _written(
        self, enrollment: EnrollmentRow | None, row: MessageRow, contact_row: ContactRow, kind: MessageType
    ) -> EmailMessage:
        # Not validated again: rules for input may be stricter by now than when the contact came in.
        contact = Contact.model_construct(**contact_row.model_dump())
        transactional = kind.message_class is MessageClass.TRANSACTIONAL
        unsubscribe_url = None if transactional else self._unsubscribe_url(contact.id)
        assert row.message is not None  # noqa: S101 (as above)
        # A broadcast has no settings.
        settings = self._settings_models[row.flow].of(enrollment.settings) if enrollment else FlowSettings()
        rendered = self._templates.render(
            row.flow,
            row.message,
            contact=contact,
            sender=self._sender,
            settings=settings,
            unsubscribe_url=unsubscribe_url,
            links={name: link(contact.id) for name, link in self._links.items()},
        )
        return EmailMessage(
            id=row.id,
            flow=row.flow,
            step=row.step,
            sender=self._sender,
            to_email=contact.email,
            to_name=f"{contact.first_name} {contact.last_name}".strip(),
            # Of a broadcast that tests subjects it is the contact's own variant, as it went out before.
            subject=row.subject if row.variant and row.subject else rendered.subject,
            html=rendered.html,
            text=rendered.text,
            unsubscribe_url=unsubscribe_url,
        )


_Composed = EmailMessage | Skip | Defer
