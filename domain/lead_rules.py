"""Which people a lead is for: an ordered list of rules, each with what it wants of a lead and how it spreads them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from domain.contacts import Country
from domain.limits import Id, Text
from domain.people import Language, Person, Role, Team

RuleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}/[^/\x00-\x1f]{1,100}$")]
"""With its country, since names of regions are not unique: `CL/Valparaíso`."""
Bound = Annotated[int, Field(strict=True, ge=-(10**9), le=10**9)]


@dataclass(frozen=True)
class Lead:
    """What the rules go by; None is what nobody knows of the contact. `owner_id` is a person's."""

    country: str | None = None
    region: str | None = None
    product: str | None = None
    language: str | None = None
    score: int | None = None
    company_size: int | None = None
    owner_id: str | None = None

    @property
    def place(self) -> str | None:
        """As `Region` says it; None if country or region is not known."""
        return f"{self.country}/{self.region}" if self.country and self.region else None


class Strategy(StrEnum):
    """Who of those available gets the lead."""

    ROUND_ROBIN = "round_robin"
    """Whoever waits longest for one."""
    WEIGHTED = "weighted"
    """Each as often as their weight says."""
    LEAST_LOADED = "least_loaded"
    """Whoever has most room for one."""
    STICKY_OWNER = "sticky_owner"
    """The lead's owner; another strategy decides if that is none of them."""


class Mismatch(BaseModel):
    """What of a lead is not as a rule wants it: one of some names, or a number within bounds.

    `what` is a field of `Lead`; `value` is None if nobody knows it. As text: `country is CL, the rule wants AR, UY`.
    """

    model_config = ConfigDict(frozen=True)

    what: str
    value: str | int | None = None
    among: tuple[str, ...] | None = None
    least: int | None = None
    most: int | None = None

    def __str__(self) -> str:
        wanted = f"wants {', '.join(self.among)}" if self.among else f"wants it {' '.join(self._bounds)}"
        value = "not known" if self.value is None else self.value
        return f"{self.what.replace('_', ' ')} is {value}, the rule {wanted}"

    @property
    def _bounds(self) -> list[str]:
        bounds = (("from", self.least), ("to", self.most))
        return [f"{word} {bound}" for word, bound in bounds if bound is not None]


class LeadConditions(BaseModel):
    """What a rule wants of a lead. All that is given has to hold, and what is not known of a lead does not hold.

    Names compare without regard to case and accents: what people type into forms has neither for sure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    countries: tuple[Country, ...] = Field(default=(), max_length=250, examples=[["CL", "AR"]])
    regions: tuple[Region, ...] = Field(default=(), max_length=500, examples=[["CL/Valparaíso"]])
    products: tuple[Text, ...] = Field(default=(), max_length=200)
    languages: tuple[Language, ...] = Field(default=(), max_length=50, examples=[["es"]])
    min_score: Bound | None = None
    max_score: Bound | None = None
    min_company_size: Bound | None = Field(default=None, description="people who work there")
    max_company_size: Bound | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for what in ("score", "company_size"):
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if least is not None and most is not None and least > most:
                raise ValueError(f"no lead can match: min_{what} is above max_{what}")
        return self

    def mismatches(self, lead: Lead) -> Iterator[Mismatch]:
        """Why the lead does not match. Nothing: it does."""
        for what, name, among in (
            ("country", lead.country, self.countries),
            ("region", lead.place, self.regions),
            ("product", lead.product, self.products),
            ("language", lead.language, self.languages),
        ):
            if among and not (name and is_among(name, among)):
                yield Mismatch(what=what, value=name or None, among=among)
        for what, number, least, most in (
            ("score", lead.score, self.min_score, self.max_score),
            ("company_size", lead.company_size, self.min_company_size, self.max_company_size),
        ):
            if (least, most) != (None, None) and (number is None or not _is_within(number, least, most)):
                yield Mismatch(what=what, value=number, least=least, most=most)


class LeadRule(BaseModel):
    """One rule: leads that match `when` go to somebody of a team, to one person, or to somebody in a role."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: RuleName = Field(examples=["andes"])
    when: LeadConditions = LeadConditions()
    team: Team | None = None
    person: Id | None = None
    role: Role | None = None
    strategy: Strategy
    otherwise: Literal[Strategy.ROUND_ROBIN, Strategy.WEIGHTED, Strategy.LEAST_LOADED] | None = Field(
        default=None, description="for sticky_owner alone, if the owner is none of these people: round_robin by default"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sum(target is not None for target in (self.team, self.person, self.role)) != 1:
            raise ValueError("name one of team, person and role")
        if self.otherwise is not None and self.strategy is not Strategy.STICKY_OWNER:
            raise ValueError("otherwise goes with the strategy sticky_owner alone")
        return self

    @property
    def target(self) -> str:
        """`team andes`."""
        return next(f"{what} {name}" for what in ("team", "person", "role") if (name := getattr(self, what)))

    @property
    def spread(self) -> Strategy:
        """The strategy among people of whom none owns the lead."""
        return self.strategy if self.strategy is not Strategy.STICKY_OWNER else self.otherwise or Strategy.ROUND_ROBIN

    def is_for(self, person: Person) -> bool:
        return self.team in person.teams or self.person == person.id or self.role in person.roles


class LeadRules(BaseModel):
    """In the order in which they are tried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[LeadRule, ...] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names of rules have to be unique; more than once: {', '.join(twice)}")
        return self

    def matching(self, lead: Lead) -> list[LeadRule]:
        return [rule for rule in self.rules if not any(rule.when.mismatches(lead))]


DEFAULT_RULES = LeadRules(
    rules=(LeadRule(name="anybody-in-sales", role="sales", strategy=Strategy.STICKY_OWNER),),
)


def is_among(name: str, names: Sequence[str]) -> bool:
    """Whether a name is one of them, however its case and accents are written."""
    return _plain(name) in map(_plain, names)


def _is_within(number: int, least: int | None, most: int | None) -> bool:
    return (least is None or least <= number) and (most is None or number <= most)


def _plain(name: str) -> str:
    # Of combining signs, accents alone: others, as the vowels of Hindi, make another word.
    letters = (sign for sign in unicodedata.normalize("NFKD", name.casefold()) if not "\u0300" <= sign <= "\u036f")
    return "".join(letters).casefold().strip()
