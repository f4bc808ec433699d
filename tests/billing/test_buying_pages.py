"""The dialogs of the credits page that lead to money moving: what they offer, take and refuse."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.actors import SYSTEM
from accounts.models import Team
from accounts.rules import Permission
from billing import services as billing
from billing.models import BillingAccount, CreditGrant, Purchase, TopUpRule
from tests.billing.pages import begin, give, page, text
from tests.billing.spending import DECLINES, keep_card
from tests.factories import NOON, make_member, make_team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

RULE = {"trigger": "20", "amount": "1,250.50", "month_max": "2500"}


def top_up(client: Client, team: Team, **fields: str) -> str:
    return text(client.post(page("top_up", team), {**RULE, **fields}, follow=True))


# --- Buying


def test_guest_checkout_comes_first_and_every_way_to_pay_is_offered(
    alice: Client, team: Team
) -> None:
    keep_card(team)

    words = text(alice.get(page("credits", team)))

    ways = "Guest checkout: enter a card Visa ending 4242, expires 12 / 99 Bank transfer"
    assert ways in words
    assert "Credits go to Larkspur Labs, expire after 12 months and are not refundable." in words


def test_a_card_on_file_is_chosen_already_at_the_checkout(alice: Client, team: Team) -> None:
    method = keep_card(team)

    response = begin(alice, team, pay_with=str(method.pk))

    assert response.url.endswith(f"?method={method.pk}")
    purchase = Purchase.of(team).get()
    assert (purchase.kind, purchase.status) == ("card", "pending")


def test_the_dialog_says_that_a_transfer_begins_at_once(alice: Client, team: Team) -> None:
    html = alice.get(page("credits", team)).text

    assert '<span class="by-card">Go to checkout</span>' in html
    assert '<span class="by-transfer">Begin bank transfer</span>' in html
    assert "The transfer is awaited as soon as you begin it." in html


def test_a_card_of_another_team_is_no_way_to_pay(alice: Client, team: Team) -> None:
    theirs = keep_card(make_team())

    response = begin(alice, team, pay_with=str(theirs.pk))

    assert "This way to pay is not there any more." in text(response)
    assert not Purchase.of(team).exists()


def test_the_tax_is_shown_for_each_amount_before_anything_is_begun(
    alice: Client, team: Team, settings: Settings
) -> None:
    settings.TAX_PERCENT, settings.TAX_NAME = Decimal("20.00"), "VAT"

    words = text(alice.get(page("credits", team)))

    assert "Credits $250.00 VAT, 20% $50.00 To pay $300.00" in words
    assert "VAT of 20% is added." in words


def test_the_same_form_cannot_be_sent_for_a_card_and_for_a_transfer(
    alice: Client, team: Team
) -> None:
    key = str(uuid4())
    begin(alice, team, idempotency_key=key)

    response = begin(alice, team, idempotency_key=key, pay_with="transfer")

    assert "already sent with other contents" in text(response)
    assert Purchase.of(team).get().kind == "card"


def test_a_member_who_may_read_sees_pending_transfers_and_cannot_touch_them(
    client: Client, team: Team
) -> None:
    actor = make_member(team, extra=[Permission.BILLING_WRITE])
    billing.begin_transfer(
        team=team,
        actor=SYSTEM.for_user(actor),
        amount_cents=2_500,
        idempotency_key="k",
        now=NOON,
    )
    client.force_login(make_member(team, extra=[Permission.BILLING_READ]))

    words = text(client.get(page("credits", team)))

    assert str(Purchase.of(team).get().transfer_reference) in words
    assert "Instructions" not in words


def test_why_nothing_is_invoiced_is_said(alice: Client, team: Team) -> None:
    give(team, 5)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=0, now=NOON)
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)

    words = text(alice.get(page("credits", team)))

    assert "An invoice of Larkspur Labs could not be collected" in words


# --- Topping up by itself


def test_without_a_card_on_file_it_cannot_be_switched_on(alice: Client, team: Team) -> None:
    words = text(alice.get(page("credits", team)))

    assert "It needs a payment method on file." in words
    assert "no payment method on file that could be charged" in top_up(alice, team)
    assert not TopUpRule.of(team).exists()


def test_it_is_switched_on_shown_and_switched_off(alice: Client, team: Team) -> None:
    keep_card(team)

    words = top_up(alice, team)

    assert "Auto top-up is on." in words
    assert (
        "Buys $1,250.50 of credits with the Visa ending 4242 when prepaid credits fall below "
        "$20.00" in words
    )
    assert "$0.00 of $2,500.00 this month" in words

    words = text(alice.post(page("top_up_off", team), follow=True))
    assert "Auto top-up is off." in words
    assert "Nothing is bought by itself." in words


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"amount": "24.99"}, "One top-up can be from $25.00 to $10,000.00."),
        ({"amount": ""}, "Enter an amount like 25 or 1,250.50."),
        ({"trigger": "1,5"}, "“1,5” is not an amount. Enter one like 25 or 1,250.50."),
        ({"trigger": "-5"}, "-5 is less than $0.00."),
        ({"trigger": "0"}, "Choose from $1.00 to $10,000.00."),
        ({"month_max": "20"}, "so nothing would ever be bought."),
        ({"month_max": "9" * 30}, f"{'9' * 30} is too much."),
    ],
)
def test_what_makes_no_sense_is_explained_in_the_dialog(
    alice: Client, team: Team, fields: dict[str, str], sentence: str
) -> None:
    keep_card(team)

    response = alice.post(page("top_up", team), {**RULE, **fields})

    assert sentence in text(response)
    assert 'id="top-up-edit" aria-labelledby="top-up-edit-title" open' in response.content.decode()
    assert not TopUpRule.of(team).exists()


def test_why_it_stopped_is_said_until_it_is_switched_on_again(alice: Client, team: Team) -> None:
    keep_card(team, DECLINES)
    top_up(alice, team)
    billing.run_top_ups(now=NOON)

    words = text(alice.get(page("credits", team)))

    assert "Stopped" in words
    assert "The bank declined the card." in words
    assert "The bank declined the card." not in top_up(alice, team)


def test_what_is_left_of_the_month_and_of_the_day_is_said(alice: Client, team: Team) -> None:
    keep_card(team)
    top_up(alice, team, amount="25", month_max="100")
    for _ in range(4):
        billing.run_top_ups(now=NOON)
        CreditGrant.of(team).update(remaining_ticks=0)

    words = text(alice.get(page("credits", team)))

    assert "$100.00 of $100.00 this month" in words
    assert "Nothing more is bought by itself before 1 April, 00:00 UTC." in words

    assert "1 of 5 top-ups in 24 hours is left." in top_up(alice, team, amount="25")


def test_no_two_fields_of_the_page_have_one_name_for_their_labels(
    alice: Client, team: Team
) -> None:
    keep_card(team)
    html = alice.get(page("credits", team)).content.decode()

    names = [part.split('"')[0] for part in html.split('<label for="')[1:]]

    assert names
    assert len(names) == len(set(names))


# --- Staff


def test_staff_need_the_permission_and_a_transfer_to_mark(staff: Client, team: Team) -> None:
    actor = SYSTEM.for_user(make_member(team))
    by_card = billing.begin(
        team=team, actor=actor, amount_cents=2_500, idempotency_key="k", now=NOON
    )

    answer = staff.post(reverse("admin:billing_purchase_arrived", args=[by_card.pk]))

    assert answer.status_code == 404
    assert "Mark as arrived" not in text(
        staff.get(reverse("admin:billing_purchase_change", args=[by_card.pk]))
    )
