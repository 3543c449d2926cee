"""SQL of segments whose dialects differ: values within JSON by their type, and letters A to Z taken for a to z."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Float, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Member(FunctionElement[Any]):
    """The member of a JSON object that has a name; null if there is none, or if it is of another type."""

    inherit_cache = True
    sqlite_types: str
    postgresql_type: str
    postgresql_cast: str

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(column, literal(name, String()))


class json_text(_Member):  # noqa: N801 (a function of SQL)
    inherit_cache = True
    type = String()
    sqlite_types = "'text'"
    postgresql_type = "string"
    postgresql_cast = ""


class json_number(_Member):  # noqa: N801
    """As a double on both databases: so that they compare alike."""

    inherit_cache = True
    type = Float()
    sqlite_types = "'integer', 'real'"
    postgresql_type = "number"
    postgresql_cast = "::float8"


class json_boolean(_Member):  # noqa: N801
    inherit_cache = True
    type = Boolean()
    sqlite_types = "'true', 'false'"
    postgresql_type = "boolean"
    postgresql_cast = "::boolean"


class json_any(_Member):  # noqa: N801
    """The member as text, of whatever type; null if it is JSON's null."""

    inherit_cache = True
    type = String()
    sqlite_types = "'text', 'integer', 'real', 'true', 'false', 'array', 'object'"


class ascii_lower(FunctionElement[str]):  # noqa: N801
    """With a to z for A to Z, and all else as it is."""

    type = String()
    inherit_cache = True


@compiles(_Member, "sqlite")
def _member_of_sqlite(element: _Member, compiler: Any, **options: Any) -> str:
    # json_each, not json_extract: in a path of SQLite not every name can be written.
    column, name = (compiler.process(clause, **options) for clause in element.clauses)
    value = "CAST(value AS REAL)" if isinstance(element, json_number) else "value"
    of_type = f"type IN ({element.sqlite_types})"
    return f"(SELECT {value} FROM json_each({column}) WHERE key = {name} AND {of_type})"  # noqa: S608 (ours)


@compiles(_Member, "postgresql")
def _member_of_postgresql(element: _Member, compiler: Any, **options: Any) -> str:
    column, name = (compiler.process(clause, **options) for clause in element.clauses)
    if isinstance(element, json_any):
        return f"({column} ->> {name})"
    # CASE keeps the order: what is no number is never cast to one.
    of_type = f"json_typeof({column} -> {name}) = '{element.postgresql_type}'"
    return f"(CASE WHEN {of_type} THEN ({column} ->> {name}){element.postgresql_cast} END)"


@compiles(ascii_lower, "sqlite")
def _lower_of_sqlite(element: ascii_lower, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(ascii_lower, "postgresql")
def _lower_of_postgresql(element: ascii_lower, compiler: Any, **options: Any) -> str:
    # Of the collation C, lower knows these letters alone; SQLite's does ever.
    return f'lower(({compiler.process(element.clauses, **options)}) COLLATE "C")'
