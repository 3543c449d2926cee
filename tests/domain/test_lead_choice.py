from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.lead_choice import Choice, Obstacle, Reason, Verdict, choose, returns_at
from domain.lead_rules import Lead, LeadConditions, LeadRule, LeadRules, Strategy
from domain.lead_strategies import Candidate, Share
from domain.people import Person, calendar_of
from domain.working_time import OFFICE_HOURS, Absence, Hours, Weekday

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""A Monday."""
NIGHTS = {day: [Hours(begins=time(0), ends=time(4))] for day in Weekday}
ANY = Lead()
SPREADS = st.sampled_from([Strategy.ROUND_ROBIN, Strategy.WEIGHTED, Strategy.LEAST_LOADED])


def person(name: str, **known: Any) -> Person:
    return Person(id=name, email=f"{name}@example.com", name=f"Name of {name}", roles=["sales"], **known)


def rules(strategy: Strategy = Strategy.ROUND_ROBIN, **more: Any) -> LeadRules:
    return LeadRules(rules=(LeadRule(name="sales", role="sales", strategy=strategy, **more),))


class Office:
    """People who get leads by one rule and work on them: what a database keeps, in memory."""

    def __init__(self, people: Iterable[Person], strategy: Strategy = Strategy.ROUND_ROBIN, **rule: Any) -> None:
        self.people = list(people)
        self.rules = rules(strategy, **rule)
        self.shares: dict[str, Share] = {}
        self.load: Counter[str] = Counter()

    @property
    def candidates(self) -> list[Candidate]:
        return [Candidate(each, self.load[each.id], self.shares.get(each.id, Share())) for each in self.people]

    def give(self, lead: Lead = ANY, excluded: Collection[str] = (), now: datetime = NOON) -> Choice:
        choice = choose(self.rules, lead, {"sales": self.candidates}, excluded, now)
        self.shares |= choice.shares
        if choice.person_id:
            self.load[choice.person_id] += 1
        return choice

    def run(self, leads: int, available: Collection[str] | None = None) -> list[str | None]:
        away = {each.id for each in self.people} - set(available) if available is not None else ()
        return [self.give(excluded=away).person_id for _ in range(leads)]


@st.composite
def people(draw: st.DrawFn, most: int = 5) -> list[Person]:
    """Around two changes of clocks: Santiago's and Madrid's hours differ by five, and by four between them."""
    found = []
    for number in range(draw(st.integers(1, most))):
        days = st.dates(date(2026, 3, 27), date(2026, 4, 8))
        absences = draw(st.lists(st.tuples(days, days).map(sorted), max_size=2))
        each = person(
            f"p{number}",
            time_zone=draw(st.sampled_from(["America/Santiago", "Europe/Madrid", "Australia/Lord_Howe"])),
            holidays=draw(st.sampled_from([None, "CL", "ES-MD"])),
            working_hours=draw(st.sampled_from([dict(OFFICE_HOURS), NIGHTS, {}])),
            absences=[Absence(first_day=first, last_day=last) for first, last in absences],
            capacity=draw(st.none() | st.integers(0, 4)),
            weight=draw(st.integers(1, 5)),
            languages=draw(st.sampled_from([[], ["es"], ["en", "es"]])),
            territories=draw(st.sampled_from([[], ["CL"], ["AR/Córdoba", "CL/Valparaíso"]])),
            active=draw(st.booleans() | st.just(True)),
        )
        found.append(each)
    return found


LEADS = st.builds(
    Lead,
    country=st.sampled_from(["CL", "AR", None]),
    region=st.sampled_from(["Córdoba", "valparaiso", None]),
    language=st.sampled_from(["es", "en", None]),
    owner_id=st.sampled_from(["p0", "p3", None]),
)
MOMENTS = st.datetimes(
    datetime(2026, 3, 27),  # noqa: DTZ001
    datetime(2026, 4, 8),  # noqa: DTZ001
    timezones=st.just(UTC),
)
ARRIVALS = st.lists(st.tuples(LEADS, MOMENTS, st.sets(st.sampled_from(["p0", "p1"]))), max_size=30)
STICKY = st.just((Strategy.STICKY_OWNER, {"otherwise": Strategy.WEIGHTED}))


def covers(each: Person, lead: Lead) -> bool:
    if lead.language and each.languages and lead.language not in each.languages:
        return False
    if not each.territories or not lead.country:
        return True
    if each.territories == ["CL"]:
        return lead.country == "CL"
    return not lead.region or (lead.country, lead.region) in {("AR", "Córdoba"), ("CL", "valparaiso")}


@given(people(), ARRIVALS, SPREADS.map(lambda spread: (spread, {})) | STICKY)
def test_a_lead_goes_to_somebody_who_can_take_it_if_anybody_can(
    team: list[Person], arrivals: list[tuple[Lead, datetime, set[str]]], by: tuple[Strategy, dict[str, Any]]
) -> None:
    office = Office(team, by[0], **by[1])
    for lead, now, excluded in sorted(arrivals, key=lambda arrival: arrival[1]):
        able = {
            each.id
            for each in team
            if each.active
            and each.id not in excluded
            and covers(each, lead)
            and calendar_of(each).is_working(now)
            and (each.capacity is None or office.load[each.id] < each.capacity)
        }
        owner = {lead.owner_id} & able if by[0] is Strategy.STICKY_OWNER else set()
        chosen = office.give(lead, excluded, now).person_id
        assert chosen in (owner or able or {None})


@given(people(), LEADS, MOMENTS, st.sets(st.sampled_from(["p0", "p1"])), SPREADS, st.data())
def test_the_choice_does_not_depend_on_the_order_of_people(
    team: list[Person], lead: Lead, now: datetime, excluded: set[str], spread: Strategy, data: st.DataObject
) -> None:
    shares = st.builds(Share, st.integers(0, 3), st.integers(0, 3), st.sampled_from([-0.5, 0, 0.5]))
    candidates = [Candidate(each, data.draw(st.integers(0, 3)), data.draw(shares)) for each in team]
    shuffled = data.draw(st.permutations(candidates))
    first = choose(rules(spread), lead, {"sales": candidates}, excluded, now)
    assert choose(rules(spread), lead, {"sales": shuffled}, sorted(excluded), now) == first


@given(people(), LEADS, MOMENTS, st.sets(st.sampled_from(["p0", "p1"])), SPREADS)
def test_what_became_of_everybody_is_told_without_their_names(
    team: list[Person], lead: Lead, now: datetime, excluded: set[str], spread: Strategy
) -> None:
    choice = Office(team, spread).give(lead, excluded, now)
    told = {reason.person: reason for reason in choice.reasons if reason.person}
    assert told.keys() == {each.id for each in team}
    assert [id_ for id_, reason in told.items() if reason.verdict is Verdict.CHOSEN] == [choice.person_id] * bool(
        choice.person_id
    )
    as_json = choice.model_dump_json()
    assert Choice.model_validate_json(as_json) == choice
    assert "Name of" not in as_json
    assert "@" not in as_json


WEIGHTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def weighted(weights: list[int]) -> Office:
    return Office([person(f"p{n}", weight=weight) for n, weight in enumerate(weights)], Strategy.WEIGHTED)


@given(WEIGHTS)
def test_in_a_cycle_nobody_is_a_whole_lead_off_their_weight(weights: list[int]) -> None:
    office, cycle = weighted(weights), sum(weights)
    given_: Counter[str | None] = Counter()
    for number in range(1, 2 * cycle + 1):
        given_[office.give().person_id] += 1
        assert all(abs(given_[each.id] - number * each.weight / cycle) < 1 for each in office.people)


@given(WEIGHTS, st.data())
def test_any_run_of_a_cycle_gives_everybody_their_weight(weights: list[int], data: st.DataObject) -> None:
    office, cycle = weighted(weights), sum(weights)
    leads = office.run(2 * cycle)
    begin = data.draw(st.integers(0, cycle))
    assert Counter(leads[begin : begin + cycle]) == {each.id: each.weight for each in office.people}


@settings(max_examples=50)
@given(WEIGHTS, st.data())
def test_after_absences_a_cycle_is_within_one_of_the_weights(weights: list[int], data: st.DataObject) -> None:
    office = weighted(weights)
    ids = [each.id for each in office.people]
    for _ in range(data.draw(st.integers(0, 5))):
        office.run(data.draw(st.integers(1, 15)), data.draw(st.sets(st.sampled_from(ids), min_size=1)))
    cycle = Counter(office.run(sum(weights)))
    assert all(abs(cycle[each.id] - each.weight) <= 1 for each in office.people)


def test_weighted_leads_are_spread_out() -> None:
    office = Office([person("a", weight=4), person("b", weight=2), person("c", weight=1)], Strategy.WEIGHTED)
    assert "".join(filter(None, office.run(14))) == "aababac" * 2


def test_nobody_comes_back_to_a_flood_of_leads() -> None:
    office = Office([person("a"), person("b")], Strategy.WEIGHTED)
    office.run(100, available=["a"])
    assert Counter(office.run(4)) == {"a": 2, "b": 2}
    office.people.append(person("c"))
    assert Counter(office.run(6)) == {"a": 2, "b": 2, "c": 2}


def test_leads_that_others_alone_can_take_cost_nobody_their_turn() -> None:
    """A and B sell in Chile, C and D in Spain, and the countries take turns."""
    team = [person(name, territories=["CL" if name in "ab" else "ES"], weight=1 + (name in "ac")) for name in "abcd"]
    office = Office(team, Strategy.WEIGHTED)
    for number in range(90):
        office.give(Lead(country=("CL", "ES", "ES")[number % 3]))
    assert office.load == {"a": 20, "b": 10, "c": 40, "d": 20}


def test_round_robin_gives_to_whoever_waits_longest() -> None:
    office = Office([person("b"), person("a"), person("c")])
    assert office.run(4) == ["a", "b", "c", "a"]
    assert office.run(2, available=["b", "c"]) == ["b", "c"]
    assert office.run(1, available=["a"]) == ["a"]
    office.people.append(person("d"))
    assert office.run(5) == ["d", "b", "c", "a", "d"]


@given(st.integers(1, 6), st.integers(1, 30))
def test_round_robin_gives_everybody_the_same(size: int, leads: int) -> None:
    given_ = Counter(Office([person(f"p{number}") for number in range(size)]).run(leads))
    assert max(given_.values()) - min(given_[f"p{number}"] for number in range(size)) <= 1


@pytest.mark.parametrize(
    ("loads", "capacities", "expected"),
    [
        ((4, 3), (10, 5), "a"),
        ((5, 2), (10, 5), "b"),
        ((5, 6), (None, 10), "a"),
        ((7, 6), (None, 10), "b"),
        ((7, 6), (None, None), "b"),
        ((1, 1), (None, None), "a"),
        ((1, 9), (1, 10), "b"),
    ],
)
def test_the_least_loaded_has_the_smallest_part_of_their_capacity(
    loads: tuple[int, int], capacities: tuple[int | None, int | None], expected: str
) -> None:
    pairs = zip("ab", capacities, loads, strict=True)
    candidates = [Candidate(person(name, capacity=capacity), load) for name, capacity, load in pairs]
    assert choose(rules(Strategy.LEAST_LOADED), ANY, {"sales": candidates}, (), NOON).person_id == expected


def test_of_the_equally_loaded_it_is_whoever_waits_longest() -> None:
    office = Office([person("a"), person("b")], Strategy.LEAST_LOADED)
    office.run(3)
    office.load["b"] = 2
    assert office.run(1) == ["b"]


def test_a_lead_stays_with_its_owner_and_costs_them_no_turn() -> None:
    office = Office([person("a"), person("b"), person("c")], Strategy.STICKY_OWNER)
    assert office.run(2) == ["a", "b"]
    assert [office.give(Lead(owner_id="a")).shares for _ in range(3)] == [{"a": Share(n, 1)} for n in (2, 3, 4)]
    assert office.give(Lead(owner_id="a"), excluded=["a"]).person_id == "c"
    assert office.give(Lead(owner_id="somebody else")).person_id == "a"
    assert office.shares["a"].given == 5


def test_the_first_rule_with_somebody_available_gives_the_lead() -> None:
    chile = LeadConditions(countries=("CL",))
    names = {"peru": LeadConditions(countries=("PE",)), "chile": chile, "latam": chile, "anybody": LeadConditions()}
    several = LeadRules(
        rules=tuple(
            LeadRule(name=name, when=when, team=name, strategy=Strategy.ROUND_ROBIN) for name, when in names.items()
        )
    )
    candidates = {"chile": [Candidate(person("a", capacity=5), 5)], "latam": [Candidate(person("b"))]}
    choice = choose(several, Lead(country="CL"), candidates, (), NOON)
    assert (choice.person_id, choice.rule, choice.shares) == ("b", "latam", {"b": Share(1, 1)})
    assert [reason.model_dump(mode="json", exclude_none=True) for reason in choice.reasons] == [
        {
            "rule": "peru",
            "verdict": "not_matched",
            "mismatches": [{"what": "country", "value": "CL", "among": ["PE"]}],
            "detail": "country is CL, the rule wants PE",
        },
        {"rule": "chile", "verdict": "matched", "detail": "is for team chile"},
        {
            "rule": "chile",
            "verdict": "passed_over",
            "person": "a",
            "because": "capacity",
            "detail": "works on 5 of 5 leads",
        },
        {"rule": "latam", "verdict": "matched", "detail": "is for team latam"},
        {
            "rule": "latam",
            "verdict": "chosen",
            "person": "b",
            "because": "round_robin",
            "detail": "had none of the rule's leads yet",
        },
        {"rule": "anybody", "verdict": "not_needed", "detail": "latam gave the lead"},
    ]


def test_if_nobody_is_there_nobody_gets_it() -> None:
    choice = choose(rules(), ANY, {}, (), NOON)
    assert (choice.person_id, choice.rule, choice.shares) == (None, None, {})
    assert [reason.detail for reason in choice.reasons] == ["is for role sales, which is nobody"]


NOTHING_FITS: dict[str, Any] = {
    "active": False,
    "territories": ["PE", "CL/Arica"],
    "products": ["mail"],
    "languages": ["en"],
    "absences": [Absence(first_day=date(2026, 6, 1), last_day=date(2026, 6, 1))],
    "holidays": "NZ",
    "working_hours": NIGHTS,
    "capacity": 0,
}
"""The first of June is a holiday in New Zealand, in 2026."""


def test_of_several_obstacles_the_first_is_told() -> None:
    lead = Lead(country="CL", region="Ñuble", product="CRM", language="es")
    told: list[Reason] = []
    fitting: dict[str, Any] = {}
    for mended in (None, "active", "excluded", *list(NOTHING_FITS)[1:]):
        if mended in NOTHING_FITS:
            fitting[mended] = NOTHING_FITS[mended]
        candidate = Candidate(person("a", **{key: NOTHING_FITS[key] for key in NOTHING_FITS if key not in fitting}))
        excluded = [] if mended not in (None, "active") else ["a"]
        told += [r for r in choose(rules(), lead, {"sales": [candidate]}, excluded, NOON).reasons if r.person]
    assert [reason.because for reason in told] == [*Obstacle, Strategy.ROUND_ROBIN]
    assert [(reason.detail, reason.until) for reason in told][2:-1] == [
        ("CL/Ñuble is not in their territories", None),
        ("CRM is not one of their products", None),
        ("es is not one of their languages", None),
        ("is absent, works again 2026-06-02 00:00 UTC", datetime(2026, 6, 2, tzinfo=UTC)),
        ("has a public holiday, works again 2026-06-02 00:00 UTC", datetime(2026, 6, 2, tzinfo=UTC)),
        ("does not work at this hour, works again 2026-06-02 00:00 UTC", datetime(2026, 6, 2, tzinfo=UTC)),
        ("works on 0 of 0 leads", None),
    ]


@pytest.mark.parametrize(
    ("lead", "covered"),
    [
        (Lead(country="CL", region="Ñuble"), True),
        (Lead(country="AR", region="cordoba"), True),
        (Lead(country="AR", region="Mendoza"), False),
        (Lead(country="AR"), True),
        (Lead(region="Mendoza"), True),
        (Lead(country="UY"), False),
        (Lead(product="Correo Electronico"), True),
        (Lead(product="crm"), False),
        (Lead(language="en"), False),
    ],
)
def test_people_cover_what_they_list_and_what_is_not_known(lead: Lead, covered: bool) -> None:
    rosa = person("rosa", territories=["CL", "AR/Córdoba"], products=["correo electrónico"], languages=["es"])
    assert (choose(rules(), lead, {"sales": [Candidate(rosa)]}, (), NOON).person_id == "rosa") is covered


def test_who_works_at_an_hour_changes_with_the_clocks() -> None:
    """At 07:30 UTC Madrid is at work in summer, from the last Sunday of March, and not in winter."""
    office = Office([person("a", time_zone="Europe/Madrid")])
    friday = datetime(2026, 3, 27, 7, 30, tzinfo=UTC)
    assert office.give(now=friday).person_id is None
    assert office.give(now=friday + timedelta(days=3)).person_id == "a"


def test_somebody_returns_when_the_first_of_them_works() -> None:
    on_leave = Absence(first_day=date(2026, 6, 1), last_day=date(2026, 6, 2))
    team = [
        person("a", absences=[on_leave]),
        person("b", time_zone="America/Santiago"),
        person("c", active=False),
        person("d", working_hours={}),
    ]
    assert returns_at(team, NOON) == datetime(2026, 6, 1, 13, tzinfo=UTC)
    assert returns_at(team, NOON + timedelta(hours=2)) == NOON + timedelta(hours=2)
    assert returns_at(team[:1], NOON) == datetime(2026, 6, 3, 9, tzinfo=UTC)
    assert returns_at(team[2:], NOON) is None
    assert returns_at([], NOON) is None
