"""API keys, kept as digests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


class Keys:
    """False if no key is configured."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, candidate: bytes) -> bool:
        """Whether this is one of the keys. All are compared, so that the time taken does not tell which is near."""
        digest = _digest(candidate)
        return sum(hmac.compare_digest(digest, known) for known in self._digests) > 0


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
