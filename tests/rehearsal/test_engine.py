"""Flows live in the engine as they do on Temporal, in no time, and the same each time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from api.answering import Refused
from domain.flows import Enrollment, Exit
from domain.memory import Happening, Memory
from rehearsal.engine import Landing, first_steps
from rehearsal.enrolled import Journey
from rehearsal.instances import CannotRun
from rehearsal.journey import MARTA
from rehearsal.journey import journey as begin
from rehearsal.stage import shipped_templates
from tests.flows.specimen_templates import with_specimens
from tests.flows.specimens.drip import Drip
from tests.flows.specimens.faulty import Faulty
from tests.flows.specimens.marathon import Marathon
from tests.flows.specimens.nurturing import Nurturing
from tests.flows.specimens.replies import Replies
from tests.flows.specimens.yearly import Yearly
from tests.rehearsal.diary import BEGIN, CANCEL, HOLD, RESUME, Events, lived
from tests.rehearsal.fair import Fair
from tests.rehearsal.oddities import Oddities, Oddity
from workflows.discovery import FlowClass
from workflows.onboarding import Onboarding

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

LIVES: list[tuple[FlowClass, dict[str, Any], Events]] = [
    (Onboarding, {}, []),
    (Onboarding, {"tip_after": "P20D"}, []),
    (Onboarding, {}, [(DAY, "activated")]),
    (Onboarding, {}, [(11 * DAY, "unsubscribed")]),
    (Onboarding, {}, [(5 * DAY, "bounced"), (6 * DAY, "activated")]),
    (Onboarding, {}, [(4 * DAY, CANCEL)]),
    (Nurturing, {}, []),
    (Nurturing, {}, [(HOUR, "clicked")]),
    (Nurturing, {}, [(HOUR, "clicked"), (2 * HOUR, "clicked")]),
    (Nurturing, {"pause": "P40D"}, [(4 * DAY, "clicked")]),
    (Nurturing, {}, [(50 * DAY, "demo_requested")]),
    (Replies, {}, [(HOUR, "replied")]),
    (Replies, {}, [(HOUR, "replied"), (2 * HOUR, "replied")]),
    (Drip, {}, [(HOUR, "clicked")]),
    (Drip, {}, [(HOUR, "complained")]),
    (Marathon, {}, [(timedelta(seconds=20), "clicked")]),
    (Faulty, {}, []),
    (Faulty, {"repeat_a_step": True}, []),
    (Yearly, {"months": 3}, [(15 * DAY, "opened"), (32 * DAY, "opened")]),
]


ASKING: list[Events] = [
    [],
    [(2 * DAY, "reject")],
    [(2 * DAY, "approve"), (2 * DAY + HOUR, "done")],
    [(2 * DAY, "approve"), (2 * DAY + HOUR, "approve")],
    [(2 * DAY, HOLD), (40 * DAY, RESUME), (40 * DAY + 30 * HOUR, "approve")],
    [(2 * DAY, HOLD), (3 * DAY, "approve"), (4 * DAY, "bought")],
    [(HOUR, HOLD), (4 * DAY, RESUME)],
    [(2 * DAY, "bought")],
]
"""Of `Fair`: a contact for whom people are asked from Tuesday, half past nine."""


@pytest.mark.parametrize(
    ("flow", "settings", "events"),
    LIVES,
    ids=[
        f"{flow.__name__.lower()}-{'-'.join(name for _, name in events)}-{at}"
        for at, (flow, _, events) in enumerate(LIVES)
    ],
)
async def test_a_life_in_the_engine_is_the_life_on_temporal(
    flow: FlowClass, settings: dict[str, Any], events: Events
) -> None:
    end, diary = lived(flow, events, settings=settings)
    async with with_specimens(begin)(flow, **settings) as j:
        passed = timedelta(0)
        for after, name in events:
            await j.travel(seconds=(after - passed).total_seconds())
            passed = after
            await (j.cancel() if name == CANCEL else j.happens(name))
        outcome = await j.outcome()
        assert (end.outcome.exit, end.outcome.step, end.outcome.reason) == (outcome.exit, outcome.step, outcome.reason)
        assert diary.emails == j.inbox().steps
        assert list(end.memory.finished) == [step.name for step in await j.steps()]


PEOPLE_DO: dict[str, Callable[[Journey], Awaitable[None]]] = {
    "approve": Journey.approve,
    "reject": Journey.reject,
    "done": Journey.complete,
    HOLD: Journey.hold,
    RESUME: Journey.resume,
}


@pytest.mark.parametrize("events", ASKING, ids=["-".join(name for _, name in events) or "-" for events in ASKING])
async def test_people_in_the_engine_are_people_on_temporal(events: Events) -> None:
    end, _ = lived(Fair, events)
    people = [MARTA.model_copy(update={"roles": ["finance", "office"]})]
    async with begin(Fair, people=people, templates=shipped_templates()) as j:
        passed = timedelta(0)
        for after, name in events:
            await j.travel(seconds=(after - passed).total_seconds())
            passed = after
            if name in PEOPLE_DO:
                with suppress(Refused):
                    await PEOPLE_DO[name](j)
            else:
                await j.happens(name)
        outcome = await j.outcome()
        assert (end.outcome.exit, end.outcome.step) == (outcome.exit, outcome.step)
        assert [step for step in end.memory.finished if "/" not in step] == [step.name for step in await j.steps()]


@pytest.mark.parametrize("events", [[(2 * DAY, "approve"), (2 * DAY + HOUR, "done")], [(2 * DAY, "reject")]])
def test_an_answer_finds_the_run_that_its_own_run_goes_on_as(events: Events) -> None:
    whole, _ = lived(Fair, events)
    for most in (9, 13, 18, 20):
        parts, _ = lived(Fair, events, suggest_new_run_after=most)
        assert (parts.outcome, parts.memory.finished) == (whole.outcome, whole.memory.finished)


def test_the_same_enrollment_lives_the_same_life_each_time() -> None:
    first, again = (lived(Nurturing, [(HOUR, "clicked")]) for _ in range(2))
    assert first[0] == again[0]
    assert first[1].calls == again[1].calls


def test_time_passes_exactly_as_the_flow_says() -> None:
    end, diary = lived(Onboarding)
    assert [call.at - BEGIN for call in diary.calls] == [
        timedelta(0),
        timedelta(days=3, seconds=1),
        timedelta(days=10, seconds=2),
        timedelta(days=14),
    ]
    assert end.at == BEGIN + timedelta(days=14, seconds=1)


def test_calls_say_what_an_operator_reads() -> None:
    _, diary = lived(Onboarding)
    assert [call.summary for call in diary.calls[:2]] == ["email welcome", "email need-a-hand after activated: no"]


def test_a_message_that_is_going_out_is_brought_to_its_end_before_an_exit() -> None:
    end, diary = lived(Onboarding, [(timedelta(milliseconds=300), "unsubscribed")])
    assert (end.outcome.exit, end.outcome.step, diary.emails) == (Exit.UNSUBSCRIBED, "welcome", ["welcome"])
    assert end.at == BEGIN + timedelta(seconds=1)


@pytest.mark.parametrize("flow", [Onboarding, Nurturing, Yearly])
def test_a_history_that_grows_long_continues_as_new_and_changes_nothing(flow: FlowClass) -> None:
    whole, at_once = lived(flow)
    parts, piecewise = lived(flow, suggest_new_run_after=12)
    assert parts.outcome == whole.outcome
    assert parts.memory.finished == whole.memory.finished
    assert piecewise.emails == at_once.emails


@pytest.mark.parametrize(
    ("oddity", "told"),
    [
        ("mistake", r"rehearsal/oddities\.py:\d+: KeyError: 'plan'"),
        ("clock", r"rehearsal/oddities\.py:\d+: .*datetime\.datetime\.now"),
        ("endless", "waits for what never comes: give its wait a time-out"),
        ("call", "crm.update is not in the diary"),
        ("child", "asks for start_child_workflow_execution, which a rehearsal does not know"),
    ],
)
def test_what_cannot_go_on_is_told(oddity: Oddity, told: str) -> None:
    with pytest.raises(CannotRun, match=told):
        lived(Oddities, settings={"oddity": oddity})


def test_settings_that_the_flow_refuses_are_told() -> None:
    with pytest.raises(CannotRun, match="tip_after"):
        lived(Onboarding, settings={"tip_after": "soon"})


def test_code_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drip, "__module__", "tests.flows.specimens.gone")
    with pytest.raises(CannotRun, match=r"ModuleNotFoundError: No module named 'tests\.flows\.specimens\.gone'"):
        lived(Drip)


# -- Where an enrollment would land ---------------------------------------------------------------------------------


def landing(flow: FlowClass, memory: Memory | None = None, **settings: str) -> Landing:
    enrollment = Enrollment(id="enrollment", settings=dict(settings), memory=memory)
    return first_steps(flow, enrollment, BEGIN)


def test_a_new_enrollment_lands_at_its_first_step() -> None:
    landed = landing(Onboarding)
    assert (landed.step, landed.doing, landed.until, landed.exit) == ("welcome", "activity", None, None)
    assert landed.progress.step == "welcome"


def test_a_memory_lands_at_its_wait_with_the_time_already_waited() -> None:
    memory = Memory(
        entered_at=BEGIN - 2 * DAY, finished={"welcome": {"status": "sent"}}, waiting={"activated": BEGIN - 2 * DAY}
    )
    landed = landing(Onboarding, memory)
    assert (landed.step, landed.doing, landed.until) == ("activated", "timer", BEGIN + DAY)
    assert landed.progress.next_wake_at == landed.until
    assert landing(Onboarding, memory, hand_after="P1D").step == "need-a-hand"


def test_a_memory_that_answers_its_wait_lands_on_the_branch() -> None:
    memory = Memory(
        entered_at=BEGIN - HOUR,
        finished={"guide": {"status": "sent"}},
        waiting={"clicked": BEGIN - HOUR},
        unheard=[Happening.of("click", "clicked")],
        seen=[Happening.of("click", "clicked").id],
    )
    assert landing(Nurturing, memory).step == "case-study"


def test_a_memory_of_everything_lands_at_the_end() -> None:
    end, _ = lived(Onboarding)
    landed = landing(Onboarding, end.memory)
    assert (landed.step, landed.doing, landed.exit) == ("series-sent", "ended", "completed")


def test_a_step_that_fails_lands_at_the_failure() -> None:
    landed = landing(Faulty)
    assert (landed.doing, landed.exit) == ("ended", "failed")


async def test_a_landing_may_be_asked_for_within_an_event_loop() -> None:
    assert landing(Nurturing).step == "guide"


def test_a_landing_on_faulty_code_is_told_with_its_line() -> None:
    memory = Memory(entered_at=BEGIN - DAY, finished={"a-day": None})
    with pytest.raises(CannotRun, match=r"oddities\.py:\d+: KeyError"):
        landing(Oddities, memory, oddity="mistake")
