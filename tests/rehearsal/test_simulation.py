"""Virtual contacts live what the flow tells, each by the behaviour that was stated."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from domain.flows import Exit
from domain.messages import MessageClass
from emails.folder import MessageType
from rehearsal.behaviour import DEFAULT_BEHAVIOUR, Behaviour, MessageTypes
from rehearsal.funnel import Interval, Report
from rehearsal.simulation import Asked, CannotSimulate, Story, message_types, simulate
from tests.flows.specimen_templates import MESSAGES
from tests.flows.specimens.marathon import Marathon
from tests.flows.specimens.nurturing import Nurturing
from tests.flows.specimens.replies import Replies
from tests.flows.specimens.yearly import Yearly
from tests.rehearsal.oddities import Oddities
from workflows.discovery import FlowClass
from workflows.onboarding import Onboarding

ALWAYS_IN_A_MINUTE = {"probability": 1, "after": ["PT1M", "PT1M"]}
NAMES: dict[FlowClass, str] = {
    Onboarding: "onboarding",
    Nurturing: "nurturing",
    Marathon: "marathon",
    Yearly: "yearly",
    Replies: "replies",
    Oddities: "oddities",
}


def kinds(name: str, message_class: MessageClass = MessageClass.RELATIONSHIP) -> MessageTypes:
    kind = MessageType.model_validate({"class": message_class, "topic": "specimens"})
    return dict.fromkeys(MESSAGES.get(name, ()), kind)


def report(
    flow: FlowClass,
    behaviour: dict[str, Any] | Behaviour,
    contacts: int = 1,
    seed: int = 1,
    messages: MessageTypes | None = None,
    **settings: Any,
) -> Report:
    name = NAMES[flow]
    asked = Asked(flow=name, contacts=contacts, seed=seed, settings=settings)
    if not isinstance(behaviour, Behaviour):
        behaviour = Behaviour.model_validate(behaviour)
    if messages is None:
        messages = message_types(name) if flow is Onboarding else kinds(name)
    return Report.of(asked, flow.about.goal, simulate(asked, flow, messages, behaviour))


def one(flow: FlowClass, behaviour: dict[str, Any], **arguments: Any) -> Story:
    (story,) = report(flow, behaviour, **arguments).stories
    return story


DEFAULT = Behaviour.read(DEFAULT_BEHAVIOUR)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (report(Onboarding, DEFAULT, contacts=8, seed=seed).model_dump_json() for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_contacts_are_the_same_however_many_there_are() -> None:
    few, more = (report(Nurturing, DEFAULT, contacts=contacts).stories for contacts in (3, 8))
    assert few == more[:3]


def test_who_ignores_everything_gets_the_whole_series() -> None:
    story = one(Onboarding, {})
    assert (story.outcome, story.messages, story.goal_after) == ("completed at series-sent", 4, None)
    assert story.steps["activated"] == "no"
    assert story.ended_after == timedelta(days=14, seconds=1)


def test_who_activates_gets_nothing_more() -> None:
    story = one(Onboarding, {"events": {"goal": {"probability": 1, "after": ["P1D", "P1D"]}}})
    assert (story.outcome, story.messages, story.goal_after) == ("goal at activated", 1, timedelta(days=1))


def test_who_unsubscribes_gets_nothing_more() -> None:
    story = one(Nurturing, {"events": {"unsubscribed": {"probability": 1, "after": ["P12D", "P12D"]}}})
    assert (story.outcome, story.messages) == ("unsubscribed at pause-2", 2)


def test_who_always_clicks_comes_to_the_end_of_that_branch() -> None:
    story = one(Nurturing, {"reactions": {"clicked": ALWAYS_IN_A_MINUTE}})
    assert story.outcome == "completed at interested"
    assert story.steps == {"guide": "sent", "clicked": "yes", "case-study": "sent", "clicked-case-study": "yes"}


def test_who_never_clicks_goes_through_the_loop() -> None:
    story = one(Nurturing, {"reactions": {"clicked": {**ALWAYS_IN_A_MINUTE, "probability": 0}}})
    assert story.outcome == "completed at two-months"
    assert list(story.steps) == ["guide", "clicked", "pause-1", "reminder-1", "pause-2", "reminder-2", "two-months"]


def test_one_message_may_be_clicked_more_than_others() -> None:
    story = one(Nurturing, {"messages": {"guide": {"clicked": ALWAYS_IN_A_MINUTE}}})
    assert (story.steps["clicked"], story.steps["clicked-case-study"]) == ("yes", "no")


def test_no_click_without_an_open() -> None:
    click = {**ALWAYS_IN_A_MINUTE, "needs": "opened"}
    closed = {"reactions": {"clicked": click, "opened": {**ALWAYS_IN_A_MINUTE, "probability": 0}}}
    assert one(Nurturing, closed).steps["clicked"] == "no"
    opened = {"reactions": {"clicked": click, "opened": ALWAYS_IN_A_MINUTE}}
    assert one(Nurturing, opened).steps["clicked"] == "yes"


def test_a_click_that_comes_after_the_wait_is_too_late() -> None:
    story = one(Nurturing, {"reactions": {"clicked": {"probability": 1, "after": ["P4D", "P4D"]}}})
    assert story.steps["clicked"] == "no"


def test_a_message_that_bounces_is_not_clicked_and_is_the_last() -> None:
    story = one(Nurturing, {"reactions": {"bounced": ALWAYS_IN_A_MINUTE, "clicked": ALWAYS_IN_A_MINUTE}})
    assert (story.outcome, story.messages) == ("bounced at clicked", 1)


def test_without_consent_a_marketing_message_is_skipped() -> None:
    marketing = kinds("nurturing", MessageClass.MARKETING)
    refused = one(Nurturing, {"consent": {"specimens": 0}}, messages=marketing)
    assert (refused.messages, refused.steps["guide"], refused.exit) == (0, "skipped", Exit.COMPLETED)
    assert one(Nurturing, {}, messages=marketing).messages == 3


def test_a_loop_of_a_year_draws_anew_for_each_message() -> None:
    half = {"reactions": {"opened": {**ALWAYS_IN_A_MINUTE, "probability": 0.5}}}
    stories = report(Yearly, half, contacts=5).stories
    answers = Counter(answer for story in stories for step, answer in story.steps.items() if step.startswith("read-"))
    assert 0.3 < answers["yes"] / (5 * 12) < 0.7
    assert len({tuple(story.steps.values()) for story in stories}) > 1


def test_every_wait_of_a_kind_is_answered_by_an_event_of_its_own() -> None:
    assert one(Replies, {"events": {"replied": ALWAYS_IN_A_MINUTE}}).outcome == "completed at silent"


def test_an_edited_flow_meets_the_same_contacts() -> None:
    clicks = {"reactions": {"clicked": {"probability": 0.5, "after": ["PT1M", "PT1H"]}}}
    before, after = (report(Nurturing, clicks, contacts=8, pause=pause) for pause in ("P7D", "P9D"))
    clicked = [[story.steps["clicked"] for story in each.stories] for each in (before, after)]
    assert clicked[0] == clicked[1]
    assert set(clicked[0]) == {"yes", "no"}


def test_personas_do_as_they_do() -> None:
    behaviour = {
        "personas": {
            "clicker": {"share": 1, "reactions": {"clicked": ALWAYS_IN_A_MINUTE}},
            "sleeper": {"share": 1},
        }
    }
    stories = report(Nurturing, behaviour, contacts=8).stories
    assert {(story.persona, story.step) for story in stories} == {("clicker", "interested"), ("sleeper", "two-months")}


def test_the_funnel_counts_everybody() -> None:
    found = report(Nurturing, {"reactions": {"clicked": {"probability": 0.5, "after": ["PT1M", "P4D"]}}}, contacts=15)
    counts = {count.step: count for count in found.funnel}
    assert list(counts) == [
        *("guide", "clicked", "case-study", "clicked-case-study", "interested"),
        *("pause-1", "reminder-1", "pause-2", "reminder-2", "two-months"),
    ]
    assert counts["guide"].reached == counts["guide"].went["sent"] == 15
    assert counts["case-study"].reached == counts["clicked"].went["yes"]
    assert counts["interested"].left == {"completed": counts["clicked-case-study"].went["yes"]}
    assert sum(sum(count.left.values()) for count in found.funnel) == 15
    assert sum(found.messages.values()) == sum(found.exits.values()) == 15


def test_a_goal_within_its_time_counts_even_after_the_flow_has_ended() -> None:
    late = {"events": {"goal": {"probability": 1, "after": ["P13D", "P13D"]}}}
    found = report(Onboarding, late, check_in_after="P11D")
    assert (found.exits, found.reached_goal.share, found.goal_after) == ({"completed": 1}, 1, timedelta(days=13))
    too_late = {"events": {"goal": {"probability": 1, "after": ["P15D", "P15D"]}}}
    assert report(Onboarding, too_late).reached_goal.share == 0


def test_the_interval_is_wilsons() -> None:
    found = Interval.of(8, 10)
    assert (found.share, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)
    assert (Interval.of(0, 10).low, Interval.of(10, 10).high) == (0, 1)


@pytest.mark.parametrize(
    ("oddity", "told"),
    [
        ("mistake", r"oddities: contact 1 gets no further: .*oddities\.py:\d+: KeyError"),
        ("call", r"step tell-the-crm does crm\.update, which nothing stands in for"),
        ("unwritten", "step letter sends letter, which this flow has not"),
    ],
)
def test_a_flow_that_gets_no_further_is_told_with_the_contact(oddity: str, told: str) -> None:
    with pytest.raises(CannotSimulate, match=told):
        report(Oddities, {}, oddity=oddity)
