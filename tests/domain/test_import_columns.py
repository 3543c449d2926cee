"""What the columns of a file mean, and what a record says by them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contact_csv import Record
from domain.import_columns import Column, ContactLine, ContactReader, Fault, HeaderFault, columns_of, topics_of

TOPICS = ["newsletter", "offers"]


def targets(header: list[str], mapping: dict[str, str], *, ignore_others: bool = False) -> list[str]:
    columns, faults = columns_of(header, mapping, TOPICS, ignore_others=ignore_others)
    assert faults == []
    return [column.target for column in columns]


def refused(header: list[str], mapping: dict[str, str]) -> list[HeaderFault]:
    return columns_of(header, mapping, TOPICS, ignore_others=False)[1]


def line(targets: list[str], *cells: str) -> ContactLine | list[Fault]:
    columns = [Column(f"column of {target}", target) for target in ["email", *targets]]
    return ContactReader(columns).read(Record(7, ["ada@example.com", *cells]))


def test_columns_that_are_named_like_fields_need_no_mapping() -> None:
    header = ["Email ", "First name", "LAST-NAME", "attributes.plan", "consent.offers", "Seats", "x", ""]
    mapping = {"seats": "attributes.seats", "X": "ignore", "number 8": "ignore"}
    assert targets(header, mapping) == [
        "email",
        "first_name",
        "last_name",
        "attributes.plan",
        "consent.offers",
        "attributes.seats",
        "ignore",
        "ignore",
    ]


def test_a_column_that_nobody_knows_is_refused_or_ignored_if_that_is_asked_for() -> None:
    ((told, of_mapping),) = refused(["email", "Plan"], {})
    assert "column 2 (“Plan”) is not known" in told
    assert "attributes.<name>" in told
    assert of_mapping is None
    assert targets(["email", "Plan"], {}, ignore_others=True) == ["email", "ignore"]


def test_without_an_address_no_name_is_repeated_for_the_first_line_may_be_a_contact() -> None:
    ((told, _),) = refused(["ada@example.com", "Ada"], {})
    assert "no column is email" in told
    assert "Ada" not in told
    assert "@" not in told


@pytest.mark.parametrize(
    ("header", "mapping", "told"),
    [
        (["email", "E-mail"], {"E-mail": "email"}, "2 columns become email"),
        (["email", "a", "b"], {"a": "attributes.x", "b": "attributes.x:text"}, "2 columns become attributes.x"),
        (["email", "consent.gossip"], {}, "consent.gossip is no topic: there are newsletter, offers"),
        (["email"], {"Plan": "attributes.plan"}, "no column of this name"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(header: list[str], mapping: dict[str, str], told: str) -> None:
    ((found, _),) = refused(header, mapping)
    assert told in found


def test_an_empty_cell_says_nothing() -> None:
    found = line(["first_name", "country", "attributes.plan", "consent.offers"], "", " ", "", "")
    assert isinstance(found, ContactLine)
    assert (found.profile.model_fields_set, found.consent) == ({"email"}, {})
    found = line(["first_name", "country"], " Ada ", "")
    assert isinstance(found, ContactLine)
    assert found.profile.model_dump(exclude_unset=True) == {"email": "ada@example.com", "first_name": "Ada"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("12.5", 12.5),
        ("-0.25", -0.25),
        ("true", True),
        ("false", False),
        ("+56912345678", "+56912345678"),
        ("007", "007"),
        ("12,50", "12,50"),
        ("1e5", "1e5"),
        (".5", ".5"),
        ("1234567890123456", "1234567890123456"),
        ("TRUE", "TRUE"),
        ("yes", "yes"),
        ("null", "null"),
        ("١٢", "١٢"),
    ],
)
def test_an_attribute_is_a_number_or_a_truth_value_if_json_writes_it_so(text: str, value: Any) -> None:
    found = line(["attributes.x", "attributes.y:text"], text, text)
    assert isinstance(found, ContactLine)
    assert found.profile.attributes == {"x": value, "y": text}
    assert type(found.profile.attributes["x"]) is type(value)


YES = ["yes", "SÍ", "si", "1", "TRUE", "VERDADERO"]
NO = ["no", "0", "False", "falso"]


@pytest.mark.parametrize(("text", "word"), [*((text, True) for text in YES), *((text, False) for text in NO)])
def test_consent_is_said_as_spreadsheets_do(text: str, word: bool) -> None:
    found = line(["consent.offers"], text)
    assert isinstance(found, ContactLine)
    assert found.consent == {"offers": word}


@pytest.mark.parametrize(
    ("target", "text", "told"),
    [
        ("first_name", "A\nB", "expected up to 200 characters of one line"),
        ("last_name", "x" * 201, "expected up to 200 characters"),
        ("locale", "Spanish", "such as es or es-CL"),
        ("time_zone", "Chile/Santiago", "such as America/Santiago"),
        ("country", "Chile", "such as CL"),
        ("consent.offers", "maybe", "expected yes or no"),
    ],
)
def test_a_cell_that_is_not_valid_is_told_by_column_with_what_is_expected_and_not_repeated(
    target: str, text: str, told: str
) -> None:
    (fault,) = line([target], text)  # type: ignore[misc]
    assert isinstance(fault, Fault)
    assert (fault.line, fault.column) == (7, f"column of {target}")
    assert told in fault.message
    assert text not in fault.message


def test_all_that_is_wrong_in_a_line_is_told() -> None:
    columns = [Column("E-mail", "email"), Column("country", "country"), Column("offers", "consent.offers")]
    reader = ContactReader(columns)
    assert [(fault[1], fault[2][:12]) for fault in reader.read(Record(2, ["nobody", "Chile", "x"]))] == [  # type: ignore[index]
        ("E-mail", "is not valid"),
        ("country", "is not valid"),
        ("offers", "is not valid"),
    ]
    assert reader.read(Record(3, ["", "CL", "yes"])) == [
        Fault(3, "E-mail", "is empty: expected an address such as ada@example.com")
    ]
    ((_, column, told),) = reader.read(Record(4, ["ada@example.com", "CL"]))  # type: ignore[misc]
    assert column is None
    assert "has 2 cells, and the first line 3" in told
    ((_, column, told),) = ContactReader([*columns, Column("n", "attributes.n")]).read(
        Record(5, ["ada@example.com", "", "", "x" * 30_000])
    )  # type: ignore[misc]
    assert (column, "more than 20000 characters" in told) == (None, True)


@given(cells=st.lists(st.text(max_size=10), max_size=4))
def test_whatever_a_record_holds_it_is_a_contact_or_faults(cells: list[str]) -> None:
    columns = [Column("a", "email"), Column("b", "attributes.b"), Column("c", "consent.offers"), Column("d", "locale")]
    found = ContactReader(columns).read(Record(2, cells))
    assert isinstance(found, ContactLine) or (found and all(isinstance(fault, Fault) for fault in found))


def test_topics_are_those_of_consent_columns() -> None:
    assert topics_of([Column("a", "email"), Column("b", "consent.offers"), Column("c", "attributes.offers")]) == [
        "offers"
    ]
