"""SendGrid's side of its event webhook: events as it words them, and its signature."""

from __future__ import annotations

import time
from base64 import b64encode
from datetime import datetime
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PERSON = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""A user agent that people have."""


class WebhookSigner:
    """Signs as SendGrid does. `key` is what it shows for CAUCE_SENDGRID_WEBHOOK_KEY."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key = b64encode(public).decode()

    def headers(self, body: bytes, timestamp: str | None = None) -> dict[str, str]:
        timestamp = timestamp or str(int(time.time()))
        signature = self._private.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
        return {
            "Content-Type": "application/json;charset=utf-8",
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }


def webhook_event(name: str, message_id: str | None, at: datetime, **more: Any) -> dict[str, Any]:
    """One event of a message of ours, with an id of its own unless `sg_event_id` is given."""
    event = {
        "email": "ada@example.com",
        "timestamp": int(at.timestamp()),
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": name,
        "category": ["onboarding", "onboarding/welcome"],
        "sg_event_id": b64encode(uuid4().bytes).decode(),
        "sg_message_id": "14c5d75ce93.recvd-5f54b5d587-pczjm-1-67BADEEA-6.0",
    }
    if message_id is not None:
        event["cauce_message_id"] = message_id
    if name in ("open", "click"):
        event |= {"useragent": PERSON, "ip": "198.51.100.7"}
    if name == "click":
        event["url"] = "https://example.com/guide"
    return event | more
