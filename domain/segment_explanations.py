"""Why a contact is in a segment or not: each clause in words, whether it holds, and which of them decide."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from domain.segments import AllOf, AnyOf, Kind, NotOf, Predicate

_IN_WORDS = {"all": "all of these", "any": "one of these, or several", "not": "not this"}


class Verdict(BaseModel):
    """A clause, and whether it holds for one contact."""

    model_config = ConfigDict(frozen=True)

    path: str = Field(description="where it is in the predicate, as a JSON pointer", examples=["/of/2"])
    kind: Kind
    sentence: str = Field(examples=["at least 3 events clicked in the last 7 days"])
    holds: bool
    of: tuple[Verdict, ...] = Field(default=(), description="what all, any and not are of")


def explained(predicate: Predicate, truths: Iterator[bool], path: str = "") -> Verdict:
    """Judge a predicate by the truth of its leaves, given in the order of `domain.segments.leaves`."""
    inner: tuple[Verdict, ...]
    if isinstance(predicate, NotOf):
        inner = (explained(predicate.of, truths, f"{path}/of"),)
        holds = not inner[0].holds
    elif isinstance(predicate, AllOf | AnyOf):
        inner = tuple(explained(each, truths, f"{path}/of/{at}") for at, each in enumerate(predicate.of))
        holds = (all if isinstance(predicate, AllOf) else any)(each.holds for each in inner)
    else:
        return Verdict(path=path, kind=predicate.kind, sentence=predicate.sentence, holds=next(truths))
    return Verdict(path=path, kind=predicate.kind, sentence=_IN_WORDS[predicate.kind], holds=holds, of=inner)


def deciding(verdict: Verdict) -> Iterator[Verdict]:
    """The leaves that the verdict rests on.

    `all` fails by those that fail and `any` holds by those that hold; else each of theirs counts. As long as these stay
    as they are the verdict does, whatever becomes of others.
    """
    if not verdict.of:
        yield verdict
    for each in verdict.of:
        by_some = (verdict.kind, verdict.holds) in (("all", False), ("any", True))
        if not by_some or each.holds is verdict.holds:
            yield from deciding(each)
