from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.events import LEAD_OFFERED, LEAVING_EVENTS, ActName

ACT: TypeAdapter[str] = TypeAdapter(ActName)


@pytest.mark.parametrize("name", ["clicked", "bought", "logged_in", "app.opened"])
def test_what_a_contact_does_is_a_sign_of_life(name: str) -> None:
    assert ACT.validate_python(name) == name


@pytest.mark.parametrize("name", ["opened", *LEAVING_EVENTS, LEAD_OFFERED])
def test_opens_and_goodbyes_are_no_signs_of_life(name: str) -> None:
    with pytest.raises(ValidationError, match="expected something that contacts do"):
        ACT.validate_python(name)


@pytest.mark.parametrize("name", ["", "Bought", "a b"])
def test_an_act_is_named_like_any_event(name: str) -> None:
    with pytest.raises(ValidationError):
        ACT.validate_python(name)
