from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.lead_rules import DEFAULT_RULES, Lead, LeadConditions, LeadRule, LeadRules, Strategy
from domain.people import Person

ROSA = "018f3f5e-0000-7000-8000-000000000001"
CHILE = Lead(country="CL", region="Valparaíso", product="CRM", language="es", score=40, company_size=200)

LEADS = st.builds(
    Lead,
    country=st.sampled_from(["CL", "AR", None]),
    region=st.sampled_from(["Córdoba", "Valparaíso", None]),
    product=st.sampled_from(["crm", "mail", None]),
    language=st.sampled_from(["es", "en", None]),
    score=st.none() | st.integers(0, 100),
    company_size=st.none() | st.integers(1, 500),
)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "countries": st.just(["CL"]),
        "regions": st.just(["AR/Córdoba"]),
        "products": st.just(["crm"]),
        "languages": st.just(["es"]),
        "min_score": st.integers(0, 50),
        "max_score": st.integers(50, 100),
        "min_company_size": st.integers(1, 250),
        "max_company_size": st.integers(250, 500),
    },
)


def why_not(lead: Lead, **conditions: Any) -> list[str]:
    return list(map(str, LeadConditions.model_validate(conditions).mismatches(lead)))


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"countries": ["AR", "CL"]},
        {"regions": ["AR/Córdoba", "CL/Valparaíso"]},
        {"regions": ["CL/VALPARAISO"]},
        {"products": ["crm"]},
        {"languages": ["es"]},
        {"min_score": 40, "max_score": 40},
        {"min_company_size": 200},
        {"max_company_size": 200},
    ],
)
def test_a_lead_matches_what_holds_of_it(conditions: dict[str, Any]) -> None:
    assert why_not(CHILE, **conditions) == []


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"countries": ["AR", "UY"]}, "country is CL, the rule wants AR, UY"),
        ({"regions": ["AR/Valparaíso"]}, "region is CL/Valparaíso, the rule wants AR/Valparaíso"),
        ({"products": ["mail"]}, "product is CRM, the rule wants mail"),
        ({"languages": ["en"]}, "language is es, the rule wants en"),
        ({"min_score": 41}, "score is 40, the rule wants it from 41"),
        ({"max_score": 39}, "score is 40, the rule wants it to 39"),
        ({"min_score": 0, "max_score": 9}, "score is 40, the rule wants it from 0 to 9"),
        ({"min_company_size": 500}, "company size is 200, the rule wants it from 500"),
    ],
)
def test_a_mismatch_is_told(conditions: dict[str, Any], reason: str) -> None:
    assert why_not(CHILE, **conditions) == [reason]


def test_every_mismatch_is_told() -> None:
    assert len(why_not(CHILE, countries=["AR"], languages=["en"], min_score=0, max_score=9)) == 3


@pytest.mark.parametrize(
    "conditions", [{"countries": ["CL"]}, {"regions": ["CL/Valparaíso"]}, {"min_score": 0}, {"max_company_size": 9}]
)
def test_what_is_not_known_of_a_lead_does_not_match(conditions: dict[str, Any]) -> None:
    assert "not known" in why_not(Lead(), **conditions)[0]


@pytest.mark.parametrize(("one", "other"), [("कि", "कु"), ("か", "が")])
def test_words_that_differ_in_more_than_accents_are_others(one: str, other: str) -> None:
    assert why_not(Lead(product=one), products=[other])


@given(LEADS, CONDITIONS)
def test_a_rule_matches_if_each_of_its_conditions_does_alone(lead: Lead, conditions: dict[str, Any]) -> None:
    alone = [why_not(lead, **{name: wanted}) == [] for name, wanted in conditions.items()]
    pairs = {"min_score", "max_score"}, {"min_company_size", "max_company_size"}
    together = why_not(lead, **conditions)
    assert (together == []) == all(alone)
    assert len(together) >= alone.count(False) - sum(pair <= conditions.keys() for pair in pairs)


@given(LEADS, st.lists(CONDITIONS, min_size=1, max_size=6))
def test_matching_rules_keep_their_order(lead: Lead, conditions: list[dict[str, Any]]) -> None:
    rules = LeadRules.model_validate(
        {
            "rules": [
                {"name": f"rule-{number}", "when": when, "role": "sales", "strategy": "weighted"}
                for number, when in enumerate(conditions)
            ]
        }
    )
    matching = rules.matching(lead)
    assert matching == [rule for rule in rules.rules if rule in matching]
    assert all((rule in matching) == (why_not(lead, **rule.when.model_dump()) == []) for rule in rules.rules)
    assert LeadRules.model_validate(rules.model_dump(mode="json")) == rules


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "name one of team, person and role"),
        ({"team": "andes", "role": "sales"}, "name one of team, person and role"),
        ({"person": "rosa"}, "is not a UUID"),
        ({"role": "sales", "otherwise": "weighted"}, "otherwise goes with the strategy sticky_owner alone"),
        ({"role": "sales", "strategy": "sticky_owner", "otherwise": "sticky_owner"}, "otherwise"),
        ({"role": "sales", "name": "Andes"}, "name"),
        ({"role": "sales", "when": {"min_score": 3, "max_score": 2}}, "no lead can match: min_score is above"),
        ({"role": "sales", "when": {"regions": ["Valparaíso"]}}, "regions"),
        ({"role": "sales", "when": {"country": "CL"}}, "country"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LeadRule.model_validate({"name": "andes", "strategy": "round_robin", **rule})


def test_names_of_rules_are_unique() -> None:
    twice = [{"name": name, "role": "sales", "strategy": "weighted"} for name in ("a", "b", "a")]
    with pytest.raises(ValidationError, match="names of rules have to be unique; more than once: a"):
        LeadRules.model_validate({"rules": twice})


@pytest.mark.parametrize(
    ("target", "told", "is_for"),
    [
        ({"role": "sales"}, "role sales", True),
        ({"team": "andes"}, "team andes", True),
        ({"person": ROSA}, f"person {ROSA}", True),
        ({"role": "marketing"}, "role marketing", False),
        ({"team": "iberia"}, "team iberia", False),
        ({"person": ROSA.replace("1", "2")}, f"person {ROSA.replace('1', '2')}", False),
    ],
)
def test_a_rule_is_for_a_team_a_role_or_a_person(target: dict[str, str], told: str, is_for: bool) -> None:
    rosa = Person(id=ROSA, email="rosa@example.com", name="Rosa", roles=["sales"], teams=["andes"])
    rule = LeadRule.model_validate({"name": "andes", "strategy": "weighted", **target})
    assert rule.target == told
    assert rule.is_for(rosa) is is_for


def test_by_default_any_lead_goes_to_its_owner_or_to_somebody_in_sales() -> None:
    assert [rule.name for rule in DEFAULT_RULES.matching(Lead())] == ["anybody-in-sales"]
    rule = DEFAULT_RULES.rules[0]
    assert (rule.role, rule.strategy, rule.spread) == ("sales", Strategy.STICKY_OWNER, Strategy.ROUND_ROBIN)
