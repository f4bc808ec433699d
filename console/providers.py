"""The social accounts that people can sign in with: each is on once its variables are set."""

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from console import env


def read() -> dict[str, Any]:
    """Make allauth's SOCIALACCOUNT_PROVIDERS of the environment."""
    return {
        provider: {"APPS": apps, "OAUTH_PKCE_ENABLED": True} | endpoints
        for provider, apps, endpoints in (
            ("twitter_oauth2", _x(), _x_endpoints()),
            ("google", _google(), {}),
            ("github", _github(), {}),
            ("openid_connect", _openid_connect(), {}),
        )
        if apps
    }


def _x() -> list[dict[str, Any]]:
    client = {
        "X_CLIENT_ID": env.text("X_CLIENT_ID", ""),
        "X_CLIENT_SECRET": env.text("X_CLIENT_SECRET", ""),
    }
    return [_app("X", *client.values())] if _is_on(client) else []


def _x_endpoints() -> dict[str, Any]:
    return x_endpoints(
        web=env.text("X_WEB_URL", "https://x.com").rstrip("/"),
        api=env.text("X_API_URL", "https://api.x.com").rstrip("/"),
    )


def x_endpoints(*, web: str, api: str) -> dict[str, Any]:
    """Name the addresses of X, of which it has two: one for people and one for programs."""
    return {
        "ENDPOINTS": {
            "authorize_url": f"{web}/i/oauth2/authorize",
            "access_token_url": f"{api}/2/oauth2/token",
            "profile_url": f"{api}/2/users/me",
        }
    }


def _google() -> list[dict[str, Any]]:
    client = {
        "GOOGLE_CLIENT_ID": env.text("GOOGLE_CLIENT_ID", ""),
        "GOOGLE_CLIENT_SECRET": env.text("GOOGLE_CLIENT_SECRET", ""),
    }
    return [_app("Google", *client.values())] if _is_on(client) else []


def _github() -> list[dict[str, Any]]:
    client = {
        "GITHUB_CLIENT_ID": env.text("GITHUB_CLIENT_ID", ""),
        "GITHUB_CLIENT_SECRET": env.text("GITHUB_CLIENT_SECRET", ""),
    }
    return [_app("GitHub", *client.values())] if _is_on(client) else []


def _openid_connect() -> list[dict[str, Any]]:
    """Read one issuer or several: each variable is a list, and they stand in the same order."""
    lists = {
        "OIDC_ISSUER": env.names("OIDC_ISSUER"),
        "OIDC_CLIENT_ID": env.names("OIDC_CLIENT_ID"),
        "OIDC_CLIENT_SECRET": env.names("OIDC_CLIENT_SECRET"),
    }
    if not _is_on(lists):
        return []
    issuers, ids, secrets = lists.values()
    names = env.names("OIDC_NAME", "single sign-on")
    if len({len(issuers), len(ids), len(secrets), len(names)}) > 1:
        raise ImproperlyConfigured(
            "OIDC_ISSUER, OIDC_NAME, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET name different numbers "
            "of issuers. Where there are several, each variable lists all of them."
        )
    return [
        _app(name, client_id, secret)
        | {"provider_id": issuer_id(issuer), "settings": {"server_url": issuer.rstrip("/")}}
        for issuer, name, client_id, secret in zip(issuers, names, ids, secrets, strict=True)
    ]


def issuer_id(issuer: str) -> str:
    """Name an issuer in addresses and rows, so that no other issuer ever goes by its name.

    What an issuer says about who somebody is counts only for that issuer. Were it called "oidc",
    then after a change of OIDC_ISSUER the new one's number 7 would open the old one's number 7.
    """
    address = urlsplit(issuer)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ImproperlyConfigured(f"OIDC_ISSUER={issuer!r} is not an http or https address.")
    return (address.netloc + address.path.rstrip("/")).replace("/", "~")


def _is_on(variables: dict[str, Any]) -> bool:
    """Say whether all are set; refuse to start where only some are."""
    missing = [name for name, value in variables.items() if not value]
    if missing and len(missing) < len(variables):
        given = " and ".join(name for name in variables if name not in missing)
        raise ImproperlyConfigured(
            f"{given} {'is' if len(variables) - len(missing) == 1 else 'are'} set, but "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not. "
            "Set all of them to let people sign in that way, or none."
        )
    return not missing


def _app(name: str, client_id: str, secret: str) -> dict[str, Any]:
    return {"name": name, "client_id": client_id, "secret": secret}
