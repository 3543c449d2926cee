"""`cauce emails send-test`: one message to somebody of one's own, by the mailer that is set."""

from __future__ import annotations

from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from cli.chosen_message import ChosenMessage
from cli.failures import CommandFailed
from cli.terminal import say
from domain.contacts import EmailAddress
from domain.durations import in_words
from domain.messages import DeliveryAmbiguous, EmailMessage, MailerError, MessageRejected, RateLimited
from integrations.outbox.mailer import OutboxMailer, eml_path
from runtime.providers import make_mailer
from runtime.settings import Settings
from store.tables import new_id

MARK = "[Test] "
_ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)


def send_trial(chosen: ChosenMessage, to: str, settings: Settings) -> None:
    """Hand the message over once and print the receipt; the ledger knows nothing of it.

    Raises: CommandFailed, with what the mailer said; SettingsError.
    """
    message = _trial(chosen, _address(to), settings)
    mailer = make_mailer(settings)
    try:
        receipt = mailer.send(message)
    except MailerError as error:
        raise CommandFailed(_told(error)) from None
    finally:
        mailer.close()
    say(f"{receipt.provider} took “{message.subject}” for {message.to_email}, as {receipt.provider_message_id}")
    if isinstance(mailer, OutboxMailer):
        say(f"  see it   {str(settings.api_url).rstrip('/')}/outbox/{message.id}")
        say(f"  file     {eml_path(settings.outbox_folder, message.id)}")
    if chosen.unsubscribe_url:
        say(f"  opt-out  {chosen.unsubscribe_url}, which changes nothing")


def _trial(chosen: ChosenMessage, to: str, settings: Settings) -> EmailMessage:
    return EmailMessage(
        id=new_id(),
        flow=chosen.flow,
        step="test",
        sender=settings.sender,
        to_email=to,
        to_name="",
        subject=f"{MARK}{chosen.rendered.subject}",
        html=chosen.rendered.html,
        text=chosen.rendered.text,
        unsubscribe_url=chosen.unsubscribe_url,
    )


def _address(to: str) -> str:
    try:
        return _ADDRESS.validate_python(to)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise CommandFailed(f"--to {to}: {said}") from None


def _told(error: MailerError) -> str:
    """What became of the message, by the mailer's own classes, and what to do."""
    match error:
        case MessageRejected():
            return f"rejected for good: {error.reason}"
        case DeliveryAmbiguous():
            return f"unconfirmed, it may have gone out ({error.reason}): look into the inbox before you send it again"
        case RateLimited(retry_after=timedelta() as pause):
            return f"not sent: {error.reason}: try again in {in_words(pause)}"
        case _:
            return f"not sent: {error.reason}: mend that, or try again later"
