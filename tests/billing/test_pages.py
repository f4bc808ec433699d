"""The billing pages, as people use them: what they say, whom they let in, and where they lead."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.rules import Permission
from billing import services as billing
from billing.models import CreditGrant, Invoice, Purchase, SandboxPayment
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CARD = {"number": "4242 4242 4242 4242", "expiry": "12 / 30", "cvc": "123"}
DECLINED = {**CARD, "number": "4000 0000 0000 0002"}
ASKS = {**CARD, "number": "4000 0027 6000 3184"}


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur Labs")


@pytest.fixture
def alice(team: Team, client: Client) -> Client:
    """Sign the team's admin in."""
    client.force_login(make_admin(team, name="Alice"))
    return client


def page(name: str, team: Team, *args: object) -> str:
    return reverse(f"billing:{name}", args=[team.pk, *args])


def text(response: Any) -> str:
    """Read the words of a page as a person does."""
    words = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r"\s+", " ", words)


def begin(client: Client, team: Team, **fields: str) -> Any:
    form = {"preset": "25", "idempotency_key": str(uuid4()), **fields}
    return client.post(page("buy", team), form)


def begun(client: Client, team: Team) -> Purchase:
    begin(client, team)
    return Purchase.of(team).latest("created_at")


def give(team: Team, dollars: int, **fields: Any) -> None:
    billing.grant(
        **{
            "team": team,
            "actor": SYSTEM,
            "kind": CreditGrant.Kind.FREE,
            "amount_ticks": dollars * TICKS_PER_USD,
            "label": "Welcome credits",
            "idempotency_key": str(uuid4()),
            "now": NOON,
            **fields,
        }
    )


def spend(team: Team, dollars: int) -> None:
    request = billing.HoldRequest(uuid4(), team.pk, dollars * TICKS_PER_USD, 0, 1)
    billing.reserve([request], now=NOON, until=NOON)
    lines = [Line(BillingItem.COMPLETION, dollars, TICKS_PER_USD)]
    billing.settle([billing.Settlement(request.request_id, team.pk, "atlas", lines)], now=NOON)


# --- Credits ----------------------------------------------------------------------------------


def test_the_page_explains_the_balance_and_whose_it_is(alice: Client, team: Team) -> None:
    give(team, 10)
    give(team, 25, kind=CreditGrant.Kind.PREPAID, label="Bought by Alice")
    spend(team, 4)

    words = text(alice.get(page("credits", team)))

    assert "Credits belong to Larkspur Labs and are shared by its members." in words
    assert "Free and promo credits used first $6.00" in words
    assert "Prepaid credits used second $25.00" in words
    assert "Available $31.00" in words
    assert "only credits are used. Requests are rejected automatically" in words
    assert "atlas" in words


def test_a_team_without_credits_is_told_that_requests_are_refused(
    alice: Client, team: Team
) -> None:
    words = text(alice.get(page("credits", team)))

    assert "Larkspur Labs has no credits yet. Requests are refused until it has some." in words


def test_running_low_and_running_out_are_said_before_and_after(alice: Client, team: Team) -> None:
    give(team, 10)
    assert "Less than" not in text(alice.get(page("credits", team)))

    spend(team, 6)
    assert "Less than $5.00 is left." in text(alice.get(page("credits", team)))

    spend(team, 4)
    assert "Credits are used up. Requests are refused" in text(alice.get(page("credits", team)))


def test_a_member_who_may_only_read_sees_no_buttons(client: Client, team: Team) -> None:
    give(team, 10)
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    response = client.get(page("credits", team))

    assert response.status_code == 200
    assert "Buy credits" not in text(response)
    assert "Change limit" not in text(response)


def test_many_grants_and_entries_cost_no_more_queries_than_few(
    alice: Client,
    team: Team,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    give(team, 10)
    spend(team, 10)
    give(team, 10)
    alice.get(page("credits", team))
    with CaptureQueriesContext(connection) as few:
        alice.get(page("credits", team))
    for _ in range(10):
        give(team, 10)
        spend(team, 7)

    with django_assert_num_queries(len(few)):
        alice.get(page("credits", team))


# --- Buying -----------------------------------------------------------------------------------


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


def test_a_refused_card_is_explained_and_another_one_pays(alice: Client, team: Team) -> None:
    checkout = page("checkout", team, begun(alice, team).pk)

    refused = alice.post(checkout, DECLINED, follow=True)

    assert refused.redirect_chain == [(checkout, 302)]
    assert "The bank declined the card." in text(refused)
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
        ({"cvc": ""}, "This field is required."),
    ],
)
def test_a_mistyped_card_is_explained_before_the_processor_hears_of_it(
    alice: Client, team: Team, wrong: dict[str, str], sentence: str
) -> None:
    purchase = begun(alice, team)

    response = alice.post(page("checkout", team, purchase.pk), {**CARD, **wrong})

    assert sentence in text(response)
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
    Purchase.of(team).update(
        status=Purchase.Status.PROCESSING, attempt=1, attempted_at=NOON, processor="sandbox"
    )

    response = alice.post(page("checkout", team, purchase.pk), CARD, follow=True)

    assert "The payment is being processed" in text(response)
    assert SandboxPayment.objects.count() == 0


def test_the_billing_page_completes_a_payment_that_a_crash_left_open(
    alice: Client, team: Team
) -> None:
    purchase = begun(alice, team)
    Purchase.of(team).update(
        status=Purchase.Status.PROCESSING, attempt=1, attempted_at=NOON, processor="sandbox"
    )
    SandboxPayment.objects.create(
        idempotency_key=f"{purchase.pk}:1",
        amount_cents=2500,
        status="succeeded",
        card_brand="Visa",
        card_last4="4242",
    )

    assert "Available $25.00" in text(alice.get(page("credits", team)))
    assert Invoice.of(team).count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"preset": "", "amount": ""}, "Enter an amount."),
        ({"preset": "", "amount": "4.99"}, "One purchase can be from $5.00 to $10,000.00."),
        ({"preset": "", "amount": "10000.01"}, "One purchase can be from $5.00 to $10,000.00."),
        ({"preset": "", "amount": "-5"}, "greater than or equal to 0"),
        ({"preset": "", "amount": "5.001"}, "no more than 2 decimal places"),
        ({"preset": "", "amount": "NaN"}, "Enter a number."),
        ({"preset": "7"}, "Select a valid choice."),
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


# --- The spending limit -----------------------------------------------------------------------


def test_the_spending_limit_is_changed_in_its_dialog(alice: Client, team: Team) -> None:
    response = alice.post(page("spending_limit", team), {"limit": "200"}, follow=True)

    words = text(response)
    assert "Spending limit changed. It is in force now." in words
    assert "$0.00 of $200.00 on the March invoice" in words
    assert "Resets on 1 April, 00:00 UTC. You can raise it up to $2,000.00." in words


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("2000.01", "$2,000.01 is more than $2,000.00"),
        ("-1", "greater than or equal to 0"),
        ("lots", "Enter a number."),
    ],
)
def test_a_wrong_limit_is_explained_in_the_dialog(
    alice: Client, team: Team, limit: str, sentence: str
) -> None:
    response = alice.post(page("spending_limit", team), {"limit": limit})

    assert sentence in text(response)
    assert re.search(r'<dialog id="limit-edit"[^>]* open', response.content.decode())


def test_a_team_that_may_not_be_invoiced_has_no_limit_to_change(alice: Client, team: Team) -> None:
    billing.set_hard_limit(team=team, actor=SYSTEM, limit_ticks=0, now=NOON)

    response = alice.get(page("credits", team))

    assert "Invoicing is not open to Larkspur Labs." in text(response)
    assert "limit-edit" not in response.content.decode()


# --- Invoices ---------------------------------------------------------------------------------


def test_a_purchase_leaves_a_receipt_that_names_seller_buyer_and_card(
    alice: Client, team: Team
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    assert "R-000001" in text(alice.get(page("invoices", team)))

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "Receipt R-000001" in words
    assert "Issued on 1 Mar 2026" in words
    assert "paid with Visa ending 4242" in words
    assert "Billed to Larkspur Labs Alice, person-" in words
    assert "Total $25.00" in words


def test_a_receipt_stays_as_it_was_when_names_change(
    alice: Client, team: Team, settings: Settings
) -> None:
    alice.post(page("checkout", team, begun(alice, team).pk), CARD)
    settings.SUPPORT_EMAIL = "new@example.test"
    Team.objects.filter(pk=team.pk).update(name="Renamed")

    words = text(alice.get(page("invoice", team, Invoice.of(team).get().pk)))

    assert "support@localhost" in words
    assert "Billed to Larkspur Labs" in words


def test_the_receipt_of_another_team_does_not_exist(alice: Client, team: Team) -> None:
    other = make_team()
    stranger = Client()
    stranger.force_login(make_admin(other))
    stranger.post(page("checkout", other, begun(stranger, other).pk), CARD)

    assert alice.get(page("invoice", team, Invoice.of(other).get().pk)).status_code == 404


def test_a_team_without_invoices_is_told_what_will_be_there(alice: Client, team: Team) -> None:
    assert "Each purchase of credits leaves a receipt here." in text(
        alice.get(page("invoices", team))
    )
