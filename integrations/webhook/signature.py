"""Signatures of webhooks: whoever shares the secret knows who sent a body, when, and that it is whole."""

from __future__ import annotations

import hashlib
import hmac

SIGNATURE_HEADER = "Cauce-Signature"


def signature(secret: str, body: bytes, at: int) -> str:
    """The header's value, `t=…,v1=…`: Unix seconds, and in hex the HMAC-SHA256 of these, a dot and the body."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
