from __future__ import annotations

import pytest

from domain.consent import ConsentState
from domain.messages import MessageClass, refusal
from domain.suppressions import SuppressionReason

TRANSACTIONAL, RELATIONSHIP, MARKETING = MessageClass
REQUESTED, GRANTED, WITHDRAWN = ConsentState
UNSUBSCRIBED, HARD_BOUNCE, COMPLAINT, ERASED, MANUAL, SUNSET = SuppressionReason


@pytest.mark.parametrize(
    ("message_class", "consent", "suppressions", "answer"),
    [
        (MARKETING, {"tips": GRANTED}, set(), None),
        (MARKETING, {}, set(), "no consent to tips"),
        (MARKETING, {"news": GRANTED}, set(), "no consent to tips"),
        (MARKETING, {"tips": WITHDRAWN}, set(), "contact opted out of tips"),
        (RELATIONSHIP, {}, set(), None),
        (RELATIONSHIP, {"news": WITHDRAWN}, set(), None),
        (RELATIONSHIP, {"tips": WITHDRAWN}, set(), "contact opted out of tips"),
        (RELATIONSHIP, {"tips": GRANTED}, {UNSUBSCRIBED}, "contact unsubscribed"),
        (MARKETING, {"tips": GRANTED}, {UNSUBSCRIBED}, "contact unsubscribed"),
        (TRANSACTIONAL, {"tips": WITHDRAWN}, {UNSUBSCRIBED}, None),
        (TRANSACTIONAL, {}, {HARD_BOUNCE}, "address suppressed: hard_bounce"),
        (TRANSACTIONAL, {}, {COMPLAINT}, "address suppressed: complaint"),
        (MARKETING, {"tips": GRANTED}, {HARD_BOUNCE, UNSUBSCRIBED}, "address suppressed: hard_bounce"),
        (MARKETING, {"tips": GRANTED}, {SUNSET}, "contact was sunset: no marketing until they act"),
        (MARKETING, {"tips": GRANTED}, {SUNSET, UNSUBSCRIBED}, "contact unsubscribed"),
        (MARKETING, {"tips": REQUESTED}, set(), "consent to tips is not confirmed yet"),
        (RELATIONSHIP, {"tips": REQUESTED}, set(), None),
        (TRANSACTIONAL, {}, {ERASED}, "address suppressed: erased"),
        (TRANSACTIONAL, {}, {MANUAL}, "address suppressed: manual"),
        (RELATIONSHIP, {}, {SUNSET}, None),
        (TRANSACTIONAL, {}, {SUNSET}, None),
    ],
)
def test_who_may_be_written_to(
    message_class: MessageClass,
    consent: dict[str, ConsentState],
    suppressions: set[SuppressionReason],
    answer: str | None,
) -> None:
    assert refusal(message_class, "tips", consent, suppressions) == answer
