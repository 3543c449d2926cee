"""A behaviour file is read as it is meant, and what is wrong in it is told with file, key, value and mend."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rehearsal.behaviour import DEFAULT_BEHAVIOUR, Behaviour, BehaviourError
from rehearsal.chances import Delay, draw, habits
from rehearsal.revision import ROOT
from rehearsal.simulation import message_types
from workflows.discovery import discover_flows
from workflows.onboarding import Onboarding

MESSAGES = message_types("onboarding")
Read = Callable[[str], Behaviour]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(text: str) -> Behaviour:
        path = tmp_path / "spring.toml"
        path.write_text(text)
        return Behaviour.read(path, Onboarding.about, MESSAGES)

    return of


def test_the_default_fits_every_flow() -> None:
    for flow in discover_flows().values():
        behaviour = Behaviour.read(DEFAULT_BEHAVIOUR, flow.about)
        assert flow.about.goal.event in [habit.event for habit in habits(behaviour.events, flow.about.goal.event)]


def test_the_example_in_the_docs_may_be_followed(read: Read) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/simulating.md").read_text(), re.DOTALL)
    behaviour = read(example)
    assert behaviour.reactions_to("need-a-hand", "busy")["clicked"].probability == 0.5
    assert set(behaviour.personas) == {"busy", "keen"}


CLICKED = '[reactions.clicked]\nprobability = 0.5\nafter = ["PT1S", "PT2S"]\n'
BAD = [
    ("reactions = [", "not TOML"),
    ("reaction = 1", "reaction: there is no such key: see docs/simulating.md"),
    ("[reactions.clicked]\nchance = 1", "reactions.clicked.chance: there is no such key"),
    (
        "[reactions.clicked]\nprobability = 1.4",
        "reactions.clicked.probability: 1.4: input should be less than or equal",
    ),
    ("[reactions.clicked]\nprobability = 'often'", "reactions.clicked.probability: 'often': input should be a valid"),
    ("[reactions.clicked]\nafter = 'PT1H'", 'reactions.clicked.after: \'PT1H\': expected ["PT5M", "P2D"]'),
    ("[reactions.clicked]\nafter = ['1 hour', 'PT2H']", "'1 hour': expected an ISO 8601 duration"),
    ("[reactions.clicked]\nafter = ['PT2H', 'PT1H']", "the earliest is later than the latest"),
    ("[reactions.clicked]\nafter = {median = 'PT2H'}", "expected earliest and latest, or median and spread"),
    ("[reactions.clicked]\nafter = {median = 'PT0S', spread = 'PT1H'}", "the median must be more than no time"),
    ("[reactions.clicked]\nprobability = 1", "reactions.clicked: has no delay: add after ="),
    ("[reactions.clicked]\nafter = ['PT1S', 'PT2S']", "reactions.clicked: has no probability: add one from 0 to 1"),
    (f"{CLICKED}needs = 'opened'", "reactions.clicked: needs opened, which is not in this table"),
    (f"{CLICKED}needs = 'clicked'", "reactions.clicked: needs itself"),
    (CLICKED.replace("clicked", "Clicked"), "reactions.Clicked"),
    (CLICKED.replace("clicked", "actvated"), "reactions.actvated: this flow never hears of actvated"),
    (CLICKED.replace("reactions.clicked", "messages.welcom.clicked"), "messages.welcom: this flow has no such message"),
    ("[personas.keen]\n", "personas.keen.share: is missing: add it"),
    ("[personas.keen]\nshare = 0", "personas.keen.share: 0: input should be greater than 0"),
    ("[personas.keen]\nshare = 1\nmessages.tips = {}", "personas.keen.messages.tips: this flow has no such message"),
    (
        "[personas.keen]\nshare = 1\nevents.goal = {probability = 1}",
        "personas.keen.events.goal: has no delay",
    ),
    (CLICKED.replace("clicked", "goal") + CLICKED.replace("clicked", "activated"), "activated is the goal"),
    ("[consent]\nonbording = 1", "consent.onbording: no message of this flow is about it: take one of onboarding"),
    ("[consent]\nonboarding = 2", "consent.onboarding: 2: input should be less than or equal to 1"),
    ("[people]\napprove = {probability = 1}", "people.approve: has no delay"),
    ("[people]\nadmire = {probability = 1}", "people.admire: there is no such key"),
    ("[people]\ncount = 0", "people.count: 0: input should be greater than or equal to 1"),
    (
        "[roles.sales]\naccept = {probability = 0.9, after = ['PT1H', 'PT2H']}\n"
        "decline = {probability = 0.2, after = ['PT1H', 'PT2H']}",
        "roles.sales: accept and decline have more than 1 together",
    ),
    (
        "[people]\ndone = {probability = 1, after = ['PT1H', 'PT2H'], needs = 'opened'}",
        "people.done: needs opened: what people do needs nothing else",
    ),
    ("[attributes.plan]\nteam = 0.7\nsolo = 0.6", "attributes.plan: the shares are more than 1 together"),
]


@pytest.mark.parametrize(("text", "told"), BAD, ids=[told for _, told in BAD])
def test_what_is_wrong_is_told_with_its_file_and_key(read: Read, text: str, told: str) -> None:
    with pytest.raises(BehaviourError) as error:
        read(text)
    lines = str(error.value).splitlines()
    assert all("spring.toml: " in line for line in lines)
    assert any(told in line for line in lines), str(error.value)


def test_all_faults_are_told_at_once(read: Read) -> None:
    with pytest.raises(BehaviourError) as error:
        read("[reactions.clicked]\nprobability = 2\nafter = 'soon'\n[personas.keen]\n")
    assert str(error.value).count("\n") == 2


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BehaviourError, match=r"nowhere\.toml: No such file"):
        Behaviour.read(tmp_path / "nowhere.toml")


def test_the_most_specific_table_has_the_last_word(read: Read) -> None:
    behaviour = read(
        CLICKED
        + "[messages.welcome]\nclicked = {probability = 0.6}\n"
        + "[personas.keen]\nshare = 1\nreactions.clicked = {probability = 0.7}\n"
        + "messages.welcome.clicked = {probability = 0.8}\n"
    )
    asked = [("need-a-hand", None), ("welcome", None), ("need-a-hand", "keen"), ("welcome", "keen")]
    chances = [behaviour.reactions_to(message, persona)["clicked"] for message, persona in asked]
    assert [chance.probability for chance in chances] == [0.5, 0.6, 0.7, 0.8]
    assert {chance.after for chance in chances} == {Delay(earliest=timedelta(seconds=1), latest=timedelta(seconds=2))}


def test_personas_share_the_contacts(read: Read) -> None:
    behaviour = read("[personas.few]\nshare = 1\n[personas.many]\nshare = 3\n")
    assert [behaviour.persona_at(share) for share in (0, 0.24, 0.26, 0.999)] == ["few", "few", "many", "many"]
    assert read("").persona_at(0.5) is None


def test_a_role_overrides_what_people_do(read: Read) -> None:
    later = "after = ['PT1H', 'PT2H']"
    behaviour = read(
        f"[people]\ncount = 2\ndone = {{probability = 1, {later}}}\n[roles.sales]\ndone.probability = 0.5\n"
    )
    probabilities = [behaviour.colleague(role)["done"].probability for role in (None, "sales", "marketing")]
    assert probabilities == [1, 0.5, 1]
    assert [behaviour.count_of(role) for role in ("sales", "marketing")] == [2, 2]


def test_where_a_file_says_nothing_of_people_they_do_as_the_default_says(read: Read) -> None:
    default = Behaviour.read(DEFAULT_BEHAVIOUR)
    assert (read("").people, read("").roles) == (default.people, default.roles)
    assert read("[people]\n").roles == {}


def test_attributes_are_shared_out_and_the_rest_have_none(read: Read) -> None:
    behaviour = read(
        "[attributes.plan]\nteam = 0.5\nsolo = 0.25\n[personas.keen]\nshare = 1\nattributes.plan = {pro = 1}\n"
    )
    assert [behaviour.attribute("plan", None, share) for share in (0, 0.6, 0.9)] == ["team", "solo", None]
    assert behaviour.attribute("plan", "keen", 0.9) == "pro"
    assert behaviour.attribute("seats", None, 0) is None


def test_delays_are_spread_as_they_say() -> None:
    between = Delay(earliest=timedelta(hours=1), latest=timedelta(hours=3))
    assert [between.at(share) for share in (0, 0.5)] == [timedelta(hours=1), timedelta(hours=2)]
    around = Delay(median=timedelta(hours=3), spread=timedelta(hours=9))
    assert around.at(0.5) == timedelta(hours=3)
    assert around.at(0.8413447) - timedelta(hours=12) < timedelta(seconds=2)
    assert timedelta(0) < around.at(0.0) < around.at(0.999999) < timedelta(days=730)


def test_draws_hang_on_nothing_but_their_key() -> None:
    """Known values: on another machine, and in another revision, the same contacts come."""
    assert draw(1, 17, "welcome", 1, "clicked") == draw(1, 17, "welcome", 1, "clicked")
    assert [round(draw(seed, 17, "persona"), 9) for seed in (1, 2)] == KNOWN
    draws = [draw(1, number, "x") for number in range(2000)]
    assert 0 <= min(draws) < max(draws) < 1
    assert abs(sum(draws) / len(draws) - 0.5) < 0.03


KNOWN = [0.573200604, 0.233576071]
