from __future__ import annotations

from datetime import timedelta

import pytest

from domain.durations import in_words
from domain.events import concerns
from domain.flows import (
    FlowSettings,
    FlowType,
    Goal,
    OnEdit,
    enrollment_workflow_id,
    parse_enrollment_workflow_id,
)
from domain.memory import Happening

FLOW = FlowType(
    title="Trial",
    goal=Goal(event="bought", target=0.1, within=timedelta(days=30)),
    owner="sales",
    on_edit=OnEdit.FOLLOW,
    listens=frozenset({"clicked"}),
)


def test_a_workflow_id_is_built_and_read_back() -> None:
    assert enrollment_workflow_id("lead_assignment", "c-1") == "lead_assignment:c-1"
    assert parse_enrollment_workflow_id("lead_assignment:c-1") == ("lead_assignment", "c-1")


@pytest.mark.parametrize(("flow", "contact"), [("", "c"), ("f", ""), ("a:b", "c")])
def test_no_workflow_id_is_built_that_could_not_be_read_back(flow: str, contact: str) -> None:
    with pytest.raises(ValueError, match="no workflow id"):
        enrollment_workflow_id(flow, contact)


@pytest.mark.parametrize("workflow_id", ["", "onboarding", ":c", "onboarding:"])
def test_other_workflow_ids_are_not_read(workflow_id: str) -> None:
    with pytest.raises(ValueError, match="expected flow:contact_id"):
        parse_enrollment_workflow_id(workflow_id)


@pytest.mark.parametrize(
    ("event", "told"),
    [("bought", True), ("clicked", True), ("opened", False), ("unsubscribed", True), ("bounced", True)],
)
def test_a_flow_is_told_of_its_goal_what_it_listens_for_and_who_leaves(event: str, told: bool) -> None:
    assert concerns(FLOW, event, {}) is told


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(days=3), "3 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(minutes=90), "1 hour 30 minutes"),
        (timedelta(days=1, hours=1, minutes=5), "1 day 1 hour"),
        (timedelta(seconds=4.4), "4 seconds"),
        (timedelta(0), "no time"),
    ],
)
def test_durations_are_said_as_people_say_them(duration: timedelta, words: str) -> None:
    assert in_words(duration) == words


class TrialSettings(FlowSettings):
    pause: timedelta = timedelta(days=1)


def test_an_override_of_a_setting_that_the_flow_no_longer_has_is_passed_over() -> None:
    assert TrialSettings.of({"pause": "P2D", "removed": "ada@example.com"}).pause == timedelta(days=2)


def test_a_faulty_override_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="pause") as refusal:
        TrialSettings.of({"pause": "ada@example.com"})
    assert "ada" not in str(refusal.value)


def test_a_workflow_is_told_of_an_event_without_the_senders_id() -> None:
    told = Happening.of("activated:ada@example.com", "activated")
    assert "ada" not in told.id
    assert told == Happening.of("activated:ada@example.com", "activated")
    assert told.id != Happening.of("activated:bo@example.com", "activated").id
