from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.automated_acts import automated
from domain.deliveries import DeliveryKind, Sign, Told, reached
from domain.messages import REACHED, MessageStatus

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def told(event_id: str, kind: DeliveryKind, minutes: float = 0, reason: str | None = None) -> Told:
    return Told(event_id, kind, NOON + timedelta(minutes=minutes), None, reason)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (DeliveryKind.PROCESSED, MessageStatus.SENT),
        (DeliveryKind.DEFERRED, MessageStatus.SENT),
        (DeliveryKind.DROPPED, MessageStatus.DROPPED),
        (DeliveryKind.DELIVERED, MessageStatus.DELIVERED),
        (DeliveryKind.OPENED, MessageStatus.OPENED),
        (DeliveryKind.CLICKED, MessageStatus.CLICKED),
        (DeliveryKind.BOUNCED, MessageStatus.BOUNCED),
        (DeliveryKind.BLOCKED, MessageStatus.BOUNCED),
        (DeliveryKind.COMPLAINED, MessageStatus.COMPLAINED),
        (DeliveryKind.UNSUBSCRIBED, MessageStatus.SENT),
        (DeliveryKind.RESUBSCRIBED, MessageStatus.SENT),
        (DeliveryKind.UNKNOWN, MessageStatus.SENT),
    ],
)
def test_what_a_single_event_tells_of_its_message(kind: DeliveryKind, status: MessageStatus) -> None:
    assert reached([told("e", kind)], {}).status is status


def test_the_furthest_event_decides_and_tells_why() -> None:
    events = [
        told("click", DeliveryKind.CLICKED, 9),
        told("bounce", DeliveryKind.BOUNCED, 5, "Invalid Address, 5.1.1"),
        told("later", DeliveryKind.BLOCKED, 8, "refused by the receiving server"),
        told("delivered", DeliveryKind.DELIVERED, 2),
    ]
    state = reached(events, {})
    assert state == (MessageStatus.BOUNCED, "Invalid Address, 5.1.1", NOON + timedelta(minutes=2))


def test_what_a_machine_did_proves_only_that_the_provider_has_the_message() -> None:
    click = told("c", DeliveryKind.CLICKED)
    assert reached([click], {"c": Sign.AGENT}).status is MessageStatus.SENT
    assert reached([click], {"c": Sign.AGENT}, count_automated=True).status is MessageStatus.CLICKED
    delivered = told("d", DeliveryKind.DELIVERED)
    assert reached([click, delivered], {"c": Sign.AGENT}).status is MessageStatus.DELIVERED


KINDS = [kind for kind in DeliveryKind if kind is not DeliveryKind.JUNK]
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.sampled_from((None, "a", "b"))), min_size=1, max_size=10
).map(lambda drawn: [told(str(number), *event) for number, event in enumerate(drawn)])


@given(EVENTS, st.booleans(), st.data())
def test_neither_order_nor_repetition_matters(events: Sequence[Told], count: bool, data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(events))
    assert reached(mixed, automated(mixed, {}), count_automated=count) == (
        reached([*events, *events], automated(events, {}), count_automated=count)
    )


@given(EVENTS, EVENTS)
def test_more_events_bring_a_message_forward_only(events: Sequence[Told], more: Sequence[Told]) -> None:
    before, after = reached(events, {}), reached([*events, *(each._replace(id=f"m{each.id}") for each in more)], {})
    assert REACHED.index(after.status) >= REACHED.index(before.status)
    assert after.since <= before.since
