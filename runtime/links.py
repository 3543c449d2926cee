"""Signed links in emails: opt-outs without an end, those by which somebody confirms or answers with one.

An opt-out has to work for as long as the email exists. The link by which a contact confirms, or somebody of the team
answers, is their authority to do so: it expires, and once the matter is settled it does nothing more.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeSerializer

ANSWERABLE_FOR = timedelta(days=90)
"""Reminders bring new links."""
CONFIRMABLE_FOR = timedelta(days=30)


class LinkExpired(Exception):
    """We signed the link, too long ago."""


class Links:
    def __init__(
        self,
        public_url: str,
        secret_keys: Sequence[str],
        answerable_for: timedelta = ANSWERABLE_FOR,
        confirmable_for: timedelta = CONFIRMABLE_FOR,
    ) -> None:
        """The first key signs. Of those after it opt-outs still count, and nothing else: they may have leaked."""
        secret_key, *before = secret_keys
        self._public_url = public_url.rstrip("/")
        self._unsubscribe = URLSafeSerializer([*reversed(before), secret_key], salt="unsubscribe")
        self._confirmation = _Expiring(f"{self._public_url}/confirm", secret_key, "confirm", confirmable_for)
        self._approval, self._task, self._lead, self._queue = (
            _Expiring(f"{self._public_url}/answer/{page}", secret_key, f"answer-{page}", answerable_for)
            for page in ("approval", "task", "lead", "queue")
        )

    def unsubscribe_url(self, contact_id: str) -> str:
        """A page where the contact chooses what to get, or opts out of everything but transactional email."""
        return f"{self._public_url}/unsubscribe/{self._unsubscribe.dumps(contact_id)}"

    def contact_of_unsubscribe(self, token: str) -> str | None:
        """The contact id in a link's token, or None if we did not sign it."""
        try:
            return str(self._unsubscribe.loads(token))
        except BadData:
            return None

    def confirm_url(self, contact_id: str) -> str:
        """A page where the contact confirms what they are said to have agreed to."""
        return self._confirmation.url(contact_id)

    def contact_of_confirmation(self, token: str) -> str | None:
        """The contact id in a link's token, or None if we did not sign it. Raises: LinkExpired."""
        ids = self._confirmation.ids(token)
        return ids[0] if ids else None

    def approval_url(self, request_id: str) -> str:
        """A page where somebody who is asked, in one stage of an approval, decides."""
        return self._approval.url(request_id)

    def request_of_approval(self, token: str) -> str | None:
        """The id of the approval's request, or None if we did not sign it. Raises: LinkExpired."""
        ids = self._approval.ids(token)
        return ids[0] if ids else None

    def task_url(self, task_id: str, person_id: str) -> str:
        """A page where a person says that a task is done."""
        return self._task.url(task_id, person_id)

    def task_and_person(self, token: str) -> tuple[str, str] | None:
        """The ids of a task and of who may do it, or None if we did not sign them. Raises: LinkExpired."""
        return _pair(self._task.ids(token))

    def lead_url(self, assignment_id: str, person_id: str) -> str:
        """A page where a rep accepts or declines a lead."""
        return self._lead.url(assignment_id, person_id)

    def assignment_and_rep(self, token: str) -> tuple[str, str] | None:
        """The ids of an assignment and of the rep, or None if we did not sign them. Raises: LinkExpired."""
        return _pair(self._lead.ids(token))

    def manager_url(self, assignment_id: str, person_id: str) -> str:
        """A page where a manager gives a lead that waits in the queue to a rep by hand."""
        return self._queue.url(assignment_id, person_id)

    def assignment_and_manager(self, token: str) -> tuple[str, str] | None:
        """The ids of an assignment in the queue and of a manager, or None. Raises: LinkExpired."""
        return _pair(self._queue.ids(token))


class _Expiring:
    """Links to one page. Those to another page are none of it: each has a salt of its own."""

    def __init__(self, address: str, secret_key: str, salt: str, valid_for: timedelta) -> None:
        self._address = address
        self._signer = TimestampSigner(secret_key, salt=salt)
        self._max_age = int(valid_for.total_seconds())

    def url(self, *ids: str) -> str:
        # As bytes: what a serializer compresses begins with a dot, which proxies take for a hidden file.
        packed = urlsafe_b64encode(b"".join(UUID(id_).bytes for id_ in ids))
        return f"{self._address}/{self._signer.sign(packed.rstrip(b'=')).decode()}"

    def ids(self, token: str) -> list[str] | None:
        try:
            packed = self._signer.unsign(token.encode(), max_age=self._max_age)
        except SignatureExpired:
            raise LinkExpired from None
        except (BadData, UnicodeEncodeError):
            return None
        ids = urlsafe_b64decode(packed + b"==")
        return [str(UUID(bytes=ids[at : at + 16])) for at in range(0, len(ids), 16)]


def _pair(ids: list[str] | None) -> tuple[str, str] | None:
    return (ids[0], ids[1]) if ids else None
