"""How a rule spreads its leads among those who can take them; what it remembers for that is in their shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.lead_rules import Strategy
from domain.people import Person


class Share(NamedTuple):
    """What a person had of a rule's leads."""

    given: int = 0
    latest: int = 0
    """Which of the leads that the rule gave in turn was their latest, counted from 1; 0: they had none."""
    owed: float = 0
    """Parts of leads that are theirs by weight, less the leads that they were given."""


_NOTHING_YET = Share()


@dataclass(frozen=True)
class Candidate:
    """One of the people whom a rule is for. `load`: the leads that they work on, whichever rule gave them."""

    person: Person
    load: int = 0
    share: Share = _NOTHING_YET

    @property
    def id(self) -> str:
        return self.person.id

    @property
    def work(self) -> str:
        """`works on 5 of 5 leads`."""
        return f"works on {self.load}{'' if self.person.capacity is None else f' of {self.person.capacity}'} leads"


class Pick(NamedTuple):
    """Who gets a lead, the shares that change by it, and how each of those available stood; all by id."""

    chosen: str
    shares: dict[str, Share]
    standings: dict[str, str]


class _Standing(NamedTuple):
    """The lowest rank gets the lead; of equal ones, the lowest id."""

    rank: tuple[float, ...]
    told: str


def pick(strategy: Strategy, available: Sequence[Candidate], given: int, owner: str | None = None) -> Pick:
    """Choose among those available, one at least.

    `given` is how many leads the rule gave in turn: the largest `latest` of all whom it is for. `sticky_owner` wants
    the `owner` to be available. That is nobody's turn, so nobody loses theirs by it.
    """
    shares = {each.id: each.share for each in available}
    match strategy:
        case Strategy.STICKY_OWNER:
            standings = _by_ownership(available, owner)
        case Strategy.ROUND_ROBIN:
            standings = _by_turn(available, given)
        case Strategy.LEAST_LOADED:
            standings = _by_load(available)
        case Strategy.WEIGHTED:
            shares = _with_parts_of_a_lead(available)
            standings = _by_weight(available, shares)
    chosen = min(standings, key=lambda id_: (standings[id_].rank, id_))
    had = shares[chosen]
    if strategy is Strategy.STICKY_OWNER:
        shares[chosen] = had._replace(given=had.given + 1)
    else:
        shares[chosen] = Share(had.given + 1, given + 1, had.owed - (strategy is Strategy.WEIGHTED))
    changed = {each.id: shares[each.id] for each in available if shares[each.id] != each.share}
    return Pick(chosen, changed, {id_: standing.told for id_, standing in standings.items()})


def _by_ownership(available: Sequence[Candidate], owner: str | None) -> dict[str, _Standing]:
    return {
        each.id: _Standing((each.id != owner,), "owns the lead" if each.id == owner else "does not own the lead")
        for each in available
    }


def _by_turn(available: Sequence[Candidate], given: int) -> dict[str, _Standing]:
    """Who had a lead longest ago; before them, those who never had one."""
    return {each.id: _Standing((each.share.latest,), _turn(each.share.latest, given)) for each in available}


def _turn(latest: int, given: int) -> str:
    if not latest:
        return "had none of the rule's leads yet"
    return f"had a lead of the rule {given - latest} leads ago" if latest < given else "had the rule's latest lead"


def _by_load(available: Sequence[Candidate]) -> dict[str, _Standing]:
    """Whose load is the smallest part of their capacity, then who had a lead longest ago.

    Whoever has no limit is taken to have the largest capacity of these people; if none has, the load alone counts.
    """
    largest = max(each.person.capacity or 1 for each in available)
    return {
        each.id: _Standing((each.load / (each.person.capacity or largest), each.share.latest), each.work)
        for each in available
    }


def _with_parts_of_a_lead(available: Sequence[Candidate]) -> dict[str, Share]:
    """A lead belongs to all who can take it, in parts by weight; whoever gets it is given the others' parts too.

    So who cannot take it misses nothing and loses nothing, and comes back to no flood of leads.
    """
    weights = sum(each.person.weight for each in available)
    return {each.id: each.share._replace(owed=each.share.owed + each.person.weight / weights) for each in available}


def _by_weight(available: Sequence[Candidate], shares: dict[str, Share]) -> dict[str, _Standing]:
    """Of those who are owed anything, who is soonest owed a whole lead.

    While the same people are available, nobody is ever given a whole lead more or less than their part: Balinski and
    Young, The Quota Method of Apportionment, 1975.
    """
    standings = {}
    for each in available:
        weight, share = each.person.weight, shares[each.id]
        owed = round(share.owed, 9)  # sums of parts such as 1/3 are not exact
        told = f"weight {weight}, owed {owed:.2f} of a lead, given {share.given}"
        standings[each.id] = _Standing((owed <= 0, round((1 - owed) / weight, 9)), told)
    return standings
