"""Many letters in one request to SendGrid, against a server that takes and refuses them as SendGrid does."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.message_batches import BatchMailer, BatchRejected
from domain.messages import DeliveryAmbiguous, MailerError, ProviderUnavailable, RateLimited
from integrations.sendgrid.batch import MAX_SUBSTITUTION_BYTES, batch_body, fits
from integrations.sendgrid.mailer import SendGridMailer
from tests.integrations.fake_sendgrid import API_KEY, FakeSendGrid, failure
from tests.integrations.mailer_contract import MARISOL, Arrived, BatchMailerContract, a_batch, a_letter
from tests.integrations.scripted_server import Answer


@dataclass
class SendGridBatches:
    mailer: BatchMailer
    sendgrid: FakeSendGrid

    def arrived(self) -> list[Arrived]:
        sender = {"from_name": MARISOL.name, "from_email": MARISOL.email}
        return [
            Arrived(
                flow=letter.categories[0],
                step=letter.categories[1].removeprefix(f"{letter.categories[0]}/"),
                **sender,
                **{name: value for name, value in letter._asdict().items() if name != "categories"},
            )
            for letter in self.sendgrid.delivered()
        ]


class TestSendGridBatches(BatchMailerContract):
    @pytest.fixture
    def batches(self, mailer: SendGridMailer, sendgrid: FakeSendGrid) -> SendGridBatches:
        return SendGridBatches(mailer, sendgrid)


def test_the_body_is_the_one_that_sendgrid_documents(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    one, two = a_letter(1), a_letter(2, to_name="")
    mailer.send_batch(a_batch(one, two))
    (body,) = sendgrid.accepted
    assert body == {
        "personalizations": [
            {
                "to": [{"email": letter.to_email, **({"name": letter.to_name} if letter.to_name else {})}],
                "subject": letter.subject,
                "headers": {
                    "List-Unsubscribe": f"<{letter.unsubscribe_url}>",
                    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                },
                "custom_args": {"cauce_message_id": letter.id},
                "substitutions": letter.values,
            }
            for letter in (one, two)
        ],
        "from": {"email": MARISOL.email, "name": MARISOL.name},
        "content": [
            {"type": "text/plain", "value": "Hola ^0t, “año”\n"},
            {"type": "text/html", "value": "<p>Hola ^0h, “año”</p>"},
        ],
        "categories": ["broadcast", "broadcast/news"],
        "tracking_settings": {"subscription_tracking": {"enable": False}},
    }


def refused(mailer: SendGridMailer, letters: int = 3) -> MailerError:
    with pytest.raises(MailerError) as caught:
        mailer.send_batch(a_batch(*map(a_letter, range(letters))))
    for secret in ("example.org", "Condesa", API_KEY):
        assert secret not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "fields", "of_letters", "at"),
    [
        (400, ["personalizations.2.to.0.email"], True, (2,)),
        (400, ["personalizations.0.to", "personalizations.2.subject"], True, (0, 2)),
        (400, ["personalizations"], True, ()),
        (413, [], True, ()),
        (400, ["content.0.value"], False, ()),
        (400, ["personalizations.2.to", "categories"], False, ()),
        (400, [], False, ()),
    ],
)
def test_a_rejection_says_whether_it_is_of_single_letters(
    mailer: SendGridMailer, sendgrid: FakeSendGrid, status: int, fields: list[str], of_letters: bool, at: tuple[int]
) -> None:
    sendgrid.script(failure(status, *((f"about {field}", field) for field in fields)))
    error = refused(mailer)
    assert isinstance(error, BatchRejected)
    assert (error.of_letters, error.at) == (of_letters, at)


def test_other_answers_mean_what_they_mean_for_one_message(mailer: SendGridMailer, sendgrid: FakeSendGrid) -> None:
    soon = failure(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 60)})
    sendgrid.script(soon, failure(503), failure(401), failure(400, ("from", "from.email")), failure(504))
    sendgrid.script(Answer(lost="cut"))
    errors = [refused(mailer) for _ in range(6)]
    assert [type(error) for error in errors] == [
        *(RateLimited, ProviderUnavailable, ProviderUnavailable, ProviderUnavailable),
        *(DeliveryAmbiguous, DeliveryAmbiguous),
    ]
    assert isinstance(errors[0], RateLimited)
    assert timedelta(seconds=50) < (errors[0].retry_after or timedelta(0)) <= timedelta(seconds=60)


def test_a_text_that_leaks_a_sendgrid_key_is_rejected_as_a_whole() -> None:
    with pytest.raises(BatchRejected, match="API key") as caught:
        batch_body(a_batch(a_letter(1))._replace(text="SG.abc123.def456"))
    assert not caught.value.of_letters


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=2000), max_size=8))
def test_what_fits_is_taken_by_sendgrid_and_small_values_always_fit(values: dict[str, str]) -> None:
    size = len(json.dumps(values, ensure_ascii=False).encode())
    if fits(a_letter(1, values=values)):
        assert size <= MAX_SUBSTITUTION_BYTES
    else:
        assert len(json.dumps(values)) > MAX_SUBSTITUTION_BYTES


def test_a_letter_with_too_long_values_is_not_taken(mailer: SendGridMailer) -> None:
    assert mailer.takes(a_letter(1, values={"^0h": "x" * 9_900}))
    assert not mailer.takes(a_letter(1, values={"^0h": "x" * 10_000}))
