"""The page of billing details, as people read it and fill it in."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from accounts.actors import SYSTEM
from accounts.models import Team
from accounts.rules import Permission
from billing import services as billing
from billing.models import Invoice, PaymentMethod
from tests.accounts.proving import HOUR, location, prove
from tests.accounts.security import PROVE
from tests.billing.pages import CARD, begun, page, text
from tests.billing.spending import keep_card
from tests.billing.test_details import LARKSPUR, save, saved
from tests.clients import Browser
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
FORM = {**LARKSPUR.values, "seen": ""}


def send(client: Client, team: Team, **fields: str) -> Any:
    return client.post(page("save_details", team), {**FORM, **fields})


def test_a_team_without_details_is_told_what_they_are_for(alice: Client, team: Team) -> None:
    words = text(alice.get(page("details", team)))

    assert "No billing details yet" in words
    assert "Until then they name Larkspur Labs, and receipts also who bought." in words
    assert "Add billing details" in words


def test_what_is_saved_is_shown_as_it_will_be_printed(alice: Client, team: Team) -> None:
    answer = send(alice, team)
    assert answer.status_code == 302

    words = text(alice.get(answer.headers["Location"]))

    assert "Billing details saved. The next invoice has them." in words
    assert "Larkspur Labs GmbH Torstraße 1 10119 Berlin Germany" in words
    assert "VAT number (European Union): DE136695976" in words
    assert "Its format is checked. With the tax office it is not verified." in words
    assert "Issued invoices are never changed" in words


def test_before_saving_one_reads_that_issued_invoices_stay(alice: Client, team: Team) -> None:
    words = text(alice.get(page("details", team)))

    assert "Invoices that are issued already stay as they are and are never issued again." in words


def test_the_form_begins_with_what_is_saved(alice: Client, team: Team) -> None:
    send(alice, team, tax_id_type="ch_uid", tax_number="che100155212")

    form = alice.get(page("details", team)).context["form"]

    assert form.initial["name"] == "Larkspur Labs GmbH"
    assert form.initial["tax_number"] == "CHE-100.155.212"
    assert form.initial["seen"] == saved(team).version


def test_the_form_of_a_new_team_begins_with_its_name(alice: Client, team: Team) -> None:
    form = alice.get(page("details", team)).context["form"]

    assert form.initial["name"] == "Larkspur Labs"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tax_number": "DE123456789"}, "DE123456789 does not fit “European Union: VAT number”"),
        ({"country": "FR"}, "the address is in France, and the number is not from there"),
        ({"tax_id_type": ""}, "Choose what kind of number it is."),
        ({"tax_number": ""}, "Enter the number, or choose “None” as its kind."),
        ({"email": "accounts"}, "Enter a valid email address."),
        ({"country": "XX"}, "XX is not one of the available choices."),
        ({"country": ""}, "Choose a country."),
        ({"tax_id_type": "xx_vat"}, "xx_vat is not one of the available choices."),
        ({"name": "  "}, "Enter a name."),
        ({"email": ""}, "Enter an email address."),
        ({"line1": ""}, "Enter an address."),
        ({"city": ""}, "Enter a city."),
        ({"name": "a" * 121}, "at most 120 characters (it has 121)"),
        ({"line1": "a\0b"}, "Null characters are not allowed."),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_nothing_is_saved(
    alice: Client, team: Team, fields: dict[str, str], told: str
) -> None:
    answer = send(alice, team, **fields)

    assert answer.status_code == 200
    assert escape(told) in answer.content.decode()
    assert "<dialog" in answer.content.decode()
    assert billing.details(team) is None


def test_what_people_type_is_never_markup(alice: Client, team: Team) -> None:
    send(alice, team, name="<b>Larkspur</b>", line1="{{ x }}", city="عمّان")

    shown = alice.get(page("details", team)).content.decode()

    assert "<b>Larkspur" not in shown
    assert "&lt;b&gt;Larkspur&lt;/b&gt;" in shown
    assert "{{ x }}" in shown


def test_a_form_that_is_sent_twice_changes_once(alice: Client, team: Team) -> None:
    assert send(alice, team).status_code == 302
    assert send(alice, team).status_code == 302

    assert saved(team).changed_at == NOON


def test_who_saves_over_a_colleague_is_shown_what_is_saved_and_may_insist(
    alice: Client, team: Team
) -> None:
    save(team)
    later = NOON + timedelta(minutes=1)
    save(team, replace(LARKSPUR, city="Kiel"), seen_at=NOON, now=later)

    answer = send(alice, team, city="Ulm", seen=NOON.isoformat())

    words = text(answer)
    assert "The billing details were changed since you opened this form." in words
    assert "Saved now: Larkspur Labs GmbH Torstraße 1 10119 Kiel Germany" in words
    assert saved(team).city == "Kiel"
    form = answer.context["form"]
    assert form["city"].value() == "Ulm"

    again = send(alice, team, city="Ulm", seen=form["seen"].value())

    assert again.status_code == 302
    assert saved(team).city == "Ulm"


@pytest.mark.parametrize("seen", ["yesterday", "2026-02-31T00:00:00", "9" * 40])
def test_a_forged_time_overwrites_nothing(alice: Client, team: Team, seen: str) -> None:
    save(team)

    answer = send(alice, team, city="Ulm", seen=seen)

    assert "were changed since" in text(answer)
    assert saved(team).city == "Berlin"


def test_who_may_only_read_sees_no_form(team: Team, client: Client) -> None:
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))
    save(team)

    shown = client.get(page("details", team))

    assert "Larkspur Labs GmbH" in text(shown)
    assert "Change details" not in text(shown)
    assert send(client, team).status_code == 403


def test_saving_asks_for_a_proof_and_then_goes_on(team: Team) -> None:
    stale = Browser()
    stale.force_login(make_admin(team), age=HOUR)

    asked = send(stale, team)

    assert location(asked).startswith(PROVE)
    assert billing.details(team) is None
    proven = prove(stale, asked)
    stale.get(proven.headers["Location"])
    assert saved(team).name == "Larkspur Labs GmbH"


# --- Cards on file


def test_two_cards_with_the_same_last_digits_are_told_apart(alice: Client, team: Team) -> None:
    older = keep_card(team)
    PaymentMethod.across_teams.create(
        team=team,
        processor=older.processor,
        reference="another",
        brand=older.brand,
        last4=older.last4,
        exp_month=4,
        exp_year=2031,
        added_at=NOON,
        kept_at=NOON,
    )
    address = page("details", team)

    html = alice.get(address).text
    asked = text(alice.get(f"{address}?dialog=remove&method={older.pk}"))

    for expiry in ("04 / 31", "12 / 99"):
        assert f'aria-label="Actions for Visa ending 4242, expires {expiry}"' in html
        assert f'<th scope="row">Visa ending 4242<span class="off">, {expiry}</span></th>' in html
    assert "Remove Visa ending 4242, expires 12 / 99" in asked
    heir = "It is the default. Visa ending 4242, expires 04 / 31, becomes the default then."
    assert heir in asked


# --- Where they appear


def test_the_checkout_says_what_the_receipt_will_say_before_money_moves(
    alice: Client, team: Team
) -> None:
    purchase = begun(alice, team)
    before = text(alice.get(page("checkout", team, purchase.pk)))
    save(team)

    after = text(alice.get(page("checkout", team, purchase.pk)))

    assert "Add an address or a tax number" in before
    assert "Larkspur Labs GmbH Torstraße 1" in after


def test_a_receipt_shows_address_and_tax_number_and_an_old_one_does_without(
    alice: Client, team: Team, clock: Any
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    save(team)
    clock.shift(1)
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    bare, full = Invoice.of(team).order_by("number")
    save(team, replace(LARKSPUR, name="Renamed"), seen_at=NOON)

    old, new = (text(alice.get(page("invoice", team, pk))) for pk in (bare.pk, full.pk))

    assert "Billed to Larkspur Labs Alice person-" in old
    assert "VAT" not in old
    assert (
        "Billed to Larkspur Labs GmbH Torstraße 1 10119 Berlin Germany "
        "VAT number (European Union): DE136695976 Alice accounts@larkspur.example"
    ) in new


def test_another_team_has_its_own_page(alice: Client, team: Team) -> None:
    other = make_team("Harbour")
    billing.save_details(team=other, actor=SYSTEM, details=LARKSPUR, seen_at=None, now=NOON)

    assert "No billing details yet" in text(alice.get(page("details", team)))
    assert alice.get(page("details", other)).status_code == 404
    assert send(alice, other).status_code == 404
