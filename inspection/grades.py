"""The quality scale of flows: what is computed of each, and which grade asks for what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Fact(StrEnum):
    """What is computed of a flow. Nothing is declared."""

    CHECKS = "checks"
    LOCALES = "locales"
    PAGE = "page"
    EXITS = "exits"
    HISTORIES = "histories"


class Grade(StrEnum):
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    PLATINUM = "platinum"


@dataclass(frozen=True)
class Requirement:
    """All of a fact, which a grade asks for besides all that the grades below it ask for."""

    grade: Grade
    fact: Fact
    told: str


SCALE = (
    Requirement(Grade.BRONZE, Fact.CHECKS, "`cauce flows check` finds nothing"),
    Requirement(
        Grade.BRONZE,
        Fact.LOCALES,
        "each message, and what people of the team are asked, is there in every language of the project",
    ),
    Requirement(Grade.SILVER, Fact.PAGE, "the page in `docs/flows/` says what the code says"),
    Requirement(Grade.GOLD, Fact.EXITS, "for each exit, a test asserts that a contact takes it"),
    Requirement(
        Grade.PLATINUM,
        Fact.HISTORIES,
        "a history is recorded of the code at hand, for each wait and each exit: edits are tried on them",
    ),
)


@dataclass(frozen=True)
class Measure:
    """How much of a fact there is. `missing` names the rest; `mend` says what to do about it, if there is any.

    What is not `here`, in an installation without the project's tests, cannot be told.
    """

    done: int
    of: int
    missing: tuple[str, ...] = ()
    mend: str = ""
    here: bool = True

    @property
    def whole(self) -> bool:
        return self.here and not self.missing


ELSEWHERE = Measure(0, 0, here=False)


def grade_of(measures: Mapping[Fact, Measure]) -> Grade | None:
    """The highest grade of which, and of those below it, nothing is missing."""
    reached = None
    for grade in Grade:
        if any(_lacking(grade, measures)):
            break
        reached = grade
    return reached


def next_grade(measures: Mapping[Fact, Measure]) -> tuple[Grade, list[Measure]] | None:
    """The grade above, and what lacks for it. None at the top."""
    lacking = ((grade, list(_lacking(grade, measures))) for grade in Grade)
    return next(((grade, measures) for grade, measures in lacking if measures), None)


def _lacking(grade: Grade, measures: Mapping[Fact, Measure]) -> Iterator[Measure]:
    asked = (measures[requirement.fact] for requirement in SCALE if requirement.grade is grade)
    return (measure for measure in asked if not measure.whole)
