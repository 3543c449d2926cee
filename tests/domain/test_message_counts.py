"""What became of messages: counts that add up, people told from machines, like reasons counted together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message_counts import (
    OTHER_REASONS,
    REASONS_SHOWN,
    MessageTally,
    ReasonTally,
    by_name,
    general,
    message_counts,
    step_counts,
)
from domain.messages import REACHED, MessageStatus

tallies = st.lists(
    st.builds(
        MessageTally,
        step=st.sampled_from(["welcome", "tip"]),
        name=st.sampled_from([None, "a", "b"]),
        status=st.sampled_from(MessageStatus),
        opened=st.booleans(),
        clicked=st.booleans(),
        machine_opened=st.booleans(),
        machine_clicked=st.booleans(),
        number=st.integers(1, 1000),
    )
)


def tally(
    status: MessageStatus, *, number: int = 1, step: str = "welcome", name: str = "a", did: str = ""
) -> MessageTally:
    acts = {act: act in did.split() for act in ("opened", "clicked", "machine_opened", "machine_clicked")}
    return MessageTally(step=step, name=name, status=status, number=number, **acts)


@given(tallies)
def test_what_messages_come_to_adds_up(rows: list[MessageTally]) -> None:
    counts = message_counts(rows)
    not_sent = counts.under_way + counts.deferred + counts.skipped + counts.rejected + counts.unconfirmed
    assert counts.reached == not_sent + counts.sent == sum(row.number for row in rows)
    assert counts.sent == counts.delivered + counts.bounced + counts.dropped + counts.not_told
    assert counts.sent == sum(row.number for row in rows if row.status in REACHED)
    assert counts.complained <= counts.delivered
    assert counts.clicked.people <= counts.opened.people
    assert counts.opened.people + counts.opened.machines_only <= counts.reached


@given(tallies)
def test_steps_and_templates_add_up_to_the_whole(rows: list[MessageTally]) -> None:
    whole = message_counts(rows)
    steps = step_counts(["welcome", "tip"], rows, [])
    assert sum(step.reached for step in steps) == sum(named.reached for named in by_name(rows)) == whole.reached
    assert sum(step.clicked.people for step in steps) == whole.clicked.people
    for step in steps:
        assert len(step.templates) != 1
        assert not step.templates or sum(named.delivered for named in step.templates) == step.delivered


def test_what_machines_did_is_counted_apart_from_what_people_did() -> None:
    counts = message_counts(
        [
            tally(MessageStatus.DELIVERED, number=1, did="machine_opened machine_clicked"),
            tally(MessageStatus.CLICKED, number=10, did="clicked machine_clicked"),
            tally(MessageStatus.OPENED, number=100, did="opened machine_clicked"),
            tally(MessageStatus.COMPLAINED, number=1000, did="opened"),
        ]
    )
    assert (counts.opened.people, counts.opened.machines_only) == (1110, 1)
    assert (counts.clicked.people, counts.clicked.machines_only) == (10, 101)
    assert (counts.delivered, counts.complained) == (1111, 1000)


def test_steps_keep_the_order_given_and_templates_are_told_apart() -> None:
    rows = [
        tally(MessageStatus.SENT, step="tip", name="b", number=2),
        tally(MessageStatus.SKIPPED, step="tip", name="a", number=3),
        tally(MessageStatus.SENT, step="welcome", name="welcome", number=4),
    ]
    welcome, tip = step_counts(["welcome", "tip"], rows, [])
    assert (welcome.step, welcome.reached, welcome.templates) == ("welcome", 4, [])
    assert [(named.name, named.sent, named.skipped) for named in tip.templates] == [("a", 0, 3), ("b", 2, 0)]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("quiet hours", "quiet hours"),
        ("no consent to product-news", "no consent to product-news"),
        (
            "sendgrid is out of order since 2026-11-23 20:15 UTC: a task is given in its place",
            "sendgrid is out of order since … … UTC: a task is given in its place",
        ),
        ("the SMTP server answered 550 5.1.1 to RCPT", "the SMTP server answered 550 5.1.1 to RCPT"),
        ("SendGrid answered 400: bad personalization 17", "SendGrid answered 400: bad personalization …"),
        (
            "frequency cap: 5 marketing messages, and no more than 2 are allowed",
            "frequency cap: … marketing messages, and no more than … are allowed",
        ),
    ],
)
def test_reasons_lose_what_is_particular_to_one_message(reason: str, told: str) -> None:
    assert general(reason) == told


def test_like_reasons_are_counted_together_and_rare_ones_as_others() -> None:
    skipped = [ReasonTally("tip", MessageStatus.SKIPPED, f"held back until {day}.12.", 2) for day in range(1, 30)]
    rare = [ReasonTally("tip", MessageStatus.REJECTED, "no " + "o" * length, 1) for length in range(REASONS_SHOWN + 4)]
    (step,) = step_counts(["tip"], [], [*skipped, *rare])
    assert (step.reasons[0].status, step.reasons[0].reason, step.reasons[0].count) == (
        "skipped",
        "held back until …",
        58,
    )
    assert len(step.reasons) == REASONS_SHOWN + 1
    assert (step.reasons[-1].reason, step.reasons[-1].count) == (OTHER_REASONS, 5)
    assert sum(reason.count for reason in step.reasons) == 58 + REASONS_SHOWN + 4
