"""Times and tests in words, from their source."""

from __future__ import annotations

from datetime import time, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.questions import ApprovalPlan, Asked, Stage
from domain.working_time import WORKDAYS, Weekday
from inspection.diagram_words import Words
from inspection.outline import Loop, Step, Verb

MANAGERS = ApprovalPlan(stages=(Stage(asks=(Asked(role="sales_manager"),)),), expires_after=timedelta(days=3))
TWO_STAGES = (
    'ApprovalPlan(stages=(Stage(asks=(Asked(role="marketing"), Asked(lead_owner=True)), needs="all"), '
    'Stage(asks=(Asked(role="legal"),), needs="all")), remind_every=None, escalate_after=timedelta(days=2), '
    'escalate_to=Asked(role="sales_manager"), expires_after=timedelta(days=4))'
)
DEFAULTS = {"hand_after": timedelta(days=3), "laps": 2, "name": "Ada", "approval": MANAGERS, "at": time(9, 30)}
CONSTANTS = {"WEEK": timedelta(weeks=1), "WORDS": ("small", "large"), "WORKDAYS": WORKDAYS, "Weekday": Weekday}
WORDS = Words(DEFAULTS, {**CONSTANTS, "DAY_OF_REST": Weekday.SUNDAY})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("self.settings.hand_after", "3 days (hand_after)"),
        ("timedelta(days=1, hours=12)", "1 day 12 hours"),
        ("datetime.timedelta(weeks=2)", "14 days"),
        ("self.settings.hand_after * 2", "6 days (hand_after * 2)"),
        ("self.settings.hand_after / self.settings.laps", "1 day 12 hours (hand_after / laps)"),
        ("timedelta(days=self.settings.laps)", "2 days (timedelta(days=laps))"),
        ("timedelta(days=1) + timedelta(hours=1)", "1 day 1 hour"),
        ("timedelta(milliseconds=20)", "20 milliseconds"),
        ("timedelta(days=1) - timedelta(days=2)", "no time"),
        ("self.settings.no_such", "no_such"),
        ("self.settings.name", "name"),
        ("pause", "pause"),
        ("WEEK", "7 days"),
        ("WEEK - self.settings.hand_after", "4 days (WEEK - hand_after)"),
        ("'a' * 10 ** 9", "'a' * 10 ** 9"),
        ("timedelta(days=week)", "timedelta(days=week)"),
        ("timedelta(days=1) / 0", "timedelta(days=1) / 0"),
        ("timedelta(fortnights=1)", "timedelta(fortnights=1)"),
        (None, "a time that is not given"),
    ],
)
def test_durations(source: str | None, said: str) -> None:
    assert WORDS.duration(source) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("self.entered_at + self.settings.hand_after", "3 days after entering (hand_after)"),
        ("self.entered_at + timedelta(days=60)", "60 days after entering"),
        ("self.entered_at + self._pause()", "entered_at + _pause()"),
        ("workflow.now()", "workflow.now()"),
    ],
)
def test_moments(source: str, said: str) -> None:
    assert WORDS.moment(source) == said


def test_a_question_names_its_step_where_it_is_not_called_like_the_event() -> None:
    step = Step(1, "happened", "clicked-again", event="clicked", limit="self.settings.hand_after")
    assert WORDS.question(step) == ("clicked within 3 days (hand_after)?", "clicked-again")


def told(verb: Verb, limit: str | None = None, **given: str) -> tuple[str, str]:
    shown = WORDS.step(Step(1, verb, "step", "offer-{size}", "clicked", limit, given=tuple(given.items())))
    return shown.detail, shown.does


STEPS: list[tuple[Verb, dict[str, str], str, str]] = [
    ("send", {}, "email offer-{size}", "sends the email offer-{size}"),
    ("wait", {"limit": "WEEK"}, "7 days", "waits 7 days"),
    ("wait_until", {"limit": "noon"}, "until noon", "waits until noon"),
    ("happened", {"limit": "WEEK"}, "until clicked, 7 days at the longest", "waits for clicked, 7 days at the longest"),
    ("finish", {}, "finish", "ends the journey, as completed"),
    (
        "wait_for_local_time",
        {"at": "time(9, 30)", "days": "(Weekday.THURSDAY, Weekday.TUESDAY, Weekday.WEDNESDAY)"},
        "until Tue–Thu 09:30 where the contact is",
        "waits until Tue–Thu 09:30 where the contact is",
    ),
    (
        "wait_for_local_time",
        {"at": "self.settings.at", "days": "WORKDAYS"},
        "until Mon–Fri 09:30 (at) where the contact is",
        "waits until Mon–Fri 09:30 (at) where the contact is",
    ),
    (
        "wait_for_local_time",
        {"at": "at", "days": "(Weekday.MONDAY, Weekday.FRIDAY)"},
        "until Mon, Fri at where the contact is",
        "waits until Mon, Fri at where the contact is",
    ),
    (
        "wait_for_local_time",
        {"at": "time(6)"},
        "until 06:00 where the contact is",
        "waits until 06:00 where the contact is",
    ),
    (
        "choose",
        {"attribute": "'size'", "among": "WORDS"},
        "size: small, large",
        "looks up the contact's size: small, large, and small if it is none of them",
    ),
    (
        "bracket",
        {"attribute": "'value'", "bounds": "(10, self.settings.laps, top)"},
        "value by 10, 2 (laps), top",
        "looks up how many of these the contact's value reaches: 10, 2 (laps), top",
    ),
    ("update_contact", {"fields": "{'plan': x, 'seats': 5}"}, "set plan, seats", "sets the contact's plan, seats"),
    (
        "set_lifecycle",
        {"stage": "'qualified'"},
        "lifecycle qualified",
        "sets the contact's lifecycle stage to qualified",
    ),
    ("change_score", {"points": "self.settings.laps"}, "score +2 (laps)", "adds 2 (laps) to the contact's score"),
    ("change_score", {"points": "+5"}, "score +5", "adds 5 to the contact's score"),
    ("change_score", {"points": "-5"}, "score -5", "takes 5 from the contact's score"),
    (
        "set_owner",
        {"person_id": "rep.person_id"},
        "lead owner rep.person_id",
        "makes rep.person_id the owner of the lead",
    ),
    ("set_owner", {"person_id": "None"}, "no lead owner", "takes the lead's owner away"),
    ("note", {"text": "'Seen'"}, "note: Seen", "notes “Seen” on the contact's timeline"),
    (
        "sunset",
        {},
        "no marketing until they act",
        "sends the contact no more marketing, in any flow, until they act",
    ),
    ("hand_over", {"flow": "'sales'"}, "hand over to sales", "enrolls the contact in sales"),
    (
        "ask",
        {"subject": "'An offer'", "plan": "self.settings.approval"},
        "approval by any sales_manager, expires after 3 days (approval)",
        "asks any sales_manager to approve “An offer”; reminded every day, expires after 3 days (approval)",
    ),
    (
        "ask",
        {"subject": "'An offer'", "plan": TWO_STAGES},
        "approval by all of marketing, the lead's owner, then every legal, each expires after 4 days",
        "asks all of marketing, the lead's owner, then every legal to approve “An offer”; "
        "any sales_manager too after 2 days, each expires after 4 days",
    ),
    ("ask", {"subject": "'It'", "plan": "_plan()"}, "approval by _plan()", "asks for an approval of “It” by _plan()"),
    (
        "task",
        {
            "subject": "'Call them'",
            "to": "Asked(lead_owner=True)",
            "limit": "WEEK",
            "remind_every": "timedelta(hours=8)",
        },
        "for the lead's owner, due in 7 days",
        "gives the lead's owner the task “Call them”, and waits 7 days at the longest until it is done; "
        "reminded every 8 hours",
    ),
    (
        "task",
        {"subject": "'Call them'", "to": "Asked(role='sales')", "limit": "WEEK", "wait": "False"},
        "for any sales, due in 7 days, goes on at once",
        "gives any sales the task “Call them”, due in 7 days",
    ),
    (
        "assign_lead",
        {"limit": "timedelta(hours=2)"},
        "one rep after the other, each has 2 hours of working time to accept",
        "offers the lead to one rep after the other, each has 2 hours of working time to accept; "
        "while nobody can take it, it waits",
    ),
]


@pytest.mark.parametrize(("verb", "given", "detail", "does"), STEPS, ids=lambda each: each if type(each) is str else "")
def test_steps(verb: Verb, given: dict[str, str], detail: str, does: str) -> None:
    assert told(verb, **given) == (detail, does)


def test_every_verb_has_words() -> None:
    assert {verb for verb, *_ in STEPS} == set(get_args(Verb))
    for verb in get_args(Verb):  # also if nothing that it needs is given
        assert all(told(verb))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("decision.approved", ("decision approved?", False)),
        ("not call.done", ("call done?", True)),
        ("(await self.task('first-call', 'Call', to=who, due=week)).done", ("first-call done?", False)),
        ("not (await self.ask('approve', 'It', plan=plan)).approved", ("approve approved?", True)),
        ("await self._is_back(week)", ("is back?", False)),
        ("score >= self.settings.laps", ("score at least 2 (laps)?", False)),
        ("plan == 'team'", ("plan is team?", False)),
        ("1 < self.settings.laps < 3", ("1 < laps < 3?", False)),
        ("call.done and (not b or a > 1)", ("call done and (not b or a more than 1)?", False)),
        ("plan is 'free' if young", ("plan is 'free' if young?", False)),
    ],
)
def test_tests(source: str, said: tuple[str, bool]) -> None:
    assert WORDS.test(source) == said


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("for number in range(1, self.settings.laps + 1)", "number from 1 to 2 (laps)"),
        ("for week in (1, 2)", "for week in (1, 2)"),
        ("while self.settings.laps", "while laps"),
    ],
)
def test_headers(header: str, said: str) -> None:
    assert WORDS.header(Loop(1, header, ())) == said


def test_long_tests_are_cut() -> None:
    assert len(WORDS.test("a" * 500)[0]) < 100


@settings(derandomize=True)
@given(st.text(max_size=60))
def test_any_source_is_said(source: str) -> None:
    assert isinstance(WORDS.duration(source) + WORDS.moment(source) + WORDS.test(source)[0], str)
    for verb in get_args(Verb):
        assert all(
            isinstance(text, str) for text in told(verb, source, plan=source, at=source, days=source, flow=source)
        )
