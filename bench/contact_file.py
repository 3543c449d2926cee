"""A file of contacts that do not exist, of any length."""

from __future__ import annotations

from collections.abc import Iterator

COLUMNS = ("column=Plan:attributes.plan", "column=Seats:attributes.seats", "column=Phone:attributes.phone")
"""Of the import's query: what the file's other columns are named like says what they become."""
_HEADER = b"email,First name,Last name,Country,Plan,Seats,Phone,consent.newsletter\n"
_PIECE = 500


def contact_file(rows: int, *, plan: str = "team") -> Iterator[bytes]:
    """A piece at a time. The same rows have the same addresses: with another `plan`, each contact changes."""
    yield _HEADER
    for begins in range(0, rows, _PIECE):
        yield "".join(_row(number, plan) for number in range(begins, min(begins + _PIECE, rows))).encode()


def _row(number: int, plan: str) -> str:
    name, phone = f'Ada,"Lovelace, {number}"', f"+56{912_000_000 + number}"
    return f"contact-{number}@example.com,{name},CL,{plan},{number % 50},{phone},yes\n"
