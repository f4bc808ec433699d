"""Refunds in the admin: what would be paid back, by whom it may be, and what is booked then."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from billing import services as billing
from billing.models import Invoice, Purchase, Refund
from billing.rules import TICKS_PER_USD
from tests.accounts.people import make_person
from tests.billing.spending import DECLINES, PAYS, buy, spend_ticks
from tests.billing.test_refunds import transferred
from tests.factories import make_admin
from tests.support.door import enter

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def refund_page(purchase: Purchase) -> str:
    return reverse("admin:billing_refund_make", args=[purchase.pk])


def test_staff_see_what_is_paid_back_and_pay_it_back(staff: Client, team: Team) -> None:
    purchase = buy(team)
    looked_up = staff.get(reverse("admin:billing_purchase_change", args=[purchase.pk]))
    assert refund_page(purchase) in looked_up.text
    assert "<strong>$25.00</strong> can be paid back" in staff.get(refund_page(purchase)).text

    answer = staff.post(refund_page(purchase), {"reason": "Withdrawn"}, follow=True)

    assert "Paid back. The team has a credit note." in answer.text
    assert Refund.of(team).get().made_by.name == "Sam Support"
    assert Invoice.of(team).filter(kind=Invoice.Kind.CREDIT).count() == 1
    looked_up = staff.get(reverse("admin:billing_purchase_change", args=[purchase.pk]))
    assert refund_page(purchase) not in looked_up.text
    again = staff.post(refund_page(purchase), {"reason": "Withdrawn"}, follow=True)
    assert "refunded before, which is possible once" in again.text
    assert list(billing.differences()) == []


def test_a_refund_needs_a_reason(staff: Client, team: Team) -> None:
    purchase = buy(team)

    answer = staff.post(refund_page(purchase), {"reason": ""})

    assert "This field is required." in answer.text
    assert not Refund.of(team).exists()


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        ("paid", Refund.Status.SUCCEEDED, "The team has a credit note."),
        ("failed", Refund.Status.FAILED, "The credits are with the team."),
    ],
)
def test_a_bank_transfer_is_settled_by_hand(
    staff: Client, team: Team, outcome: str, status: Refund.Status, told: str
) -> None:
    purchase = transferred(team)
    answer = staff.post(refund_page(purchase), {"reason": "Withdrawn"}, follow=True)
    assert "The money is on its way." in answer.text
    refund = Refund.of(team).get()
    settle = reverse("admin:billing_refund_settle", args=[refund.pk])
    assert settle in answer.text
    shown = staff.get(settle).text
    assert str(purchase.transfer_reference) in shown
    assert f'name="{outcome}"' in shown

    answer = staff.post(settle, {outcome: "The words of the button"}, follow=True)

    assert told in answer.text
    refund.refresh_from_db()
    assert refund.status == status
    assert list(billing.differences()) == []


@pytest.mark.parametrize(
    ("spent_usd", "number", "told"),
    [
        (0, DECLINES, "This purchase was not paid"),
        (25, PAYS, "Nothing of this purchase can be paid back"),
    ],
)
def test_a_refund_is_offered_only_where_something_can_be_paid_back(
    staff: Client, team: Team, spent_usd: int, number: str, told: str
) -> None:
    purchase = buy(team, number=number)
    if spent_usd:
        spend_ticks(team, spent_usd * TICKS_PER_USD)

    looked_up = staff.get(reverse("admin:billing_purchase_change", args=[purchase.pk]))
    answer = staff.get(refund_page(purchase), follow=True)

    assert refund_page(purchase) not in looked_up.text
    assert told in looked_up.text
    assert told in answer.text


def test_a_refund_is_not_offered_to_staff_who_may_not_make_one(client: Client, team: Team) -> None:
    purchase = buy(team)
    sam = make_person("Sam", is_staff=True)
    sam.user_permissions.add(Permission.objects.get(codename="view_purchase"))
    enter(client, sam)

    looked_up = client.get(reverse("admin:billing_purchase_change", args=[purchase.pk]))

    assert looked_up.status_code == 200
    assert refund_page(purchase) not in looked_up.text


def test_no_customer_comes_here(client: Client, team: Team) -> None:
    purchase = buy(team)
    client.force_login(make_admin(team))

    assert client.post(refund_page(purchase), {"reason": "Mine"}).status_code != 200
    assert not Refund.of(team).exists()
