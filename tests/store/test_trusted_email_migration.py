"""What becomes of consents and suppressions of a database from before migration 0004."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

import store
from store.suppressions import keyed_hash
from tests.address_keys import ADDRESS_KEYS

_MIGRATIONS = Path(store.__path__[0]) / "migrations"
_MOMENT = "2026-01-01 09:00:00+00:00"


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes |= {"connection": connection, "address_key": ADDRESS_KEYS[0]}
    return config


def _insert(connection: sa.Connection, table: str, **values: Any) -> None:
    columns = ", ".join(values)
    connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES (:{', :'.join(values)})"), values)  # noqa: S608


def _rows(connection: sa.Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(query))]


def test_words_become_states_and_suppressed_addresses_get_keyed_hashes_and_their_contacts(database_url: str) -> None:
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
    url = make_url(database_url)
    engine = sa.create_engine(url.set(drivername=drivers[url.get_backend_name()]))
    with engine.begin() as connection:
        command.downgrade(_config(connection), "0003")
        contact = {"locale": "en", "first_name": "", "last_name": "", "attributes": "{}", "time_zone": "UTC"}
        _insert(
            connection,
            "contacts",
            **{**contact, "id": "c", "email": "ada@example.com", "created_at": _MOMENT, "updated_at": _MOMENT},
        )
        for id_, granted in (("1", True), ("2", False)):
            word = {"topic": "offers", "source": "api", "recorded_at": _MOMENT}
            _insert(connection, "consents", id=id_, contact_id="c", granted=granted, **word)
        for email, reason in (("ada@example.com", "bounced"), ("gone@example.com", "complained")):
            unkeyed = hashlib.sha256(email.encode()).hexdigest()
            _insert(connection, "suppressions", email_hash=unkeyed, reason=reason, created_at=_MOMENT)
        command.upgrade(_config(connection), "head")
        words = _rows(connection, "SELECT state, recorded_by, wording FROM consents ORDER BY id")
        suppressions = _rows(connection, "SELECT email_hash, reason, source, contact_id FROM suppressions")
    engine.dispose()
    assert words == [("granted", "api", None), ("withdrawn", "api", None)]
    assert sorted(suppressions) == sorted(
        [
            (keyed_hash(ADDRESS_KEYS[0], "ada@example.com"), "hard_bounce", "event", "c"),
            (keyed_hash(ADDRESS_KEYS[0], "gone@example.com"), "complaint", "event", None),
        ]
    )
