"""Moments spread over a time, so that not all who waited for the same moment come at once."""

from __future__ import annotations

import hashlib
from datetime import timedelta

_SECOND = timedelta(seconds=1)


def spread(key: str, over: timedelta) -> timedelta:
    """Whole seconds, from zero to less than `over`: always the same for one key, and even over many.

    Zero if `over` is shorter than two seconds.
    """
    # Not `hash`: it differs from process to process, and two attempts may be made by two workers.
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % max(over // _SECOND, 1) * _SECOND
