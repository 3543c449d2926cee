"""A contact from a file of one's own, for messages to be rendered for."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cli.failures import CommandFailed
from domain.contacts import Contact, ContactProfile
from inspection.rendered.samples import NOBODYS_ID


def read_contact(file: Path) -> Contact:
    """Read a JSON object with the fields of a contact, of which the address is needed. Raises: CommandFailed."""
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}: name a JSON file that can be read") from None
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{file} is not JSON in UTF-8 ({error}): mend it there") from None
    if not isinstance(fields, dict):
        raise CommandFailed(f'{file} is no JSON object: write {{"email": "ada@example.com", "first_name": "Ada"}}')
    try:
        profile = ContactProfile.model_validate(fields)
    except ValidationError as error:
        faults = "; ".join(map(_told, error.errors()))
        known = ", ".join(ContactProfile.model_fields)
        raise CommandFailed(f"{file}: {faults}: mend it there (the fields: {known})") from None
    return Contact(id=NOBODYS_ID, **profile.model_dump())


def _told(fault: ErrorDetails) -> str:
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].removeprefix('Value error, ')}"
