"""Who gets a lead, and why: one decision, explained for each rule and each person.

People are named by id. A reason may quote the lead's region or product, so it is for the database, not for Temporal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.lead_rules import Lead, LeadRule, LeadRules, Mismatch, Strategy, is_among
from domain.lead_strategies import Candidate, Pick, Share, pick
from domain.people import Person, calendar_of
from domain.trail import minute
from domain.working_time import NotWorking


class Verdict(StrEnum):
    NOT_MATCHED = "not_matched"
    MATCHED = "matched"
    NOT_NEEDED = "not_needed"
    """An earlier rule gave the lead."""
    PASSED_OVER = "passed_over"
    CHOSEN = "chosen"


class Obstacle(StrEnum):
    """What keeps a lead from a person, in the order in which it is looked for."""

    INACTIVE = "inactive"
    HAD_IT = "had_it"
    TERRITORY = "territory"
    PRODUCT = "product"
    LANGUAGE = "language"
    ABSENT = "absent"
    HOLIDAY = "holiday"
    OUTSIDE_HOURS = "outside_hours"
    CAPACITY = "capacity"


_NOT_WORKING: dict[NotWorking, str] = {
    "absent": "is absent",
    "holiday": "has a public holiday",
    "outside_hours": "does not work at this hour",
}


class Reason(BaseModel):
    """One line of the explanation: about a rule or, with `person`, about a person whom the rule is for."""

    model_config = ConfigDict(frozen=True)

    rule: str
    verdict: Verdict
    person: str | None = None
    because: Obstacle | Strategy | None = None
    """Of a person: the first obstacle, or the strategy by which they, or somebody else, got the lead."""
    mismatches: tuple[Mismatch, ...] | None = None
    """Of a rule that does not match, and `detail` in words."""
    detail: str
    until: datetime | None = None
    """When somebody works again who does not now."""


class Choice(BaseModel):
    """Who gets the lead; `person_id` is None if nobody can take it now."""

    model_config = ConfigDict(frozen=True)

    person_id: str | None = None
    rule: str | None = None
    shares: dict[str, Share] = Field(default_factory=dict)
    """By person's id: what the shares of `rule` are from now on, of those to whom this choice makes a difference."""
    reasons: tuple[Reason, ...]


def choose(
    rules: LeadRules,
    lead: Lead,
    candidates: Mapping[str, Collection[Candidate]],
    excluded: Collection[str],
    now: datetime,
) -> Choice:
    """Give a lead by the first matching rule that is for somebody who can take it.

    `candidates` has, by the name of each matching rule, all people whom it is for, available or not; `excluded` has
    the ids of those who had this lead. The same input gives the same choice, in whatever order the people come.
    """
    reasons: list[Reason] = []
    given: tuple[LeadRule, Pick] | None = None
    for rule in rules.rules:
        if mismatches := tuple(rule.when.mismatches(lead)):
            detail = "; ".join(map(str, mismatches))
            reasons.append(Reason(rule=rule.name, verdict=Verdict.NOT_MATCHED, mismatches=mismatches, detail=detail))
        elif given:
            reasons.append(Reason(rule=rule.name, verdict=Verdict.NOT_NEEDED, detail=f"{given[0].name} gave the lead"))
        else:
            people = sorted(candidates.get(rule.name, ()), key=lambda each: each.id)
            detail = f"is for {rule.target}" if people else f"is for {rule.target}, which is nobody"
            picked, of_people = _give(rule, lead, people, excluded, now)
            reasons += [Reason(rule=rule.name, verdict=Verdict.MATCHED, detail=detail), *of_people]
            given = (rule, picked) if picked else None
    if given is None:
        return Choice(reasons=tuple(reasons))
    rule, picked = given
    return Choice(person_id=picked.chosen, rule=rule.name, shares=picked.shares, reasons=tuple(reasons))


def returns_at(people: Iterable[Person], now: datetime) -> datetime | None:
    """When the first of them works, now at the earliest; None: nobody does within two years."""
    moments = (calendar_of(person).next_working(now) for person in people if person.active)
    return min((moment for moment in moments if moment), default=None)


class _Kept(NamedTuple):
    """From whom a lead is kept, and why."""

    because: Obstacle
    detail: str
    until: datetime | None = None


def _give(
    rule: LeadRule, lead: Lead, people: list[Candidate], excluded: Collection[str], now: datetime
) -> tuple[Pick | None, list[Reason]]:
    """Who gets the lead by this rule, if anybody can take it, and a reason for each of its people."""
    kept = {each.id: _kept_from(each, lead, excluded, now) for each in people}
    reasons = [
        Reason(rule=rule.name, person=id_, verdict=Verdict.PASSED_OVER, **why._asdict())
        for id_, why in kept.items()
        if why
    ]
    available = [each for each in people if not kept[each.id]]
    if not available:
        return None, reasons
    strategy = rule.strategy if any(each.id == lead.owner_id for each in available) else rule.spread
    picked = pick(strategy, available, max(each.share.latest for each in people), lead.owner_id)
    for id_, detail in picked.standings.items():
        verdict = Verdict.CHOSEN if id_ == picked.chosen else Verdict.PASSED_OVER
        reasons.append(Reason(rule=rule.name, person=id_, verdict=verdict, because=strategy, detail=detail))
    return picked, reasons


def _kept_from(candidate: Candidate, lead: Lead, excluded: Collection[str], now: datetime) -> _Kept | None:
    person = candidate.person
    if not person.active:
        return _Kept(Obstacle.INACTIVE, "is not active")
    if person.id in excluded:
        return _Kept(Obstacle.HAD_IT, "had this lead before")
    if not_theirs := _not_covered(person, lead):
        return not_theirs
    calendar = calendar_of(person)
    if why := calendar.why_not_working(now):
        until = calendar.next_working(now)
        again = f"works again {minute(until)}" if until else "does not work within two years"
        return _Kept(Obstacle(why), f"{_NOT_WORKING[why]}, {again}", until)
    if person.capacity is not None and candidate.load >= person.capacity:
        return _Kept(Obstacle.CAPACITY, candidate.work)
    return None


def _not_covered(person: Person, lead: Lead) -> _Kept | None:
    """What is not known of a lead keeps it from nobody."""
    if lead.country and person.territories and not any(_is_in(lead, territory) for territory in person.territories):
        return _Kept(Obstacle.TERRITORY, f"{lead.place or lead.country} is not in their territories")
    if lead.product and person.products and not is_among(lead.product, person.products):
        return _Kept(Obstacle.PRODUCT, f"{lead.product} is not one of their products")
    if lead.language and person.languages and lead.language not in person.languages:
        return _Kept(Obstacle.LANGUAGE, f"{lead.language} is not one of their languages")
    return None


def _is_in(lead: Lead, territory: str) -> bool:
    country, _, region = territory.partition("/")
    return country == lead.country and (not region or lead.place is None or is_among(lead.place, [territory]))
