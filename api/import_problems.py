"""How an import of contacts can fail as a whole. A bad line is none of that: it is in the report."""

from __future__ import annotations

from collections.abc import Iterable

from api.problems import ProblemError, invalid_request
from domain.import_columns import HeaderFault


def import_url(import_id: str) -> str:
    return f"/v1/contacts/imports/{import_id}"


def bad_header(faults: Iterable[HeaderFault]) -> ProblemError:
    return invalid_request(
        [
            {
                "loc": ("body", "header") if fault.mapping is None else ("query", "column", fault.mapping),
                "msg": fault.message,
            }
            for fault in faults
        ]
    )


def under_way(import_id: str) -> ProblemError:
    """Another upload of the same key works on it, or has begun to meanwhile."""
    return ProblemError(
        409,
        "import-under-way",
        "The file is being imported by another upload",
        f"{import_url(import_id)} says how far it is: send the file again if that stops",
        headers={"Location": import_url(import_id), "Retry-After": "5"},
    )


def cut_off(import_id: str | None) -> ProblemError:
    """Hardly anybody reads it: who sent the file is gone."""
    kept = "nothing of it is imported" if import_id is None else f"{import_url(import_id)} says how far it is"
    return ProblemError(
        400, "upload-cut-off", "The file ends too early", f"{kept}: send it again with the same Idempotency-Key"
    )
