"""Buying credits, as people do it: what the pages say, and where they lead."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils.html import escape
from pytest_django import Settings

from accounts.actors import Actor
from accounts.models import Team
from billing import services as billing
from billing.models import CreditGrant, Invoice, Purchase, SandboxPayment
from tests.billing.crashes import after_charging, before_asking
from tests.billing.pages import ASKS, CARD, DECLINED, begin, begun, page, text
from tests.billing.spending import keep_card
from tests.factories import NOON, make_admin, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_buying_leads_through_the_checkout_to_a_higher_balance(alice: Client, team: Team) -> None:
    response = begin(alice, team, preset="", amount="37.50")
    purchase = Purchase.of(team).get()
    checkout = page("checkout", team, purchase.pk)
    assert response.headers["Location"] == checkout

    words = text(alice.get(checkout))
    assert "For team Larkspur Labs" in words
    assert "Credits are not refundable" in words
    assert "No money moves" in words

    response = alice.post(checkout, CARD, follow=True)
    assert response.redirect_chain == [(page("credits", team), 302)]
    assert "Larkspur Labs has $37.50 more to spend." in text(response)
    assert "Available $37.50" in text(response)


def test_an_amount_is_written_as_pages_show_it(alice: Client, team: Team) -> None:
    begin(alice, team, preset="", amount="$1,250.50")

    assert Purchase.of(team).get().amount_cents == 125_050


def test_what_was_typed_before_a_preset_was_chosen_is_not_asked_about(
    alice: Client, team: Team
) -> None:
    begin(alice, team, preset="100", amount="lots")

    assert Purchase.of(team).get().amount_cents == 10_000


def test_a_card_on_file_that_was_chosen_is_the_first_way_to_pay(alice: Client, team: Team) -> None:
    method = keep_card(team)
    checkout = page("checkout", team, begun(alice, team).pk)

    chosen = alice.get(f"{checkout}?method={method.pk}")
    plain = alice.get(checkout)
    gone = alice.get(f"{checkout}?method={uuid4()}")

    assert panels(chosen) == ["Pay with a card on file", "Or enter another card", "What you buy"]
    assert primary(chosen) == "Pay $25.00 with it"
    for other in (plain, gone):
        assert panels(other) == ["Guest checkout", "Or pay with a card on file", "What you buy"]
        assert primary(other) == "Pay $25.00"


def panels(response: Any) -> list[str]:
    """Name what the page shows side by side."""
    columns = response.text.split("Test cards")[0]
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", columns)


def primary(response: Any) -> str:
    [button] = re.findall(r'<button class="primary">([^<]*)<', response.text.split("</main>")[0])
    return str(button)


def test_a_refused_card_is_explained_and_another_one_pays(alice: Client, team: Team) -> None:
    checkout = page("checkout", team, begun(alice, team).pk)

    refused = alice.post(checkout, {**CARD, "number": "4000000000000341"}, follow=True)

    assert refused.redirect_chain == [(checkout, 302)]
    assert "The bank declined the card." in text(refused)
    refused = alice.post(checkout, DECLINED)
    assert "The bank declined the card." in text(refused)
    assert "0002" not in refused.content.decode().split("Test cards")[0]
    assert "more to spend" in text(alice.post(checkout, CARD, follow=True))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"number": "4242 4242 4242 4241"}, "a digit is wrong"),
        ({"number": "42"}, "A card number has 12 to 19 digits."),
        ({"number": "4242-4242-4242-424x"}, "A card number has 12 to 19 digits."),
        ({"expiry": "13 / 30"}, "Enter a month and a year"),
        ({"expiry": "soon"}, "Enter a month and a year"),
        ({"expiry": "02/26"}, "The card expired in 02 / 26."),
        ({"cvc": "12"}, "The security code of this card has 3 digits."),
        ({"number": "378282246310005"}, "The security code of this card has 4 digits."),
        ({"cvc": "12345"}, "A security code has 3 or 4 digits."),
        ({"cvc": ""}, "Enter the card's security code."),
        ({"number": ""}, "Enter the card's number."),
        ({"number": "4" * 31}, "A card number has 12 to 19 digits."),
        ({"expiry": ""}, "Enter a month and a year"),
        ({"expiry": "April of 2030"}, "Enter a month and a year"),
    ],
)
def test_a_mistyped_card_is_explained_before_the_processor_hears_of_it(
    alice: Client, team: Team, wrong: dict[str, str], sentence: str
) -> None:
    purchase = begun(alice, team)

    response = alice.post(page("checkout", team, purchase.pk), {**CARD, **wrong})

    assert escape(sentence) in text(response)
    assert SandboxPayment.objects.count() == 0
    # What was typed does not travel back.
    assert "4242" not in response.content.decode().split("Test cards")[0]


@pytest.mark.parametrize("expiry", ["03/26", "3/26", "03 / 26", "0326", "12/2030", "12 / 2030"])
def test_a_card_is_good_through_its_last_month_however_it_is_typed(
    alice: Client, team: Team, expiry: str
) -> None:
    purchase = begun(alice, team)

    alice.post(page("checkout", team, purchase.pk), {**CARD, "expiry": expiry})

    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.SUCCEEDED


def test_a_real_card_is_refused_by_the_sandbox(alice: Client, team: Team) -> None:
    checkout = page("checkout", team, begun(alice, team).pk)

    response = alice.post(checkout, {**CARD, "number": "4111 1111 1111 1111"}, follow=True)

    assert "The sandbox takes only the test cards listed on this page." in text(response)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("approve", "Larkspur Labs has $25.00 more to spend."),
        ("decline", "The payment was not approved with the bank, so nothing was charged."),
    ],
)
def test_the_bank_may_ask_before_it_pays(
    alice: Client, team: Team, answer: str, sentence: str
) -> None:
    purchase = begun(alice, team)
    checkout, confirm = (page(name, team, purchase.pk) for name in ("checkout", "confirm"))

    asked = alice.post(checkout, ASKS, follow=True)

    assert asked.redirect_chain == [(confirm, 302)]
    assert "Visa ending 3184" in text(asked)
    # Whoever goes back to the checkout is led to the question again.
    assert alice.get(checkout).headers["Location"] == confirm
    assert sentence in text(alice.post(confirm, {"answer": answer}, follow=True))


def test_going_back_and_paying_again_pays_once(alice: Client, team: Team) -> None:
    purchase = begun(alice, team)
    checkout = page("checkout", team, purchase.pk)

    for _ in range(3):
        alice.post(checkout, CARD)

    assert SandboxPayment.objects.count() == 1
    assert CreditGrant.of(team).count() == 1
    words = text(alice.get(checkout))
    assert "This purchase is paid" in words
    assert "Nothing more is charged." in words


def test_a_form_sent_twice_begins_one_purchase(alice: Client, team: Team) -> None:
    key = str(uuid4())

    answers = {begin(alice, team, idempotency_key=key).headers["Location"] for _ in range(2)}

    assert len(answers) == 1
    assert Purchase.of(team).count() == 1
    changed = begin(alice, team, idempotency_key=key, preset="500")
    assert "already sent with other contents" in text(changed)


def test_a_purchase_that_was_not_paid_for_a_day_says_so(
    alice: Client, team: Team, clock: Any
) -> None:
    purchase = begun(alice, team)
    clock.shift(timedelta(hours=24))

    response = alice.post(page("checkout", team, purchase.pk), CARD, follow=True)

    assert "This purchase has expired" in text(response)
    assert SandboxPayment.objects.count() == 0


def test_a_payment_without_an_answer_yet_says_so_and_takes_no_second_card(
    alice: Client, team: Team
) -> None:
    purchase = begun(alice, team)
    before_asking(purchase, Actor.for_user(purchase.buyer))

    response = alice.post(page("checkout", team, purchase.pk), CARD, follow=True)

    assert "The payment is being processed" in text(response)
    assert SandboxPayment.objects.count() == 0


def test_the_billing_page_asks_no_processor_and_shows_what_the_job_has_found_out(
    alice: Client, team: Team
) -> None:
    purchase = begun(alice, team)
    after_charging(purchase, Actor.for_user(purchase.buyer))
    assert "Available $25.00" not in text(alice.get(page("credits", team)))

    billing.reconcile_all(now=NOON)

    assert "Available $25.00" in text(alice.get(page("credits", team)))
    assert Invoice.of(team).count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"preset": "", "amount": ""}, "Enter an amount like 25 or 1,250.50."),
        ({"preset": "", "amount": "0"}, "One purchase can be from $5.00 to $10,000.00."),
        ({"preset": "", "amount": "4.99"}, "One purchase can be from $5.00 to $10,000.00."),
        ({"preset": "", "amount": "10000.01"}, "One purchase can be from $5.00 to $10,000.00."),
        ({"preset": "", "amount": "-5"}, "-5 is less than $0.00."),
        ({"preset": "", "amount": "5.001"}, "5.001 is finer than a cent."),
        ({"preset": "", "amount": "NaN"}, "“NaN” is not an amount."),
        ({"preset": "", "amount": "1e5"}, "“1e5” is not an amount."),
        ({"preset": "", "amount": "9" * 99}, f"{'9' * 30}… is too much."),
        ({"preset": "7"}, "This amount is not offered any more."),
    ],
)
def test_a_wrong_amount_is_explained_in_the_dialog(
    alice: Client, team: Team, fields: dict[str, str], sentence: str
) -> None:
    response = begin(alice, team, **fields)

    assert sentence in text(response)
    assert re.search(r'<dialog id="buy"[^>]* open', response.content.decode())
    assert not Purchase.of(team).exists()


def test_the_limits_of_a_purchase_are_the_operators(
    alice: Client, team: Team, settings: Settings
) -> None:
    settings.PURCHASE_MIN_USD, settings.PURCHASE_MAX_USD = 50, 200

    response = alice.get(page("credits", team))

    assert "From $50.00 to $200.00." in text(response)
    assert 'value="25"' not in response.content.decode()
    assert 'value="100"' in response.content.decode()


@pytest.mark.parametrize("name", ["checkout", "confirm"])
def test_the_purchase_of_another_team_does_not_exist(alice: Client, team: Team, name: str) -> None:
    other = make_team()
    purchase = billing.begin(
        team=other,
        actor=Actor.for_user(make_admin(other)),
        amount_cents=2500,
        idempotency_key="k",
        now=NOON,
    )

    for ask in (alice.get, alice.post):
        assert ask(page(name, team, purchase.pk)).status_code == 404
