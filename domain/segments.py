"""Segments: who of all contacts is meant, as a tree of clauses. In JSON: `{"kind": "all", "of": [...]}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, model_validator

from domain.segment_clauses import ConsentClause, EnrollmentClause, EventClause, MessageClause, SuppressionClause
from domain.segment_fields import AttributeClause, ContactClause

MAX_DEPTH = 5
"""Of all, any and not in each other."""
MAX_CLAUSES = 50
"""All, any and not are counted too."""


Kind = Literal["all", "any", "not", "contact", "attribute", "consent", "event", "message", "enrollment", "suppression"]
_FIELDS = [
    field
    for clause in get_args(get_args(ContactClause.__value__)[0])
    for field in get_args(clause.model_fields["field"].annotation)
]


class _Combination(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class AllOf(_Combination):
    """Every one of these holds."""

    kind: Literal["all"]
    of: tuple[Predicate, ...] = Field(min_length=1)


class AnyOf(_Combination):
    """One of these holds, or several."""

    kind: Literal["any"]
    of: tuple[Predicate, ...] = Field(min_length=1)


class NotOf(_Combination):
    """This does not hold."""

    kind: Literal["not"]
    of: Predicate


Leaf = Annotated[
    ContactClause
    | AttributeClause
    | ConsentClause
    | EventClause
    | MessageClause
    | EnrollmentClause
    | SuppressionClause,
    Field(discriminator="kind"),
]
Predicate = Annotated[AllOf | AnyOf | NotOf | Leaf, Field(discriminator="kind")]


EXAMPLE: dict[str, JsonValue] = {
    "kind": "all",
    "of": [
        {"kind": "contact", "field": "country", "is_one_of": ["CL", "AR"]},
        {"kind": "consent", "topic": "product-news", "state": "granted"},
        {"kind": "event", "name": "clicked", "at_least": 3, "within": "P7D"},
        {"kind": "message", "flow": "onboarding", "at_most": 0},
    ],
}


class Segment(RootModel[Predicate]):
    """A predicate over contacts. Each contact is in or out; a contact who is being erased is in none."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    @model_validator(mode="before")
    @classmethod
    def _of_known_clauses(cls, given: Any) -> Any:
        """Before all else: of a tree that is too large, one error tells, in place of one for each clause.

        And none repeats what was sent as a kind, as pydantic's own would.
        """
        for count, (path, depth, clause) in enumerate(_walk(given), start=1):
            if depth > MAX_DEPTH:
                raise ValueError(f"all, any and not are nested more than {MAX_DEPTH} deep")
            if count > MAX_CLAUSES:
                raise ValueError(f"holds more than {MAX_CLAUSES} clauses, all, any and not counted")
            if isinstance(clause, dict):
                _require_among(clause, "kind", get_args(Kind), path)
                if clause["kind"] == "contact":
                    _require_among(clause, "field", _FIELDS, path)
        return given


def _walk(given: Any) -> Iterator[tuple[str, int, Any]]:
    """Each clause of a tree that is not validated yet: its JSON pointer, in how many others it lies, and itself."""
    waiting = [("", 0, given)]
    while waiting:
        path, depth, clause = waiting.pop()
        yield path, depth, clause
        inner = clause.get("of") if isinstance(clause, dict) else None
        if isinstance(inner, dict):
            waiting.append((f"{path}/of", depth + 1, inner))
        elif isinstance(inner, list | tuple):
            waiting.extend((f"{path}/of/{at}", depth + 1, each) for at, each in enumerate(inner))


def _require_among(clause: dict[Any, Any], member: str, known: Sequence[str], path: str) -> None:
    given = clause.get(member)
    if not isinstance(given, str) or given not in known:
        raise ValueError(f"{path}/{member} has to be one of {', '.join(known)}")


def leaves(predicate: Predicate, path: str = "") -> Iterator[tuple[str, Leaf]]:
    """The clauses that ask something of a contact, in their order, each with its JSON pointer."""
    match predicate:
        case AllOf() | AnyOf():
            for at, each in enumerate(predicate.of):
                yield from leaves(each, f"{path}/of/{at}")
        case NotOf():
            yield from leaves(predicate.of, f"{path}/of")
        case _:
            yield path, predicate
