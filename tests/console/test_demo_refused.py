"""The demo world where it would do harm: it is not made at all."""

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import Team

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("DEBUG", False, "passwords are printed, so it needs DEBUG=True"),
        ("PAYMENTS", "stripe", "pay with test cards, so it needs PAYMENTS=sandbox"),
    ],
)
def test_it_is_refused_where_it_would_do_harm(
    settings: Settings, name: str, value: object, reason: str
) -> None:
    settings.DEBUG = True
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=reason):
        call_command("demo")

    assert not Team.objects.exists()
