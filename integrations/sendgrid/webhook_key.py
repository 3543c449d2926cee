"""The key by which a request shows that SendGrid sent it.

Source: Twilio SendGrid, "Getting Started with the Event Webhook Security Features", read 2026-11.
"""

from __future__ import annotations

from base64 import b64decode

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"


class WebhookKey:
    def __init__(self, text: str) -> None:
        """`text` is the verification key as SendGrid shows it. Raises: ValueError, which does not quote it."""
        try:
            key = load_der_public_key(b64decode(text, validate=True))
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, EllipticCurvePublicKey):
            raise ValueError(
                "is not a public key of ECDSA, as one line of base64: copy the verification key from SendGrid's "
                "Settings, Mail Settings, Event Webhooks"
            )
        self._key = key

    def signed(self, body: bytes, *, timestamp: str, signature: str) -> bool:
        """Whether SendGrid signed these bytes. `timestamp` and `signature` are the headers as they came, or junk.

        How old it is does not matter. SendGrid repeats for 24 hours what it was not told to have arrived, and does not
        say when it signs; and a request that somebody else repeats brings nothing that is not known.
        """
        if not (timestamp.isascii() and timestamp.isdecimal()):
            return False
        try:
            self._key.verify(b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True
