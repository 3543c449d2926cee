from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from domain.circuit import Circuit, CircuitRules, Probe, Send, WaitUntil, ask_again

START = datetime(2026, 6, 3, 15, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
RULES = CircuitRules()
QUICK = CircuitRules(failures_to_open=2)
"""Outages come often enough for a machine to find what may go wrong in them."""
Permission = Send | Probe


def asked(circuit: Circuit, now: datetime) -> tuple[Circuit, Permission]:
    circuit, answer = circuit.may_send(now, RULES)
    assert not isinstance(answer, WaitUntil)
    return circuit, answer


def opened(now: datetime = START) -> Circuit:
    circuit = Circuit()
    for _ in range(RULES.failures_to_open):
        circuit = circuit.failed(asked(circuit, now)[1], now, RULES)
    assert circuit.state == "open"
    return circuit


def waits(circuit: Circuit, now: datetime) -> timedelta:
    same, answer = circuit.may_send(now, RULES)
    assert same is circuit
    assert isinstance(answer, WaitUntil)
    return answer.moment - now


def test_a_few_failures_in_a_row_open_it() -> None:
    circuit = Circuit()
    for _ in range(4):
        circuit = circuit.failed(Send(0), START, RULES)
    assert circuit.state == "closed"
    assert circuit.open_since is None
    circuit = circuit.failed(Send(0), START + SECOND, RULES)
    assert circuit.state == "open"
    assert circuit.open_since == START + SECOND
    assert waits(circuit, START + SECOND) == 30 * SECOND


def test_a_success_among_failures_begins_the_count_anew() -> None:
    circuit = Circuit()
    for _ in range(3):
        for _ in range(4):
            circuit = circuit.failed(Send(0), START, RULES)
        circuit = circuit.succeeded(Send(0))
    assert circuit == Circuit()


def test_a_success_like_all_others_changes_nothing_that_would_have_to_be_stored() -> None:
    circuit = Circuit()
    assert circuit.may_send(START, RULES)[0] is circuit
    assert circuit.succeeded(Send(0)) is circuit


def test_of_many_who_ask_after_the_pause_one_is_the_probe() -> None:
    circuit, now = opened(), START + 30 * SECOND
    circuit, probe = asked(circuit, now)
    assert isinstance(probe, Probe)
    assert circuit.state == "half_open"
    assert [waits(circuit, now) for _ in range(10)] == [30 * SECOND] * 10


def test_the_probe_s_success_closes_for_all() -> None:
    circuit, probe = asked(opened(), START + 30 * SECOND)
    circuit = circuit.succeeded(probe)
    assert circuit.state == "closed"
    assert circuit.open_since is None
    assert isinstance(asked(circuit, START)[1], Send)
    assert circuit.failed(asked(circuit, START)[1], START, RULES).state == "closed"


def test_pauses_double_up_to_five_minutes_and_begin_anew_after_an_outage() -> None:
    circuit, now = opened(), START
    pauses = []
    for _ in range(6):
        pauses.append(waits(circuit, now))
        now += pauses[-1]
        circuit, probe = asked(circuit, now)
        circuit = circuit.failed(probe, now, RULES)
        assert circuit.open_since == START
    assert pauses == [30 * SECOND, MINUTE, 2 * MINUTE, 4 * MINUTE, 5 * MINUTE, 5 * MINUTE]
    circuit, probe = asked(circuit, now + 5 * MINUTE)
    circuit = circuit.succeeded(probe)
    for _ in range(RULES.failures_to_open):
        circuit = circuit.failed(asked(circuit, now)[1], now, RULES)
    assert waits(circuit, now) == 30 * SECOND


def test_a_probe_whose_worker_was_killed_is_another_s_after_two_minutes() -> None:
    circuit, first = asked(opened(), START + 30 * SECOND)
    almost = START + 30 * SECOND + 2 * MINUTE - SECOND
    assert waits(circuit, almost) == SECOND
    circuit, second = asked(circuit, almost + SECOND)
    assert isinstance(second, Probe)
    assert second != first
    assert circuit.failed(first, almost + MINUTE, RULES) is circuit
    assert circuit.succeeded(first).state == "closed"


def test_messages_under_way_when_it_opened_neither_close_it_nor_count() -> None:
    circuit, probe = asked(opened(), START + 30 * SECOND)
    assert circuit.succeeded(Send(0)) is circuit
    assert circuit.failed(Send(0), START + MINUTE, RULES) is circuit
    closed = circuit.succeeded(probe)
    for _ in range(RULES.failures_to_open):
        assert closed.failed(Send(0), START + MINUTE, RULES) is closed


def test_a_probe_of_an_outage_that_is_over_does_not_count() -> None:
    circuit, first = asked(opened(), START + 30 * SECOND)
    circuit, second = asked(circuit, START + 3 * MINUTE)
    closed = circuit.succeeded(first)
    for _ in range(RULES.failures_to_open):
        assert closed.failed(second, START + 4 * MINUTE, RULES) is closed
    assert closed.succeeded(second) is closed


def test_a_failure_that_is_told_twice_counts_once() -> None:
    circuit, probe = asked(opened(), START + 30 * SECOND)
    circuit = circuit.failed(probe, START + 31 * SECOND, RULES)
    assert circuit.failed(probe, START + 40 * SECOND, RULES) is circuit


@given(st.text(max_size=40), st.datetimes(timezones=st.just(UTC), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001
def test_who_waits_asks_again_within_seconds_of_the_moment(key: str, moment: datetime) -> None:
    again = ask_again(WaitUntil(moment), key)
    assert again == ask_again(WaitUntil(moment), key)
    assert timedelta(0) <= again - moment < 10 * SECOND


def test_those_who_wait_do_not_ask_again_at_once_nor_in_the_same_order_each_time() -> None:
    keys = [f"message {number}" for number in range(1000)]
    moments = [WaitUntil(START + minutes * MINUTE) for minutes in range(20)]
    for wait in moments:
        at_once = sum(ask_again(wait, key) == wait.moment for key in keys)
        assert 50 < at_once < 200
    always_first = [key for key in keys if all(ask_again(wait, key) == wait.moment for wait in moments)]
    assert always_first == []


@pytest.mark.parametrize("wrong", [{"failures_to_open": 0}, {"first_pause": 0}, {"probe_expires_after": -1}])
def test_rules_under_which_a_circuit_never_rests_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="greater than"):
        CircuitRules.model_validate(wrong)


class Handed(NamedTuple):
    permission: Permission
    turns: int
    """How often the circuit had opened or closed by then."""


class Outages(RuleBasedStateMachine):
    """Workers ask, and hear from the provider in any order, late, twice or never, while time passes."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.circuit = Circuit()
        self.turns = 0
        self.opened_at: datetime | None = None
        self.latest_probe: Handed | None = None
        self.probing: dict[Handed, datetime] = {}
        """The probes of the present outage of which nothing was heard yet, and when each expires."""

    def becomes(self, circuit: Circuit) -> None:
        if (circuit.state == "closed") != (self.circuit.state == "closed"):
            self.turns += 1
            self.probing.clear()
        self.circuit = Circuit.model_validate_json(circuit.model_dump_json())
        assert self.circuit == circuit

    @rule(seconds=st.sampled_from([1, 29, 30, 60, 119, 120, 300]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(target=under_way)
    def a_message_asks(self) -> object:
        circuit, answer = self.circuit.may_send(self.now, QUICK)
        if isinstance(answer, WaitUntil):
            assert circuit is self.circuit
            assert circuit.state != "closed"
            assert self.now < answer.moment <= self.now + QUICK.longest_pause
            return multiple()
        handed = Handed(answer, self.turns)
        assert isinstance(answer, Send) == (self.circuit.state == "closed")
        if isinstance(answer, Probe):
            assert circuit.state == "half_open"
            assert all(expires <= self.now for expires in self.probing.values())
            self.latest_probe = handed
            self.probing[handed] = self.now + QUICK.probe_expires_after
        self.becomes(circuit)
        return handed

    @rule(handed=under_way)
    def the_provider_answers(self, handed: Handed) -> None:
        after = self.circuit.succeeded(handed.permission)
        if handed.turns == self.turns:
            assert after.state == "closed"
            assert after.failures == 0
        else:
            assert after is self.circuit
        self.becomes(after)

    @rule(handed=under_way)
    def the_provider_is_out_of_order(self, handed: Handed) -> None:
        after = self.circuit.failed(handed.permission, self.now, QUICK)
        if handed.turns != self.turns:
            assert after is self.circuit
        elif self.circuit.state == "closed":
            assert (after.state == "open") == (self.circuit.failures == QUICK.failures_to_open - 1)
        elif handed == self.latest_probe and handed in self.probing:
            assert after.state == "open"
        else:
            assert after is self.circuit
        self.probing.pop(handed, None)
        self.becomes(after)

    @invariant()
    def after_enough_time_somebody_may_send(self) -> None:
        enough = max(QUICK.longest_pause, QUICK.probe_expires_after)
        _, answer = self.circuit.may_send(self.now + enough, QUICK)
        assert not isinstance(answer, WaitUntil)

    @invariant()
    def an_outage_begins_once(self) -> None:
        if self.circuit.open_since is None or self.opened_at is None:
            self.opened_at = self.circuit.open_since
        assert self.circuit.open_since == self.opened_at
        assert (self.circuit.state == "closed") == (self.opened_at is None)


TestOutages = Outages.TestCase
TestOutages.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
