"""One JSON object a line on standard error. Ids go in, personal data and secrets do not."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

CHATTY = ("aiosqlite", "httpx", "httpcore", "alembic", "python_http_client")
"""Libraries that log addresses, headers or every request at INFO or DEBUG."""


def configure_logs(process: str, level: str) -> None:
    """Send every logger of this process to standard error. `process` is on each line: `worker`, `api`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "{levelname}{name}{message}",
            style="{",
            timestamp="time",
            rename_fields={"levelname": "level", "name": "logger"},
            static_fields={"process": process},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
