"""People of the team in a simulation: they answer in office hours, as the behaviour says, and leads go round."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from rehearsal.behaviour import DEFAULT_BEHAVIOUR, Behaviour
from rehearsal.funnel import Report
from rehearsal.simulation import Asked, CannotSimulate, Story, message_types, simulate
from tests.rehearsal.fair import Fair
from workflows.discovery import FlowClass, discover_flows
from workflows.lead_assignment import LeadAssignment
from workflows.nurturing import Nurturing
from workflows.reactivation import Reactivation

DEFAULT = Behaviour.read(DEFAULT_BEHAVIOUR)
SURELY = {"probability": 1, "after": ["PT1H", "PT1H"]}
NEVER = {"probability": 0, "after": ["PT1H", "PT1H"]}
RICH = {"attributes": {"lifetime_value_cents": {"500000": 1}}}
WORKING_WEEK = timedelta(days=3)


def report(name: str, flow: FlowClass, behaviour: dict[str, Any] | Behaviour, contacts: int, **settings: Any) -> Report:
    asked = Asked(flow=name, contacts=contacts, seed=1, settings=settings)
    if not isinstance(behaviour, Behaviour):
        behaviour = Behaviour.model_validate(behaviour)
    return Report.of(asked, flow.about.goal, simulate(asked, flow, message_types(name), behaviour))


def reactivated(people: dict[str, Any], contacts: int = 3, **settings: Any) -> Report:
    return report("reactivation", Reactivation, {**RICH, **people}, contacts, **settings)


def assigned(behaviour: dict[str, Any], contacts: int = 6, **settings: Any) -> Report:
    return report("lead_assignment", LeadAssignment, behaviour, contacts, **settings)


@pytest.mark.parametrize(("name", "flow"), discover_flows().items())
def test_every_flow_is_simulated_by_the_default_the_same_each_time(name: str, flow: FlowClass) -> None:
    first, again = (report(name, flow, DEFAULT, 5).model_dump_json() for _ in range(2))
    assert first == again


def test_an_approval_ends_as_people_answer() -> None:
    approved = reactivated({"people": {"approve": SURELY}})
    assert approved.team.approvals == {"approved": 3}
    assert {story.steps["approve-offer"] for story in approved.stories} == {"approved"}
    assert reactivated({"people": {"reject": SURELY}}).team.approvals == {"rejected": 3}
    assert reactivated({}).team.approvals == {"expired": 3}


def test_a_role_may_do_otherwise_than_people_do() -> None:
    directors = {"stages": [{"asks": [{"role": "director"}]}]}
    behaviour = {"people": {"approve": SURELY}, "roles": {"director": {"approve": NEVER, "reject": SURELY}}}
    assert reactivated(behaviour, approval=directors).team.approvals == {"rejected": 3}
    assert reactivated(behaviour).team.approvals == {"approved": 3}


def test_managers_are_asked_in_place_of_the_owner_of_a_lead_that_has_none() -> None:
    owner = {"stages": [{"asks": [{"lead_owner": True}]}]}
    behaviour = {"people": {"approve": NEVER}, "roles": {"sales_manager": {"approve": SURELY}}}
    assert reactivated(behaviour, approval=owner).team.approvals == {"approved": 3}


def test_whoever_does_not_answer_may_do_so_when_reminded() -> None:
    often = {"people": {"approve": {"probability": 0.3, "after": ["PT1H", "PT1H"]}}}
    patient = {"expires_after": "P60D", "stages": [{"asks": [{"role": "sales_manager"}]}]}
    assert reactivated(often, approval=patient).team.approvals == {"approved": 3}
    silent = {**patient, "remind_every": None}
    assert reactivated(often, approval=silent).team.approvals["expired"] > 0


def test_an_approval_of_whoever_comes_back_meanwhile_is_withdrawn() -> None:
    behaviour = {"events": {"bought": {"probability": 1, "after": ["P6D", "P6D"]}}}
    found = reactivated(behaviour)
    assert (found.exits, found.team.approvals) == ({"goal": 3}, {"withdrawn": 3})


def test_any_sign_of_life_reaches_the_goal_and_its_settings_count() -> None:
    visits = {"events": {"visited": {"probability": 1, "after": ["P1D", "P1D"]}}}
    assert reactivated(visits).reached_goal.share == 1
    assert reactivated(visits, signs_of_life=["replied"]).reached_goal.share == 0


def test_leads_go_round_among_the_reps_contact_by_contact() -> None:
    found = assigned({"people": {"accept": SURELY, "done": SURELY}, "roles": {"sales": {"count": 3}}})
    assert [story.rep for story in found.stories] == ["rep-1", "rep-2", "rep-3"] * 2
    assert {rep: (count.offered, count.accepted) for rep, count in found.team.leads.items()} == {
        f"rep-{number}": (2, 2) for number in (1, 2, 3)
    }
    assert found.team.tasks == {"done": 6}


def test_reps_have_office_hours_and_leads_wait_for_them() -> None:
    found = assigned({"people": {"accept": SURELY}}, contacts=10)
    assert 0 < found.team.queued < 10
    waited = {story.queued: story.accepted_after for story in found.stories}
    at_work = timedelta(hours=1, seconds=1)
    for story in found.stories:
        assert story.accepted_after is not None
        assert story.accepted_after > at_work if story.queued else at_work <= story.accepted_after <= WORKING_WEEK
    assert set(waited) == {True, False}


def test_a_lead_that_every_rep_declines_is_given_to_one_by_hand() -> None:
    behaviour = {"people": {"decline": SURELY, "give": SURELY}, "roles": {"sales": {"count": 2}}}
    found = assigned(behaviour, contacts=3)
    assert [Counter(story.offers)[str(story.rep)] for story in found.stories] == [2] * 3
    assert {len(story.offers) for story in found.stories} == {3}
    assert found.team.tasks == {"overdue": 3}


def test_leads_of_which_nobody_takes_care_are_told() -> None:
    with pytest.raises(CannotSimulate, match="contact 1 gets no further: every rep has had the lead, and no manager"):
        assigned({}, contacts=1)


def test_clicks_add_up_to_a_score_that_hands_the_contact_over() -> None:
    clicks = {"reactions": {"clicked": {"probability": 1, "after": ["PT1H", "PT1H"]}}}
    found = report("nurturing", Nurturing, clicks, 3)
    assert (found.handed_over, found.messages) == ({"lead_assignment": 3}, {3: 3})
    demo = {"events": {"goal": {"probability": 1, "after": ["P1D", "P1D"]}}}
    assert report("nurturing", Nurturing, demo, 2).handed_over == {"lead_assignment": 2}


def test_what_is_known_of_contacts_is_shared_out_as_it_says() -> None:
    interests = {"attributes": {"interest": {"growth": 0.5}}, "personas": {"a": {"share": 1}}}
    counts = {count.step: count for count in report("nurturing", Nurturing, interests, 6, pieces=1).funnel}
    assert counts["interest"].went.keys() == {"growth", "unknown"}


def test_steps_of_the_funnel_are_whole_and_times_are_local() -> None:
    asked = Asked(flow="fair", contacts=3, seed=1)
    behaviour = Behaviour.model_validate({"people": {"approve": SURELY, "done": SURELY}})
    stories: list[Story] = simulate(asked, Fair, {}, behaviour)
    assert {tuple(story.steps) for story in stories} == {("morning", "budget", "ticket", "on")}
    assert all(story.handed_over_to == ["onboarding"] for story in stories)
