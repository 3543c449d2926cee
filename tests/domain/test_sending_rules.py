from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.consent import ConsentState
from domain.frequency import Cap
from domain.messages import MessageClass
from domain.sending_hours import SendingHours
from domain.sending_rules import Decision, Recipient, Ruling, SendingRules, decide
from domain.suppressions import SuppressionReason
from domain.working_time import WORKDAYS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OFFICE = SendingHours(begins=time(9), ends=time(18), days=WORKDAYS)
AGREED = Recipient(consent=ConsentState.GRANTED, time_zone="UTC")
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
zones = st.sampled_from(["UTC", "America/Santiago", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", None])
rules_of_all_kinds = st.builds(
    SendingRules,
    hours=st.sampled_from([None, OFFICE, SendingHours(begins=time(20), ends=time(21))]),
    caps=st.sampled_from([{}, {MessageClass.MARKETING: (Cap(limit=2, within=DAY), Cap(limit=3, within=7 * DAY))}]),
    minimum_gap=st.sampled_from([timedelta(0), 4 * HOUR]),
    sender_zone=st.just("Europe/Madrid"),
)


def ask(recipient: Recipient, rules: SendingRules, now: datetime = MONDAY_NOON, key: str = "m") -> Decision:
    return decide(MessageClass.MARKETING, "offers", recipient, rules, now, key)


def earlier(*hours_ago: float) -> Recipient:
    sent = [MONDAY_NOON - hours * HOUR for hours in hours_ago]
    return AGREED.model_copy(update={"sent": sent, "sent_of_any": sent})


def test_without_rules_a_permitted_message_goes_out_now() -> None:
    decision = ask(AGREED, SendingRules())
    assert (decision.ruling, decision.reason, decision.until) == (Ruling.SEND, None, None)


def test_permission_comes_first_and_is_kept_with_its_inputs() -> None:
    suppressed = AGREED.model_copy(update={"suppressions": frozenset({SuppressionReason.UNSUBSCRIBED})})
    decision = ask(suppressed, SendingRules(hours=OFFICE), MONDAY_NOON - 12 * HOUR)
    assert (decision.ruling, decision.reason) == (Ruling.SKIP, "contact unsubscribed")
    assert decision.consent is ConsentState.GRANTED
    assert decision.suppressions == {SuppressionReason.UNSUBSCRIBED}


@pytest.mark.parametrize(
    ("time_zone", "country", "zone", "whose"),
    [
        ("Asia/Tokyo", "CL", "Asia/Tokyo", "contact"),
        (None, "CL", "America/Santiago", "country"),
        (None, None, "Europe/Madrid", "sender"),
    ],
)
def test_hours_are_those_where_the_contact_is_as_far_as_that_is_known(
    time_zone: str | None, country: str | None, zone: str, whose: str
) -> None:
    someone = AGREED.model_copy(update={"time_zone": time_zone, "country": country})
    decision = ask(someone, SendingRules(hours=OFFICE, sender_zone="Europe/Madrid"))
    assert decision.hours is not None
    assert (decision.hours.time_zone, decision.hours.time_zone_of) == (zone, whose)


def test_on_a_public_holiday_of_the_contacts_country_a_message_waits() -> None:
    in_chile = AGREED.model_copy(update={"time_zone": "America/Santiago", "country": "CL"})
    friday_18th_of_september = datetime(2026, 9, 18, 15, tzinfo=UTC)
    decision = ask(in_chile, SendingRules(hours=OFFICE), friday_18th_of_september)
    assert decision.until is not None
    assert decision.until.astimezone(ZoneInfo("America/Santiago")).date().isoformat() == "2026-09-21"


def test_the_third_of_a_cap_of_two_waits_until_the_first_is_out_of_the_window() -> None:
    rules = SendingRules(caps={MessageClass.MARKETING: (Cap(limit=2, within=DAY),)})
    assert ask(earlier(30, 5), rules).ruling is Ruling.SEND
    decision = ask(earlier(20, 5), rules)
    assert decision.until == MONDAY_NOON + 4 * HOUR
    assert decision.reason == "frequency cap: 2 marketing messages, and no more than 2 are allowed"
    assert [(each.rule, each.count) for each in decision.frequency] == [("frequency_cap", 2)]


def test_the_gap_counts_messages_of_either_class_and_the_cap_those_of_its_own() -> None:
    rules = SendingRules(caps={MessageClass.MARKETING: (Cap(limit=1, within=DAY),)}, minimum_gap=4 * HOUR)
    of_the_other_class = AGREED.model_copy(update={"sent_of_any": [MONDAY_NOON - HOUR]})
    decision = ask(of_the_other_class, rules)
    assert (decision.until, decision.reason) == (MONDAY_NOON + 3 * HOUR, "minimum gap between two messages")


def test_a_cap_that_ends_at_night_waits_for_the_morning() -> None:
    rules = SendingRules(hours=OFFICE, caps={MessageClass.MARKETING: (Cap(limit=1, within=12 * HOUR),)})
    decision = ask(earlier(1), rules)
    assert decision.until is not None
    assert datetime(2026, 6, 2, 9, tzinfo=UTC) <= decision.until < datetime(2026, 6, 2, 10, tzinfo=UTC)


@given(moments, zones, rules_of_all_kinds)
def test_transactional_messages_go_out_at_any_moment(now: datetime, zone: str | None, rules: SendingRules) -> None:
    busy = Recipient(time_zone=zone, sent=[now] * 9, sent_of_any=[now] * 9)
    decision = decide(MessageClass.TRANSACTIONAL, "receipts", busy, rules, now, "m")
    assert decision.ruling is Ruling.SEND


@given(moments, zones, rules_of_all_kinds, st.lists(st.timedeltas(timedelta(0), 10 * DAY), max_size=6), st.text())
def test_what_is_deferred_may_go_out_when_its_time_comes_if_nothing_else_did(
    now: datetime, zone: str | None, rules: SendingRules, ages: list[timedelta], key: str
) -> None:
    sent = [now - age for age in ages]
    recipient = AGREED.model_copy(update={"time_zone": zone, "sent": sent, "sent_of_any": sent})
    decision = ask(recipient, rules, now, key)
    if decision.until is None:
        assert decision.ruling is Ruling.SEND
    else:
        assert decision.until > now
        assert ask(recipient, rules, decision.until, key).ruling is Ruling.SEND


@given(st.lists(st.uuids().map(str), min_size=60, max_size=60, unique=True))
def test_those_who_wait_for_one_opening_are_spread_over_its_first_hour(keys: list[str]) -> None:
    rules = SendingRules(hours=OFFICE)
    until = {ask(AGREED, rules, MONDAY_NOON - 10 * HOUR, key).until for key in keys}
    opens = datetime(2026, 6, 1, 9, tzinfo=UTC)
    assert all(moment is not None and opens <= moment < opens + HOUR for moment in until)
    assert len(until) > 30
