"""What the tests of proof share: a form that asks for it, the answer to that, and the proof."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from tests.factories import PASSWORD

HOUR = 3600


def create_url(team: Team) -> str:
    return reverse("api_keys:create", args=[team.pk])


def key_form(name: str = "kept") -> dict[str, str]:
    return {"name": name, "key_id": str(uuid4())}


def prove(browser: Client, asked: Any, password: str = PASSWORD) -> HttpResponse:
    """Give the password to the page that an answer leads to."""
    return browser.post(location(asked), {"password": password})  # type: ignore[return-value]


def location(answer: Any) -> str:
    return str(answer.headers.get("HX-Redirect") or answer.headers["Location"])


def query_of(answer: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location(answer)).query).items()}
