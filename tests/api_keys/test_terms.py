"""What a key is limited by: how terms are read, written, checked and applied."""

from datetime import timedelta
from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_keys import rules
from api_keys.rules import EVERYTHING, Terms, TermsError
from tests.factories import NOON

ALL_ENDPOINTS, ALL_MODELS = "api-key:endpoint:*", "api-key:model:*"
CHAT, ATLAS = "api-key:endpoint:chat", "api-key:model:atlas-8b"


# --- What it may be used for


@pytest.mark.parametrize(
    ("acls", "endpoint", "model", "allowed"),
    [
        ([], "chat", "atlas-8b", False),
        ([CHAT], "chat", "atlas-8b", False),
        ([ATLAS], "chat", "atlas-8b", False),
        ([CHAT, ATLAS], "chat", "atlas-8b", True),
        ([CHAT, ATLAS], "models", "atlas-8b", False),
        ([CHAT, ATLAS], "chat", "atlas-70b", False),
        ([CHAT, ATLAS], "chat", None, True),
        ([CHAT, ALL_MODELS], "chat", "atlas-70b", True),
        ([ALL_ENDPOINTS, ATLAS], "models", "atlas-8b", True),
        ([ALL_ENDPOINTS, ALL_MODELS], "chat", "anything", True),
        # A name is a name, however much it looks like a pattern or another kind of ACL.
        (["api-key:endpoint:ch*", ALL_MODELS], "chat", "atlas-8b", False),
        (["chat", "atlas-8b", "*"], "chat", "atlas-8b", False),
        (["api-key:model:chat", ALL_MODELS], "chat", "atlas-8b", False),
    ],
)
def test_an_endpoint_and_a_model_must_both_be_allowed(
    acls: list[str], endpoint: str, model: str | None, *, allowed: bool
) -> None:
    assert rules.acl_allows(acls, endpoint=endpoint, model=model) is allowed


@pytest.mark.parametrize(
    ("acls", "words"),
    [
        ([ALL_ENDPOINTS, ALL_MODELS], "Everything"),
        ([CHAT, ALL_MODELS], "Chat"),
        ([CHAT, "api-key:endpoint:models", ALL_MODELS], "Chat and model list"),
        ([CHAT, ATLAS], "Chat; atlas-8b"),
        ([ALL_ENDPOINTS, ATLAS], "All endpoints; atlas-8b"),
        ([CHAT, *(f"api-key:model:m{n}" for n in range(5))], "Chat; m0, m1 and 3 more"),
        ([CHAT], "Nothing"),
        ([ATLAS], "Nothing"),
        ([], "Nothing"),
        (["api-key:endpoint:embed", ALL_MODELS], "Embed"),
    ],
)
def test_acls_are_put_into_words(acls: list[str], words: str) -> None:
    assert rules.may_use(acls) == words
    assert Terms(acls=tuple(acls)).may_nothing() is (words == "Nothing")


# --- Where requests may come from


@pytest.mark.parametrize(
    ("networks", "ip", "allowed"),
    [
        ([], "203.0.113.24", True),
        ([], "", True),
        (["203.0.113.0/24"], "203.0.113.24", True),
        (["203.0.113.0/24"], "203.0.114.1", False),
        (["203.0.113.0/24"], "::ffff:203.0.113.24", True),
        (["203.0.113.0/24"], "2001:db8::1", False),
        (["203.0.113.0/24", "2001:db8::/32"], "2001:db8:7::1", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["203.0.113.24/32"], "203.0.113.24", True),
        (["203.0.113.0/24"], "", False),
        (["203.0.113.0/24"], "unix:", False),
        (["fe80::/10"], "fe80::1%eth0", True),
    ],
)
def test_requests_come_from_the_networks_that_are_named(
    networks: list[str], ip: str, *, allowed: bool
) -> None:
    assert rules.networks_allow(networks, ip) is allowed


@given(st.lists(st.ip_addresses(), max_size=5), st.ip_addresses(), st.integers(0, 32))
def test_an_address_is_let_in_by_what_was_written_of_it(
    others: list[object], address: object, bits: int
) -> None:
    # One spelled as IPv6 that means IPv4 is written as what it means before it is asked about.
    address = getattr(address, "ipv4_mapped", None) or address
    network = ip_network(f"{address}/{bits}", strict=False)
    networks = rules.networks_of(" ".join([*map(str, others), str(network)]))

    assert rules.networks_allow(networks, str(address))
    assert rules.networks_of(rules.written(networks)) == networks
    assert all(str(ip_network(one)) == one for one in networks)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", ()),
        (" , ;\n", ()),
        ("203.0.113.24", ("203.0.113.24/32",)),
        ("203.0.113.0/24,198.51.100.8\n2001:DB8::/32", None),
        ("203.0.113.0/24 203.0.113.0/255.255.255.0", ("203.0.113.0/24",)),
        ("::ffff:203.0.113.24", ("203.0.113.24/32",)),
        ("::ffff:203.0.113.0/120", ("203.0.113.0/24",)),
    ],
)
def test_networks_are_kept_in_one_spelling(text: str, networks: tuple[str, ...] | None) -> None:
    expected = networks or ("203.0.113.0/24", "198.51.100.8/32", "2001:db8::/32")

    assert rules.networks_of(text) == (() if networks == () else expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("198.51.100.300", "198.51.100.300 is not an IP address or range."),
        ("203.0.113.0/24, office", "office is not an IP address or range."),
        ("203.0.113.0/33", "203.0.113.0/33 is not"),
        ("203.0.113.7/24", "Write 203.0.113.0/24 for the whole range or 203.0.113.7 for the one"),
        ("fe80::1%eth0", "has a zone"),
        ("x" * 10_000, "…"),
        (" ".join(str(ip_address(n)) for n in range(2**24, 2**24 + 101)), "at most 100"),
    ],
)
def test_what_is_no_network_is_named_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(TermsError) as refusal:
        rules.networks_of(text)

    assert reason in str(refusal.value)
    assert refusal.value.field == "networks"
    assert len(str(refusal.value)) < 200


# --- What else


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (Terms(requests_per_second=0), "requests_per_second"),
        (Terms(requests_per_minute=-1), "requests_per_minute"),
        (Terms(tokens_per_minute=10**12 + 1), "tokens_per_minute"),
        (Terms(monthly_cap_ticks=0), "monthly_cap_ticks"),
        (Terms(monthly_cap_ticks=10**18), "monthly_cap_ticks"),
        (Terms(networks=("203.0.113.24",)), "networks"),
        (Terms(networks=("203.0.113.0/24", "203.0.113.0/24")), "networks"),
        (Terms(acls=("chat",)), "acls"),
        (Terms(acls=(CHAT, ATLAS, CHAT)), "acls"),
    ],
)
def test_terms_that_could_not_be_kept_are_refused(terms: Terms, field: str) -> None:
    with pytest.raises(TermsError) as refusal:
        rules.check_terms(terms)

    assert refusal.value.field == field


def test_terms_that_mean_something_are_not_refused() -> None:
    rules.check_terms(EVERYTHING)
    rules.check_terms(
        Terms(
            acls=(CHAT, ATLAS),
            expires_at=NOON,
            requests_per_second=1,
            requests_per_minute=rules.MOST_REQUESTS,
            tokens_per_minute=rules.MOST_TOKENS,
            networks=("203.0.113.0/24", str(IPv4Network("0.0.0.0/0"))),
            monthly_cap_ticks=1,
        )
    )


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=8), ""),
        (timedelta(days=7), "7 days"),
        (timedelta(days=3, hours=-1), "3 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=23), "23 hours"),
        (timedelta(minutes=59), "59 minutes"),
        (timedelta(seconds=1), "1 minute"),
        (timedelta(0), ""),
        (timedelta(days=-1), ""),
    ],
)
def test_a_key_that_soon_expires_says_in_how_long(left: timedelta, words: str) -> None:
    assert rules.expires_in(NOON + left, NOON) == words


def test_a_key_that_never_expires_says_nothing_of_it() -> None:
    assert rules.expires_in(None, NOON) == ""


def test_graces_go_up_to_a_week() -> None:
    assert [rules.span(grace) for grace in rules.GRACES[1:]] == [
        "1 hour",
        "24 hours",
        "3 days",
        "7 days",
    ]
