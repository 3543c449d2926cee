"""Predicates as integrators send them, in JSON, over what `tests/store/segment_world.py` has."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from domain.consent import ConsentState
from domain.suppressions import SuppressionReason
from tests.store.segment_world import (
    ATTRIBUTES,
    BROADCAST,
    COMPANIES,
    EVENTS,
    FLOWS,
    OWNERS,
    STEPS,
    TOPICS,
    VALUES,
)

VALUES_ASKED = st.sampled_from([value for value in VALUES if isinstance(value, str | float | int) and value != 2**62])
TEXTS = st.sampled_from([*filter(None, COMPANIES), "a", "A", "%", "_", "Á"])
NUMBERS = st.sampled_from([-3, 0.1, 5, 5.0, 6, 10**15])
WITHIN = st.sampled_from([{}, {"within": "P1D"}, {"within": "P7D"}, {"within": "P90D"}])


def evenly(*strategies: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One of them, each as often as another: `one_of` takes those of many alternatives more often."""
    return st.sampled_from(strategies).flatmap(lambda strategy: strategy)


def one_of(*operators: Any) -> st.SearchStrategy[dict[str, Any]]:
    return evenly(*(st.fixed_dictionaries({name: values}) for name, values in operators))


def among(values: st.SearchStrategy[Any], *more: Any) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(values, min_size=1, max_size=3)
    return one_of(("is", values), ("is_not", values), ("is_one_of", several), *more)


def field(name: str, operators: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return operators.map(lambda operator: {"kind": "contact", "field": name, **operator})


def clause(kind: str, *parts: st.SearchStrategy[dict[str, Any]], **members: Any) -> st.SearchStrategy[dict[str, Any]]:
    each = st.tuples(*(st.one_of(st.just({}), st.fixed_dictionaries({name: of})) for name, of in members.items()))
    return st.tuples(each, *parts).map(
        lambda found: {"kind": kind} | {name: value for part in (*found[0], *found[1:]) for name, value in part.items()}
    )


KNOWN = ("is_known", st.booleans())
MATCHING = (("contains", TEXTS), ("starts_with", TEXTS))
MOMENTS = st.sampled_from(["2026-11-16T12:00:00Z", "2026-11-23T13:00:00+01:00", "2026-08-25T12:00:00Z"])
HOW_OFTEN = st.one_of(
    st.just({}),
    one_of(("at_least", st.integers(1, 3)), ("at_most", st.integers(0, 2)), ("exactly", st.integers(0, 3))),
)
REACHED = st.sampled_from(["handed_over", "sent", "delivered", "opened", "clicked"])
WHERE = st.fixed_dictionaries({"property": st.sampled_from(ATTRIBUTES[:-1]), "is": VALUES_ASKED})
LEAVES_OF = {
    "contact": evenly(
        field("country", among(st.sampled_from(["CL", "AR", "PE"]), KNOWN)),
        field("email_domain", among(st.sampled_from(["example.com", "mail.example.com", "axb.test"]))),
        field("language", among(st.sampled_from(["es", "en", "est"]))),
        field("locale", among(st.sampled_from(["es", "es-CL"]))),
        field("time_zone", among(st.sampled_from(["America/Santiago"]), KNOWN)),
        field("owner", among(st.sampled_from(OWNERS), KNOWN)),
        field("lifecycle_stage", among(st.sampled_from(["lead", "customer"]), KNOWN)),
        field("company", among(TEXTS, *MATCHING)),
        field("company", one_of(KNOWN)),
        field("score", one_of(*((name, st.integers(-2, 3)) for name in ("is", "at_least", "at_most")))),
        field("created_at", one_of(("before", MOMENTS), ("after", MOMENTS), ("within", st.just("P7D")))),
    ),
    "attribute": clause(
        "attribute",
        st.fixed_dictionaries({"name": st.sampled_from(ATTRIBUTES[:-1])}),
        among(VALUES_ASKED, KNOWN, *MATCHING, ("at_least", NUMBERS), ("at_most", NUMBERS)),
    ),
    "consent": st.fixed_dictionaries(
        {
            "kind": st.just("consent"),
            "topic": st.sampled_from(TOPICS),
            "state": st.sampled_from(["none", *map(str, ConsentState)]),
        }
    ),
    "event": evenly(
        clause("event", HOW_OFTEN, WITHIN, name=st.sampled_from(EVENTS)),
        clause("event", HOW_OFTEN, WITHIN, acts_only=st.booleans()),
        clause("event", HOW_OFTEN, WITHIN, name=st.sampled_from(EVENTS), where=WHERE),
    ),
    "message": evenly(
        clause("message", HOW_OFTEN, WITHIN, flow=st.sampled_from(FLOWS), reached=REACHED),
        clause("message", HOW_OFTEN, WITHIN, step=st.sampled_from(STEPS), topic=st.sampled_from(TOPICS)),
        clause("message", HOW_OFTEN, WITHIN, broadcast_id=st.just(BROADCAST), reached=REACHED),
    ),
    "enrollment": evenly(
        clause("enrollment", WITHIN, flow=st.sampled_from(FLOWS), state=st.sampled_from(["active", "ended", "ever"])),
        clause(
            "enrollment",
            WITHIN,
            st.just({"state": "ended"}),
            flow=st.sampled_from(FLOWS),
            exit=st.sampled_from(["goal", "completed", "failed"]),
        ),
    ),
    "suppression": clause("suppression", reason=st.sampled_from([str(reason) for reason in SuppressionReason])),
}


def _combined(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        st.fixed_dictionaries({"kind": st.sampled_from(["all", "any"]), "of": several}),
        st.fixed_dictionaries({"kind": st.just("not"), "of": inner}),
    )


_TREES = st.recursive(evenly(*LEAVES_OF.values()), _combined, max_leaves=6)
_OF_ROWS = evenly(*(leaves for kind, leaves in LEAVES_OF.items() if kind not in ("contact", "attribute")))
_ALL_OF_ROWS = st.fixed_dictionaries({"kind": st.just("all"), "of": st.lists(_OF_ROWS, min_size=2, max_size=3)})
PREDICATES = evenly(_TREES, _TREES, _ALL_OF_ROWS).filter(lambda predicate: _depth(predicate) <= 5)


def _depth(predicate: dict[str, Any]) -> int:
    inner = predicate.get("of", [])
    return 1 + max(map(_depth, inner if isinstance(inner, list) else [inner])) if inner else 0
