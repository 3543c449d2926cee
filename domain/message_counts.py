"""What became of messages, of whatever flow, step or broadcast: counts that add up.

They are computed from tallies: how many rows of the ledger are alike in all that is counted (`store.reports`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.messages import MessageStatus

REASONS_SHOWN = 20
"""For a step. The rest is counted together."""
OTHER_REASONS = "other reasons"
_PARTICULARS = re.compile(r"(?<!\S)(?![245](\d\d|\.\d{1,3}\.\d{1,3})[^\w\s]?(?!\S))\S*\d\S*")
"""Words with a digit, but for what servers answer: 400, 550, 5.1.1."""
_COUNTED_AS = {
    MessageStatus.READY: ("under_way",),
    MessageStatus.SENDING: ("under_way",),
    MessageStatus.DEFERRED: ("deferred",),
    MessageStatus.UNCONFIRMED: ("unconfirmed",),
    MessageStatus.SKIPPED: ("skipped",),
    MessageStatus.REJECTED: ("rejected",),
    MessageStatus.SENT: ("sent", "not_told"),
    MessageStatus.DROPPED: ("sent", "dropped"),
    MessageStatus.BOUNCED: ("sent", "bounced"),
    MessageStatus.DELIVERED: ("sent", "delivered"),
    MessageStatus.OPENED: ("sent", "delivered"),
    MessageStatus.CLICKED: ("sent", "delivered"),
    MessageStatus.COMPLAINED: ("sent", "delivered", "complained"),
}


class MessageTally(NamedTuple):
    """`number` messages that are alike. `name` is what they are told apart by: a step's template, or a variant.

    `opened` and `clicked` are what people did; machines may have done the same.
    """

    step: str | None
    name: str | None
    status: MessageStatus
    opened: bool
    clicked: bool
    machine_opened: bool
    machine_clicked: bool
    number: int


class ReasonTally(NamedTuple):
    step: str
    status: MessageStatus
    reason: str
    number: int


class _Counted(BaseModel):
    model_config = ConfigDict(frozen=True)


class Acts(_Counted):
    """Messages that were opened, or clicked."""

    people: int = Field(default=0, description="by a person")
    machines_only: int = Field(default=0, description="by scanners and proxies, and by no person as far as we can tell")


class MessageCounts(_Counted):
    """Messages by what they have come to.

    `reached` is the sum of `under_way`, `deferred`, `skipped`, `rejected`, `unconfirmed` and `sent`; `sent` that of
    `delivered`, `bounced`, `dropped` and `not_told`.
    """

    reached: int = Field(default=0, description="all: the flow came to this step")
    under_way: int = Field(default=0, description="decided, and not handed over yet or not answered for")
    deferred: int = Field(default=0, description="waiting for sending hours, or for the frequency to allow it")
    skipped: int = Field(default=0, description="not sent on purpose")
    rejected: int = Field(default=0, description="refused by the provider for good")
    unconfirmed: int = Field(default=0, description="nobody could say whether the provider has it")
    sent: int = Field(default=0, description="a provider has it")
    delivered: int = 0
    bounced: int = 0
    dropped: int = Field(default=0, description="the provider did not even try to deliver it")
    not_told: int = Field(default=0, description="sent, and the provider has not told whether it arrived")
    opened: Acts = Field(default=Acts(), description="who clicked has opened")
    clicked: Acts = Acts()
    complained: int = Field(default=0, description="delivered, and reported as spam")


class Reason(_Counted):
    status: MessageStatus
    reason: str = Field(description="dates, numbers and the like are left out of it", examples=["quiet hours"])
    count: int


class NamedCounts(MessageCounts):
    name: str | None = Field(description="null: it was not decided yet", examples=["tip-a"])


class StepCounts(MessageCounts):
    """What a step that sends has come to. `templates`, if it sends one or another, are told apart."""

    step: str = Field(examples=["welcome"])
    reasons: list[Reason] = Field(description="most frequent first, of messages that were not sent or not yet")
    templates: list[NamedCounts]


def message_counts(tallies: Iterable[MessageTally]) -> MessageCounts:
    """Of whatever messages: of a step, a flow, a variant, a broadcast."""
    return MessageCounts.model_validate(_counts(tallies))


def by_name(tallies: Iterable[MessageTally]) -> list[NamedCounts]:
    """In the order of names: of the variants of a broadcast, or the templates of a step."""
    named = defaultdict[str | None, list[MessageTally]](list)
    for tally in tallies:
        named[tally.name].append(tally)
    ordered = sorted(named, key=lambda name: (name is None, name))
    return [NamedCounts.model_validate({**_counts(named[name]), "name": name}) for name in ordered]


def step_counts(
    order: Collection[str], tallies: Iterable[MessageTally], reasons: Iterable[ReasonTally]
) -> list[StepCounts]:
    """One for each step of `order`, in that order."""
    messages = defaultdict[str | None, list[MessageTally]](list)
    for tally in tallies:
        messages[tally.step].append(tally)
    why = defaultdict[str, Counter[tuple[MessageStatus, str]]](Counter)
    for each in reasons:
        why[each.step][each.status, general(each.reason)] += each.number
    return [
        StepCounts.model_validate(
            {
                **_counts(messages[step]),
                "step": step,
                "reasons": _reasons(why[step]),
                "templates": by_name(messages[step]) if len({tally.name for tally in messages[step]}) > 1 else [],
            }
        )
        for step in order
    ]


def general(reason: str) -> str:
    """A reason without what is particular to one message, so that like reasons are counted together."""
    return _PARTICULARS.sub("…", reason)


def _reasons(counts: Counter[tuple[MessageStatus, str]]) -> list[Reason]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [Reason(status=status, reason=reason, count=count) for (status, reason), count in ranked[:REASONS_SHOWN]]
    rest = Counter[MessageStatus]()
    for (status, _), count in ranked[REASONS_SHOWN:]:
        rest[status] += count
    return shown + [Reason(status=status, reason=OTHER_REASONS, count=n) for status, n in rest.most_common()]


def _counts(tallies: Iterable[MessageTally]) -> dict[str, object]:
    """By field of `MessageCounts`."""
    counts, opened, clicked = Counter[str](), Counter[str](), Counter[str]()
    for tally in tallies:
        for name in ("reached", *_COUNTED_AS[tally.status]):
            counts[name] += tally.number
        if tally.opened or tally.clicked:
            opened["people"] += tally.number
        elif tally.machine_opened or tally.machine_clicked:
            opened["machines_only"] += tally.number
        if tally.clicked:
            clicked["people"] += tally.number
        elif tally.machine_clicked:
            clicked["machines_only"] += tally.number
    return {**counts, "opened": Acts(**opened), "clicked": Acts(**clicked)}
