"""What each row says to a person who reads a contact's timeline: one sentence, without a full stop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from domain.consent import ConsentState
from domain.deliveries import DeliveryKind, Sign
from domain.durations import in_words
from domain.messages import MessageStatus
from domain.questions import Refusal
from domain.suppressions import SuppressionReason
from domain.trail import minute
from store.assignments import given_by
from store.ledger_tables import DeliveryEventRow, MessageRow
from store.people_tables import AnswerRow, ApprovalRequestRow, ApprovalRow, AssignmentRow, TaskRow
from store.tables import ConsentRow, ContactRow, CrmChangeRow, EnrollmentRow, EventRow, HoldRow, SuppressionRow

_SHOWN = 5
"""People passed over that a sentence names. An entry's details have all of them."""
_REPORTED_AT_ONCE = timedelta(minutes=1)
_EVENTS = {
    "opened": "Opened an email",
    "clicked": "Clicked a link",
    "replied": "Replied",
    "visited": "Visited",
    "unsubscribed": "Unsubscribed",
    "bounced": "An email to the contact bounced",
    "complained": "Marked an email as spam",
}
_LEFT_BY = {
    "goal": "its goal was reached",
    "bounced": "an email bounced",
    "complained": "the contact complained",
    "failed": "a step failed",
}
_SIGNS = {
    Sign.PROVIDER: "the provider says so",
    Sign.AGENT: "its user agent says so",
    Sign.TOO_FAST: "too soon after the delivery",
    Sign.MANY_LINKS: "many links at once",
}
_CRM = {
    "fields": "Fields",
    "lifecycle": "Lifecycle stage",
    "score": "Score",
    "owner": "Lead owner",
    "note": "Note",
    "sunset": "Sunset",
}
_REFUSED: Mapping[str, str] = {
    Refusal.NOT_PENDING: "it was not open any more",
    Refusal.NOT_ASKED: "they were not asked",
    Refusal.ANSWERED: "they had answered before",
    Refusal.NOT_A_CHOICE: "it was not theirs to choose",
}
_ANSWERED = {"approve": "approved", "reject": "rejected", "done": "said that it is done", "accept": "accepted"}


class About(NamedTuple):
    """What an approval, a task or a lead asks, or what a message is called, and where."""

    subject: str = ""
    enrollment_id: str | None = None
    step: str | None = None


class Known(NamedTuple):
    """What rows refer to by id. Whoever and whatever is not there any more is named without a name."""

    flows: Mapping[str, str] = {}
    """Of the contact's enrollments."""
    people: Mapping[str, str] = {}
    questions: Mapping[str, About] = {}
    """Those that answers and requests are about, and the messages that deliveries are of, by id."""
    asked: Mapping[str, Sequence[ApprovalRequestRow]] = {}
    """By approval."""
    answers: Mapping[str, Sequence[AnswerRow]] = {}
    """Those that counted, by question."""

    def person(self, person_id: str | None) -> str:
        return self.people.get(person_id or "", "somebody")

    def flow(self, enrollment_id: str | None) -> str:
        return self.flows.get(enrollment_id or "", "a flow")

    def about(self, question_id: str) -> About:
        return self.questions.get(question_id, About())


def became_known(_row: ContactRow, _known: Known) -> str:
    return "Became known"


def consent(row: ConsentRow, _known: Known) -> str:
    words = {
        ConsentState.GRANTED: "Agreed to email",
        ConsentState.REQUESTED: "Was asked to confirm that they agree to email",
        ConsentState.WITHDRAWN: "Does not agree to email",
    }
    return f"{words[ConsentState(row.state)]} about {row.topic} (source: {row.source})"


def suppression(row: SuppressionRow, _known: Known) -> str:
    if row.reason == SuppressionReason.SUNSET:
        return "Gets no marketing until they act"
    why = row.reason.replace("_", " ") + (f", {row.note}" if row.note else "")
    return f"The address is not written to any more: {why}"


def event(row: EventRow, _known: Known) -> str:
    late = row.received_at - row.occurred_at
    reported = f", reported {in_words(late)} later" if late > _REPORTED_AT_ONCE else ""
    return _EVENTS.get(row.name, f"Event {row.name}") + reported


def entered(row: EnrollmentRow, known: Known) -> str:
    ways = {
        "api": f"enrolled by {known.person(row.requested_by)}" if row.requested_by else "through the API",
        "hand-over": f"handed over by {known.flow(row.came_from)}",
        "goal": f"since {known.flow(row.came_from)} reached its goal",
        "schedule": "by its daily schedule",
        "trigger": "by a trigger",
        "bulk": "with others, by a bulk enrollment",
    }
    return f"Entered {row.flow}, {ways.get(row.origin, row.origin)}"


def inserted_behind(row: EnrollmentRow, _known: Known) -> str:
    return f"Did not get what edits of {row.flow} inserted where they had passed: {', '.join(row.skipped_steps)}"


def cancel_asked(row: EnrollmentRow, _known: Known) -> str:
    return f"Somebody asked to cancel {row.flow}"


def ended(row: EnrollmentRow, _known: Known) -> str:
    at = f" at {row.last_step}" if row.last_step else ""
    if row.exit == "completed":
        return f"Came to the end of {row.flow}{at}"
    reason = f" ({row.exit_reason})" if row.exit_reason else ""
    return f"Left {row.flow}{at}: {_LEFT_BY.get(row.exit or '', row.exit)}{reason}"


def message(row: MessageRow, known: Known) -> str:
    if row.person_id is None:
        which = f"Email {row.step}" + (" of a broadcast" if row.broadcast_id else "")
    else:
        which = f"Email to {known.person(row.person_id)} of the team about {row.step.split('/')[0]}"
    why = f": {row.reason}" if row.reason else ""
    words = {
        MessageStatus.SENT: f"was sent{_quoted(row.subject)}",
        MessageStatus.DELIVERED: f"was delivered{_quoted(row.subject)}",
        MessageStatus.OPENED: f"was opened{_quoted(row.subject)}",
        MessageStatus.CLICKED: f"was clicked{_quoted(row.subject)}",
        MessageStatus.BOUNCED: f"did not reach them{why}",
        MessageStatus.DROPPED: f"was dropped by the provider{why}",
        MessageStatus.COMPLAINED: f"was marked as spam{_quoted(row.subject)}",
        MessageStatus.SKIPPED: f"was not sent{why}",
        MessageStatus.REJECTED: f"was refused by the provider{why}",
        MessageStatus.UNCONFIRMED: f"may have arrived or not{why}",
        MessageStatus.SENDING: "is with the provider, which has not answered yet",
        MessageStatus.DEFERRED: f"waits{f' until {minute(row.deferred_until)}' if row.deferred_until else ''}{why}",
        MessageStatus.READY: f"was not taken by the provider yet, and is tried again{why}",
    }
    return f"{which} {words[MessageStatus(row.status)]}"


def delivery(row: DeliveryEventRow, known: Known) -> str:
    why = f": {row.reason}" if row.reason else ""
    by_a_machine = f"by a machine: {_SIGNS[Sign(row.automated)]}" if row.automated else ""
    words = {
        DeliveryKind.DELIVERED: "was delivered",
        DeliveryKind.BLOCKED: f"did not reach them{why}",
        DeliveryKind.DROPPED: f"was dropped by the provider{why}",
        DeliveryKind.OPENED: f"was opened {by_a_machine}",
        DeliveryKind.CLICKED: f"had a link clicked {by_a_machine}",
    }
    return f"Email {known.about(row.message_id or '').step} {words[DeliveryKind(row.kind)]}"


def crm_change(row: CrmChangeRow, known: Known) -> str:
    if row.refusal:
        return f"{_CRM.get(row.kind, row.kind)} did not change: {row.refusal}"
    mirrored = f"; the other system does not take it: {row.mirror_refusal}" if row.mirror_refusal else ""
    return _changed(row, known) + mirrored


def _changed(row: CrmChangeRow, known: Known) -> str:
    change, result = row.change, row.result
    match row.kind:
        case "score":
            return f"Score {change.get('points', 0):+d} is now {result.get('score')}"
        case "lifecycle":
            return f"Lifecycle stage is now {change.get('stage')}"
        case "fields":
            fields = change.get("fields")
            return f"Fields changed: {', '.join(fields) if isinstance(fields, dict) else ''}"
        case "owner":
            owner = change.get("person_id")
            return f"{known.person(str(owner))} is the lead owner now" if owner else "There is no lead owner any more"
        case "note":
            return f"Note: {change.get('text')}"
        case "sunset":
            return "Sunset: no marketing until the contact acts"
    return f"Changed: {row.kind}"


def sunset_lifted(_row: CrmChangeRow, _known: Known) -> str:
    return "Gets marketing again: the contact acted after the sunset"


def not_handed_over(row: CrmChangeRow, _known: Known) -> str:
    flow = row.change.get("flow")
    return f"Not handed over to {flow}: {row.refusal}" if row.refusal else f"Handed over to {flow}: in it already"


def approval_asked(row: ApprovalRow, known: Known) -> str:
    first = [request for request in known.asked.get(row.id, ()) if request.stage == 0 and request.reason == "asked"]
    rounds = f", in {len(row.stages)} rounds" if len(row.stages) > 1 else ""
    return f"{_some(known.person(each.person_id) for each in first)} asked to approve{rounds}: {row.subject}"


def approval_asked_too(row: ApprovalRequestRow, known: Known) -> str:
    others = [
        known.person(each.person_id)
        for each in known.asked.get(row.approval_id, ())
        if (each.delegated_to, each.stage) == (row.person_id, row.stage)
    ]
    delegated = f"in place of {_some(others) if others else 'somebody else'}"
    why = delegated if row.reason == "delegated" else "since nobody had answered"
    return f"{known.person(row.person_id)} asked to approve {why}: {known.about(row.approval_id).subject}"


def answered(row: AnswerRow, known: Known) -> str:
    if row.choice == "delegate":
        said = f"has {known.person(row.delegate_id)} answer in their place"
    else:
        said = _ANSWERED.get(row.choice, f"{row.choice}d")
    words = _REFUSED.get(row.refusal or "")
    why = f", for {words}" if words else ""
    counts = {"taken": "", "refused": f", which does not count{why}"}.get(row.status, ", not yet taken in")
    return f"{known.person(row.person_id)} {said}{counts}: {known.about(row.question_id).subject}{_quoted(row.comment)}"


def approval_closed(row: ApprovalRow, known: Known) -> str:
    choice = {"approved": "approve", "rejected": "reject"}.get(row.status)
    by = [known.person(each.person_id) for each in known.answers.get(row.id, ()) if each.choice == choice]
    words = {"expired": "Nobody decided in time", "withdrawn": "Approval withdrawn"}
    return f"{words.get(row.status, row.status.capitalize())}{f' by {_some(by)}' if by else ''}: {row.subject}"


def task_given(row: TaskRow, known: Known) -> str:
    whom = known.person(row.person_id) if row.person_id else f"anybody in the role {row.role}"
    due = f", due {minute(row.due_at)}" if row.due_at else ""
    return f"Task for {whom}{due}: {row.subject}"


def task_closed(row: TaskRow, known: Known) -> str:
    if row.status == "done":
        comment = next((each.comment for each in known.answers.get(row.id, ()) if each.comment), None)
        return f"Task done by {known.person(row.done_by)}: {row.subject}{_quoted(comment)}"
    words = {"overdue": "Nobody did the task in time", "withdrawn": "Task withdrawn"}
    return f"{words.get(row.status, row.status.capitalize())}: {row.subject}"


def lead_decided(row: AssignmentRow, known: Known) -> str:
    if row.person_id is None:
        return f"Nobody could take the lead, which waits in the queue{_passed_over(row.reasons, known)}"
    if (giver := given_by(row)) is not None:
        return f"{known.person(giver)} gave the lead to {known.person(row.person_id)} by hand"
    rule = f" by the rule {row.rule}" if row.rule else ""
    by = f", to be answered by {minute(row.respond_by)}" if row.respond_by else ""
    return f"Lead offered to {known.person(row.person_id)}{rule}{by}{_passed_over(row.reasons, known)}"


def lead_closed(row: AssignmentRow, known: Known) -> str:
    who = known.person(row.person_id)
    comment = next((each.comment for each in known.answers.get(row.id, ()) if each.comment), None)
    match row.status:
        case "accepted" | "declined":
            return f"{who} {row.status} the lead{_quoted(comment)}"
        case "lapsed":
            return f"{who} did not answer in time: the lead goes on"
        case "drained":
            return "The lead came out of the queue"
    return f"The lead is not offered to {who} any more" if row.person_id else "The lead left the queue"


def held(row: HoldRow, known: Known) -> str:
    return f"Held {_where(row, known)}: nothing begins until it is resumed"


def began_held(row: EnrollmentRow, _known: Known) -> str:
    return f"All of {row.flow} was held already: nothing begins until it is resumed"


def resumed(row: HoldRow, known: Known) -> str:
    return f"Resumed {_where(row, known)}"


def _where(row: HoldRow, known: Known) -> str:
    if row.scope == "contact":
        return "in every flow"
    return f"with all of {row.target}" if row.scope == "flow" else f"in {known.flow(row.target)}"


def _passed_over(reasons: Sequence[Mapping[str, Any]], known: Known) -> str:
    over = [
        f"{known.person(reason.get('person'))} ({reason.get('detail')})"
        for reason in reasons
        if reason.get("verdict") == "passed_over"
    ]
    if len(over) > _SHOWN:
        over = [*over[:_SHOWN], f"{len(over) - _SHOWN} more"]
    return f"; passed over: {', '.join(over)}" if over else ""


def _quoted(text: str | None) -> str:
    return f" “{text}”" if text else ""


def _some(names: Iterable[str]) -> str:
    """At most three names, and how many there are besides."""
    known = list(dict.fromkeys(names))
    if len(known) > 3:
        known = [*known[:2], f"{len(known) - 2} others"]
    if not known:
        return "Nobody"
    return " and ".join(part for part in (", ".join(known[:-1]), known[-1]) if part)
