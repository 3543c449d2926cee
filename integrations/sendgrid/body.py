"""What a request to SendGrid's v3 Mail Send holds, whoever it is for.

Source: SendGrid v3 API reference, Mail Send, read 2026-11; sendgrid 6.12.5.
"""

from __future__ import annotations

import re

from sendgrid.helpers.mail import (
    Category,
    ClickTracking,
    Content,
    From,
    Mail,
    MimeType,
    SubscriptionTracking,
    TrackingSettings,
)
from sendgrid.helpers.mail.exceptions import ApiKeyIncludedException

from domain.messages import MessageRejected, Sender, one_line

MESSAGE_ID = "cauce_message_id"
"""The custom argument that webhook events echo."""
_ADDRESS = re.compile(r"[^\s\x00-\x1f<>,;@]+@[^\s\x00-\x1f<>,;@]+")


def is_address(email: str) -> bool:
    return _ADDRESS.fullmatch(email) is not None


def envelope(sender: Sender, text: str, html: str, flow: str, step: str, *, has_opt_out: bool) -> Mail:
    """A mail to nobody yet, without a subject. Raises: MessageRejected."""
    of = From()
    of.email, of.name = sender.email, one_line(sender.name)
    mail = Mail(from_email=of)
    try:
        mail.add_content(Content(MimeType.text, text))
        mail.add_content(Content(MimeType.html, html))
    except ApiKeyIncludedException:
        raise MessageRejected("SendGrid: the text begins with what looks like a SendGrid API key") from None
    # The library puts each new category first.
    for category in (f"{flow}/{step}", flow):
        mail.add_category(Category(category))
    mail.tracking_settings = TrackingSettings(
        subscription_tracking=SubscriptionTracking(enable=False),
        # Links of other messages are somebody's authority to confirm or to answer: nobody else is to see them.
        click_tracking=None if has_opt_out else ClickTracking(enable=False, enable_text=False),
    )
    return mail


def opt_out_headers(unsubscribe_url: str | None) -> dict[str, str]:
    """Of RFC 8058; none of a message without an opt-out."""
    if unsubscribe_url is None:
        return {}
    return {
        "List-Unsubscribe": f"<{one_line(unsubscribe_url)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
