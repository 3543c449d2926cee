"""The keys that what Temporal keeps is encrypted with, as `CAUCE_ENCRYPTION_KEYS` holds them."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass, field

MAX_ID_LENGTH = 16
"""It stands in every payload, and a summary with all that belongs to it may not be long: see `domain.trail`."""
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ID_LENGTH - 1}}}")
_SECRET_BYTES = 32


@dataclass(frozen=True)
class EncryptionKey:
    """`id` is kept in plain beside what was encrypted with it; `secret` has 32 bytes."""

    id: str
    secret: bytes = field(repr=False)


def is_key_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def read_keys(text: str) -> tuple[EncryptionKey, ...]:
    """Read `id:base64 of 32 bytes`, several of them separated by commas; the first is the one that encrypts.

    Raises: ValueError, which tells entries by their place and never quotes one.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    keys = tuple(_read(place, entry) for place, entry in enumerate(entries, 1))
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("two keys have the same id: each needs its own")
    return keys


def _read(place: int, entry: str) -> EncryptionKey:
    key_id, colon, encoded = entry.partition(":")
    if not colon or not is_key_id(key_id):
        raise ValueError(
            f"key {place} needs an id and a colon before it; an id has {MAX_ID_LENGTH} letters, digits, dots, "
            "underscores and hyphens at the most, such as 2026-11"
        )
    try:
        secret = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _SECRET_BYTES:
        raise ValueError(f"key {place} is not {_SECRET_BYTES} bytes in base64; make one with: openssl rand -base64 32")
    return EncryptionKey(key_id, secret)
