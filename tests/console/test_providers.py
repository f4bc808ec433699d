"""Providers of social accounts from the environment: on when set, loud when half set."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from console import providers


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("X", "GOOGLE", "GITHUB", "OIDC"):
        for rest in ("CLIENT_ID", "CLIENT_SECRET", "ISSUER", "NAME"):
            monkeypatch.delenv(f"{name}_{rest}", raising=False)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_without_variables_there_is_no_provider() -> None:
    assert providers.read() == {}


@pytest.mark.parametrize(
    ("prefix", "provider", "name"),
    [("X", "twitter_oauth2", "X"), ("GOOGLE", "google", "Google"), ("GITHUB", "github", "GitHub")],
)
def test_two_variables_switch_a_provider_on(
    environment: pytest.MonkeyPatch, prefix: str, provider: str, name: str
) -> None:
    environment.setenv(f"{prefix}_CLIENT_ID", "1")
    environment.setenv(f"{prefix}_CLIENT_SECRET", "2")

    (found,) = providers.read().items()

    assert found[0] == provider
    assert found[1]["APPS"] == [{"name": name, "client_id": "1", "secret": "2"}]


@pytest.mark.parametrize("prefix", ["X", "GOOGLE", "GITHUB"])
@pytest.mark.parametrize(
    ("given", "missing"), [("CLIENT_ID", "CLIENT_SECRET"), ("CLIENT_SECRET", "CLIENT_ID")]
)
def test_half_a_pair_stops_the_start_and_names_the_other_half(
    environment: pytest.MonkeyPatch, prefix: str, given: str, missing: str
) -> None:
    environment.setenv(f"{prefix}_{given}", "1")

    with pytest.raises(
        ImproperlyConfigured, match=rf"^{prefix}_{given} is set, but {prefix}_{missing} is not"
    ):
        providers.read()


def test_an_issuer_needs_all_three(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OIDC_ISSUER", "https://login.example.test")

    with pytest.raises(
        ImproperlyConfigured,
        match=r"^OIDC_ISSUER is set, but OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are not",
    ):
        providers.read()


def test_several_issuers_stand_in_lists(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OIDC_ISSUER", "https://a.test, https://b.test/realms/staff/")
    environment.setenv("OIDC_CLIENT_ID", "1,2")
    environment.setenv("OIDC_CLIENT_SECRET", "3,4")
    environment.setenv("OIDC_NAME", "Ash, Birch")

    ash, birch = providers.read()["openid_connect"]["APPS"]

    assert (ash["name"], ash["client_id"], ash["secret"]) == ("Ash", "1", "3")
    assert (birch["name"], birch["client_id"], birch["secret"]) == ("Birch", "2", "4")
    assert birch["provider_id"] == "b.test~realms~staff"
    assert birch["settings"] == {"server_url": "https://b.test/realms/staff"}

    environment.setenv("OIDC_NAME", "Ash")
    with pytest.raises(ImproperlyConfigured, match="different numbers of issuers"):
        providers.read()


@pytest.mark.parametrize("issuer", ["login.example.test", "ftp://a.test", "https://", "https:/a"])
def test_an_issuer_without_an_address_stops_the_start(
    environment: pytest.MonkeyPatch, issuer: str
) -> None:
    environment.setenv("OIDC_ISSUER", issuer)
    environment.setenv("OIDC_CLIENT_ID", "1")
    environment.setenv("OIDC_CLIENT_SECRET", "2")

    with pytest.raises(ImproperlyConfigured, match="is not an http or https address"):
        providers.read()


def test_two_issuers_never_go_by_one_name() -> None:
    issuers = ["https://a.test", "https://a.test/b", "https://a.test:8443/b", "https://a-b.test"]

    assert len({providers.issuer_id(issuer) for issuer in issuers}) == len(issuers)
    assert providers.issuer_id("https://a.test/") == providers.issuer_id("https://a.test")
