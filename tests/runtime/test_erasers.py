"""Whom an erasure asks, as the settings say."""

from __future__ import annotations

from typing import Any

import pytest

from domain.erasure import Eraser
from integrations.outbox.eraser import OutboxEraser
from integrations.sendgrid.eraser import SendGridEraser
from runtime.erasers import make_erasers
from runtime.settings import Settings, SettingsError


def erasers(**given: Any) -> dict[str, type[Eraser]]:
    made = make_erasers(Settings.model_validate(given))
    for eraser in made.values():
        eraser.close()
    return {name: type(eraser) for name, eraser in made.items()}


@pytest.mark.parametrize("mailer", ["outbox", "smtp"])
def test_providers_of_before_are_asked_too(mailer: str) -> None:
    assert erasers(mailer=mailer, SENDGRID_API_KEY=None) == {"outbox": OutboxEraser}
    asked = erasers(mailer=mailer, SENDGRID_API_KEY="SG.fake.0123456789")
    assert asked == {"outbox": OutboxEraser, "sendgrid": SendGridEraser}


def test_a_key_that_cannot_be_one_is_a_clear_line() -> None:
    with pytest.raises(SettingsError, match="set SENDGRID_API_KEY") as refusal:
        erasers(SENDGRID_API_KEY="hush hush")
    assert "hush" not in str(refusal.value)
