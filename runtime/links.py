"""Signed links for contacts. They do not expire: an opt-out has to work for as long as the email exists."""

from __future__ import annotations

from itsdangerous import BadData, URLSafeSerializer


class Links:
    def __init__(self, public_url: str, secret_key: str) -> None:
        self._public_url = public_url.rstrip("/")
        self._unsubscribe = URLSafeSerializer(secret_key, salt="unsubscribe")

    def unsubscribe_url(self, contact_id: str) -> str:
        """A page where the contact opts out of everything but transactional email."""
        return f"{self._public_url}/unsubscribe/{self._unsubscribe.dumps(contact_id)}"

    def contact_of_unsubscribe(self, token: str) -> str | None:
        """The contact id in a link's token, or None if we did not sign it."""
        try:
            return str(self._unsubscribe.loads(token))
        except BadData:
            return None
