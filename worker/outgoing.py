"""Where messages go, as the settings choose."""

from __future__ import annotations

from activities.outgoing import Outgoing
from runtime.providers import make_mailer
from runtime.settings import Settings, SettingsError


def make_outgoing(settings: Settings) -> Outgoing:
    """The provider, and the one in its place while it is out of order. Raises: SettingsError."""
    secondary = None
    if settings.failover_mailer is not None:
        if settings.failover_mailer == settings.mailer:
            raise SettingsError("CAUCE_FAILOVER_MAILER: is CAUCE_MAILER itself: name another, or leave it out")
        secondary = make_mailer(settings.model_copy(update={"mailer": settings.failover_mailer}))
    return Outgoing(make_mailer(settings), secondary, failover_after=settings.failover_after)
