"""Factors as django-otp sees them: a session is verified exactly after a factor was passed."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path, reverse
from django_otp import user_has_device

from accounts.models import User
from console.urls import urlpatterns as ours
from tests.accounts.people import make_person, sign_in


def verified(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user.is_verified()))  # type: ignore[union-attr]


urlpatterns = [
    *ours,
    path("verified/", verified),
]
pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def add_factor(user: User) -> str:
    """Give the person an authenticator app and return the code that it shows now."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return str(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()))))


def test_a_password_alone_does_not_verify_a_session(client: Client) -> None:
    person = make_person()
    assert not user_has_device(person)

    sign_in(client, person.email)

    assert client.get("/verified/").content == b"False"


def test_passing_the_factor_verifies_the_session_until_the_factor_is_gone(client: Client) -> None:
    person = make_person()
    code = add_factor(person)
    assert user_has_device(person)
    answer = sign_in(client, person.email)
    assert answer.headers["Location"] == reverse("mfa_authenticate")
    assert client.get("/verified/").status_code == 302

    client.post(reverse("mfa_authenticate"), {"code": code})

    assert client.get("/verified/").content == b"True"

    Authenticator.objects.all().delete()

    assert client.get("/verified/").content == b"False"


def test_a_session_started_before_the_factor_was_added_is_not_verified(client: Client) -> None:
    person = make_person()
    sign_in(client, person.email)

    add_factor(person)

    assert client.get("/verified/").content == b"False"


def test_somebody_elses_factor_verifies_nothing(client: Client) -> None:
    person, other = make_person(), make_person()
    add_factor(other)
    client.force_login(person)
    session = client.session
    session["otp_device_id"] = f"accounts.factor/{Authenticator.objects.get().pk}"
    session.save()

    assert client.get("/verified/").content == b"False"
