"""The variables that Cauce's processes read."""

from __future__ import annotations

from temporalio.envconfig import ClientConfigProfile

from runtime.settings import Settings

SETTINGS = {
    str(field.validation_alias or f"CAUCE_{name.upper()}"): field for name, field in Settings.model_fields.items()
}
_CHOOSING_A_PROFILE = ("TEMPORAL_CONFIG_FILE", "TEMPORAL_PROFILE")


def known_to_temporal(variable: str) -> bool:
    """Whether `temporalio.envconfig` makes anything of it."""
    without = ClientConfigProfile.load(disable_file=True, override_env_vars={})
    given = ClientConfigProfile.load(disable_file=True, override_env_vars={variable: "true"})
    return variable in _CHOOSING_A_PROFILE or given != without
