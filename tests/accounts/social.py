"""What the tests of social sign-in share: a person's way to a provider and back."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import requests
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import User
from audit import services as audit
from console import providers
from tests.factories import NOON
from tests.providers.oauth import CLIENT_ID, CLIENT_SECRET, OAuthServer

X = "twitter_oauth2"


def x_settings(server: OAuthServer) -> dict[str, Any]:
    app = {"name": "X", "client_id": CLIENT_ID, "secret": CLIENT_SECRET}
    endpoints = providers.x_endpoints(web=server.url, api=server.url)
    return {X: {"APPS": [app], "OAUTH_PKCE_ENABLED": True, **endpoints}}


def issuer_settings(url: str, name: str = "Larkspur") -> dict[str, Any]:
    app = {
        "name": name,
        "client_id": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "provider_id": providers.issuer_id(url),
        "settings": {"server_url": url},
    }
    return {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}


def jack(**more: Any) -> dict[str, Any]:
    """Be who X says somebody is."""
    person = {"id": "7", "name": "Jack  Larkspur", "username": "jack", **more}
    return {"/2/users/me": {"data": person}}


def leave(client: Client, provider: str, **form: str) -> str:
    """Press the button, and return the address at the provider that the page leads to."""
    return address_in(client.post(reverse("social_begin", args=[provider]), form))


def address_in(page: Any) -> str:
    assert page.status_code == 200, page
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.content.decode())
    assert found, page.content.decode()
    return unescape(found[1])


def agree(address: str, sub: str | None = None) -> str:
    """Sign in at the provider, and return the path that it sends the browser back to."""
    if sub is None:
        answer = requests.get(address, allow_redirects=False, timeout=10)
    else:
        answer = requests.post(address, data={"sub": sub}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    return f"{back.path}?{back.query}"


def come_back(client: Client, provider: str, sub: str | None = None, **form: str) -> HttpResponse:
    """Go to the provider, sign in there, and return how the console answers."""
    return client.get(agree(leave(client, provider, **form), sub))  # type: ignore[return-value]


def with_x(user: User, uid: str = "7", name: str = "@jack") -> SocialAccount:
    """Let an account at X sign in to this account."""
    account = SocialAccount(provider=X, uid=uid, extra_data={"name": name})
    accounts.add_social_account(user=user, account=account, actor=Actor.for_user(user), now=NOON)
    mail.outbox.clear()
    return SocialAccount.objects.get(uid=uid)


def without_password(email: str = "jack@example.test") -> User:
    """Make somebody who signs in with X alone."""
    user = User.objects.create_user(email, None, name="Jack")
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    with_x(user)
    return user


def ways(user: User) -> list[str]:
    return accounts.names_of(accounts.methods_of(user))


def event(user: User, operation: str) -> Any:
    """Find the newest event of a kind in the log of somebody's own team."""
    log = audit.log(accounts.personal_team(user))
    return next(e for e in log if e.operation == operation)
