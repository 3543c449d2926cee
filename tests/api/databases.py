"""A mark for tests whose outcome a database could change."""

import pytest

on_both_databases = pytest.mark.parametrize(
    "database_url", ["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"], indirect=True
)
