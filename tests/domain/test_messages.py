from __future__ import annotations

import pytest

from domain.messages import MessageClass, refusal

TRANSACTIONAL, RELATIONSHIP, MARKETING = MessageClass


@pytest.mark.parametrize(
    ("message_class", "consent", "suppressions", "answer"),
    [
        (MARKETING, {"tips": True}, set(), None),
        (MARKETING, {}, set(), "no consent to tips"),
        (MARKETING, {"news": True}, set(), "no consent to tips"),
        (MARKETING, {"tips": False}, set(), "contact opted out of tips"),
        (RELATIONSHIP, {}, set(), None),
        (RELATIONSHIP, {"news": False}, set(), None),
        (RELATIONSHIP, {"tips": False}, set(), "contact opted out of tips"),
        (RELATIONSHIP, {"tips": True}, {"unsubscribed"}, "contact unsubscribed"),
        (MARKETING, {"tips": True}, {"unsubscribed"}, "contact unsubscribed"),
        (TRANSACTIONAL, {"tips": False}, {"unsubscribed"}, None),
        (TRANSACTIONAL, {}, {"bounced"}, "address suppressed: bounced"),
        (TRANSACTIONAL, {}, {"complained"}, "address suppressed: complained"),
        (MARKETING, {"tips": True}, {"bounced", "unsubscribed"}, "address suppressed: bounced"),
        (MARKETING, {"tips": True}, {"sunset"}, "contact was sunset: no marketing until they act"),
        (MARKETING, {"tips": True}, {"sunset", "unsubscribed"}, "contact unsubscribed"),
        (RELATIONSHIP, {}, {"sunset"}, None),
        (TRANSACTIONAL, {}, {"sunset"}, None),
    ],
)
def test_who_may_be_written_to(
    message_class: MessageClass, consent: dict[str, bool], suppressions: set[str], answer: str | None
) -> None:
    assert refusal(message_class, "tips", consent, frozenset(suppressions)) == answer
