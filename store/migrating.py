"""Bringing a database to the newest migration."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from store.database import MIGRATIONS, DatabaseNotReady, latest_revision, parse_url, prepare_sqlite


def migrate(url: str, address_key: str) -> str:
    """Bring a database to the newest migration and answer it. Makes a SQLite file and its folder. Blocking.

    `address_key`: as the first of `Database`; hashes of addresses from before there was one get it.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    blocking = parsed.set(drivername=parsed.drivername.replace("+aiosqlite", ""))
    engine = create_engine(blocking)
    is_sqlite = engine.dialect.name == "sqlite"
    if is_sqlite:
        # SQLite alters a table by copying it and dropping the old one, which other tables refer to.
        prepare_sqlite(engine, foreign_keys=False)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        config.attributes["address_key"] = address_key
        command.upgrade(config, "head")
        if is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise DatabaseNotReady("a migration would leave rows that refer to nothing: nothing was changed")
    engine.dispose()
    return latest_revision()
