"""Billing details: one set per team, checked before it is kept, and on every later receipt."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from audit.models import AuditEvent
from billing import services as billing
from billing.models import BillingDetails, Invoice
from tests.accounts.people import make_person
from tests.factories import NOON, make_admin, make_team
from tests.races import race

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
LARKSPUR = billing.Details(
    name="Larkspur Labs GmbH",
    email="accounts@larkspur.example",
    line1="Torstraße 1",
    postal_code="10119",
    city="Berlin",
    country="DE",
    tax_id_type="eu_vat",
    tax_number="DE 136 695 976",
)
CARD = billing.Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="123")


def save(team: Team, details: billing.Details = LARKSPUR, **fields: Any) -> None:
    arguments = {"actor": SYSTEM, "seen_at": None, "now": NOON, **fields}
    billing.save_details(team=team, details=details, **arguments)


def saved(team: Team) -> billing.Details:
    found = billing.details(team)
    assert found is not None
    return found


def changes(team: Team) -> list[AuditEvent]:
    return list(AuditEvent.of(team).filter(operation="SetBillingDetails").order_by("pk"))


def test_a_team_has_no_details_before_somebody_saves_some() -> None:
    assert billing.details(make_team()) is None


def test_what_is_saved_is_read_back_with_a_compact_tax_number() -> None:
    team = make_team()

    save(team)

    assert saved(team) == replace(LARKSPUR, tax_number="DE136695976", changed_at=NOON)
    assert BillingDetails.of(team).get().tax_number == "DE136695976"


def test_each_team_has_its_own() -> None:
    team, other = make_team(), make_team()
    save(team)

    save(other, replace(LARKSPUR, name="Harbour Ltd"))

    assert (saved(team).name, saved(other).name) == ("Larkspur Labs GmbH", "Harbour Ltd")


@pytest.mark.parametrize(
    ("fields", "city"),
    [
        ({"country": "DE", "city": "Berlin", "postal_code": "10119"}, "10119 Berlin"),
        ({"country": "GB", "city": "London", "postal_code": "N1 9GU"}, "London N1 9GU"),
        (
            {"country": "US", "city": "Austin", "state": "TX", "postal_code": "78701"},
            "Austin, TX 78701",
        ),
        ({"country": "AE", "city": "Dubai", "state": "Dubai", "postal_code": ""}, "Dubai, Dubai"),
        ({"country": "HK", "city": "Kowloon", "postal_code": ""}, "Kowloon"),
    ],
)
def test_an_address_is_printed_as_in_its_country(fields: dict[str, Any], city: str) -> None:
    details = replace(LARKSPUR, line2="Hof 2", **fields)

    assert details.address == [
        "Torstraße 1",
        "Hof 2",
        city,
        billing.countries()[fields["country"]],
    ]


def test_a_wrong_tax_number_leaves_everything_as_it_was() -> None:
    team = make_team()
    save(team)

    with pytest.raises(billing.TaxNumberError, match="the address is in France"):
        save(team, replace(LARKSPUR, country="FR"), seen_at=NOON, now=LATER)

    assert saved(team).country == "DE"
    assert len(changes(team)) == 1


def test_without_a_kind_no_tax_number_is_kept() -> None:
    team = make_team()

    save(team, replace(LARKSPUR, tax_id_type=""))

    assert saved(team).tax_number == ""
    assert saved(team).tax_id is None


@pytest.mark.parametrize("fields", [{"tax_id_type": ""}, {"tax_number": ""}])
def test_the_database_keeps_no_half_of_a_tax_number(fields: dict[str, str]) -> None:
    team = make_team()
    save(team)

    with pytest.raises(IntegrityError), transaction.atomic():
        BillingDetails.of(team).update(**fields)


# --- Once, and by whom


def test_a_change_is_recorded_with_the_fields_that_changed_before_and_after() -> None:
    team = make_team()
    alice = make_admin(team, "Alice")
    save(team)

    moved = replace(LARKSPUR, line1="Hafenweg 9", line2="3. OG")
    save(team, moved, seen_at=NOON, actor=Actor.for_user(alice), now=LATER)

    first, second = changes(team)
    told = first.after or {}
    assert first.before == dict.fromkeys(told, "")
    assert told["tax_number"] == "DE136695976"
    assert "line2" not in told
    assert second.before == {"line1": "Torstraße 1", "line2": ""}
    assert second.after == {"line1": "Hafenweg 9", "line2": "3. OG"}
    assert (second.user, second.target_id) == (alice, str(BillingDetails.of(team).get().pk))


def test_the_same_details_twice_are_one_change_whatever_the_form_was_opened_with() -> None:
    team = make_team()
    save(team)

    save(team, now=LATER)
    save(team, seen_at=NOON, now=LATER)

    assert saved(team).changed_at == NOON
    assert len(changes(team)) == 1


@pytest.mark.parametrize("seen_at", [None, NOON - timedelta(seconds=1)])
def test_what_somebody_else_saved_meanwhile_is_not_overwritten_unseen(seen_at: Any) -> None:
    team = make_team()
    save(team)

    with pytest.raises(billing.DetailsChangedError):
        save(team, replace(LARKSPUR, city="Potsdam"), seen_at=seen_at, now=LATER)

    assert saved(team).city == "Berlin"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_first_at_once_one_is_told_of_the_other() -> None:
    team = make_team()
    cities = ("Berlin", "Potsdam", "Kiel", "Ulm")

    outcomes = race(
        *(partial(save, team, replace(LARKSPUR, city=city)) for city in cities),
    )

    refused = [outcome for outcome in outcomes if outcome is not None]
    assert [type(error) for error in refused] == [billing.DetailsChangedError] * 3
    assert BillingDetails.of(team).count() == len(changes(team)) == 1


# --- On receipts


def buy(team: Team, buyer: User, key: str) -> Invoice:
    actor = Actor.for_user(buyer)
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2500, idempotency_key=key, now=NOON
    )
    purchase = billing.pay(purchase=purchase, actor=actor, card=CARD, now=NOON)
    return Invoice.of(team).get(purchase=purchase)


def test_a_receipt_has_the_details_of_its_day_for_good() -> None:
    team = make_team("Larkspur")
    alice = make_admin(team, "Alice")
    bare = buy(team, alice, "one")
    save(team)
    full = buy(team, alice, "two")

    save(team, replace(LARKSPUR, line1="Hafenweg 9"), seen_at=NOON, now=LATER)

    bare.refresh_from_db()
    full.refresh_from_db()
    assert bare.buyer == {"name": "Larkspur", "contact": "Alice", "email": alice.email}
    assert full.buyer == {
        "name": "Larkspur Labs GmbH",
        "contact": "Alice",
        "email": "accounts@larkspur.example",
        "address": ["Torstraße 1", "10119 Berlin", "Germany"],
        "country": "DE",
        "tax_id": {
            "type": "eu_vat",
            "name": "VAT number (European Union)",
            "number": "DE136695976",
        },
    }


# --- When a team or a person goes


def test_a_team_that_ends_takes_its_details_along_and_takes_no_new_ones() -> None:
    team = make_team()
    save(team)

    accounts.close_team(team=team, actor=SYSTEM, now=LATER)

    assert billing.details(team) is None
    with pytest.raises(accounts.TeamClosedError):
        save(team)


def test_a_person_finds_the_details_of_their_own_team_in_the_copy_of_their_data() -> None:
    person = make_person("Alice")
    shared = accounts.create_team(
        name="Shared", owner=person, actor=Actor.for_user(person), now=NOON
    )
    save(shared, replace(LARKSPUR, name="Of the others"))
    assert copy_of(person) is None

    save(accounts.personal_team(person), replace(LARKSPUR, name="Alice Own"))

    assert copy_of(person)["name"] == "Alice Own"


def copy_of(person: User) -> Any:
    actor = Actor.for_user(person)
    return accounts.personal_data(user=person, actor=actor, now=NOON)["billing_details"]
