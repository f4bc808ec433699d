"""A real OpenID Connect provider in a thread: oidc-provider-mock."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import requests

with warnings.catch_warnings(record=True):  # A library that it uses warns of its own future.
    from oidc_provider_mock import run_server_in_thread


@dataclass(frozen=True)
class Issuer:
    """One running issuer, to which tests add people."""

    url: str

    def knows(self, sub: str, **claims: Any) -> None:
        """Make somebody who can sign in there by entering `sub`."""
        requests.put(f"{self.url}/users/{sub}", json=claims, timeout=10).raise_for_status()


@contextmanager
def issuer() -> Iterator[Issuer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # It speaks http, on this machine alone.
        with run_server_in_thread() as server:
            yield Issuer(f"http://localhost:{server.server_port}")
