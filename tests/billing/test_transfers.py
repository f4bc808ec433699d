"""Bank transfers: pending with instructions, credited once when they arrive, over after 10 days."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Team
from accounts.services import TeamClosedError, delete_team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import CreditGrant, Invoice, Purchase
from billing.rules import TICKS_PER_USD
from billing.services.transfers import business_days_after
from tests.billing.pages import page, text
from tests.factories import NOON, make_admin, make_team

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
STAFF = Actor(ActorKind.STAFF, "Sam Support")


@pytest.fixture
def by_hand(settings: Settings) -> None:
    """Have transfers go to a real account, where only staff see what arrives."""
    settings.PAYMENTS = "stripe"
    settings.BANK_TRANSFER_TO = ["Example Ltd", "IBAN DE89 3704 0044 0532 0130 00"]


def begin(team: Team, *, cents: int = 25_000, now: datetime = NOON, key: str = "") -> Purchase:
    actor = Actor.for_user(make_admin(team, name="Alice"))
    return billing.begin_transfer(
        team=team, actor=actor, amount_cents=cents, idempotency_key=key or str(uuid4()), now=now
    )


def subjects() -> list[str]:
    return [str(message.subject) for message in mail.outbox]


def credits_of(team: Team) -> int:
    return billing.balance(team, now=NOON).prepaid_ticks // TICKS_PER_USD


# --- Begun


def test_a_transfer_is_pending_and_gives_nothing_yet(team: Team) -> None:
    purchase = begin(team)

    assert purchase.status == Purchase.Status.PENDING
    assert purchase.lapses_at == NOON + 10 * DAY
    assert billing.pending_transfers(team, now=NOON) == [purchase]
    assert credits_of(team) == 0


def test_the_instructions_are_mailed_with_the_amount_tax_and_the_reference(
    team: Team, settings: Settings
) -> None:
    settings.TAX_PERCENT = Decimal(19)
    settings.BANK_TRANSFER_TO = ["Example Ltd", "IBAN DE89 3704 0044 0532 0130 00"]

    purchase = begin(team)

    assert subjects() == [f"Bank transfer {purchase.transfer_reference} for Larkspur Labs"]
    body = str(mail.outbox[0].body)
    assert "Amount: $297.50\n" in body
    assert f"Reference: {purchase.transfer_reference}\n" in body
    assert "To: Example Ltd\nIBAN DE89 3704 0044 0532 0130 00" in body
    assert "by 11 March 2026, 12:00 UTC" in body


def test_a_form_that_is_sent_twice_begins_one_transfer_and_mails_once(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    made = [
        billing.begin_transfer(
            team=team, actor=actor, amount_cents=25_000, idempotency_key="k", now=NOON
        )
        for _ in range(2)
    ]

    assert made[0] == made[1]
    assert Purchase.of(team).count() == 1
    assert len({message.to[0] for message in mail.outbox}) == len(mail.outbox)


def test_ten_are_awaited_at_most(team: Team) -> None:
    for _ in range(10):
        begin(team)

    with pytest.raises(billing.TransferError, match="10 bank transfers are pending"):
        begin(team)

    billing.cancel_transfer(purchase=Purchase.of(team).latest("pk"), actor=SYSTEM, now=NOON)
    begin(team)


def test_they_are_not_offered_without_an_account_to_send_them_to(
    team: Team, settings: Settings
) -> None:
    settings.PAYMENTS = "stripe"

    assert not billing.offers_transfers()
    with pytest.raises(billing.TransferError, match="not taken here"):
        begin(team)


# --- Arrived


@pytest.mark.parametrize(
    ("begun", "arrives"),
    [
        (datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 4, 9, tzinfo=UTC)),  # Monday
        (datetime(2026, 3, 5, 9, tzinfo=UTC), datetime(2026, 3, 9, 9, tzinfo=UTC)),  # Thursday
        (datetime(2026, 3, 6, 9, tzinfo=UTC), datetime(2026, 3, 10, 9, tzinfo=UTC)),  # Friday
        (datetime(2026, 3, 7, 9, tzinfo=UTC), datetime(2026, 3, 10, 9, tzinfo=UTC)),  # Saturday
    ],
)
def test_in_the_sandbox_it_arrives_after_two_business_days(
    team: Team, begun: datetime, arrives: datetime
) -> None:
    assert business_days_after(begun, 2) == arrives
    purchase = begin(team, now=begun)

    billing.run_transfers(now=arrives - timedelta(microseconds=1))
    assert credits_of(team) == 0

    billing.run_transfers(now=arrives)
    purchase.refresh_from_db()
    assert (purchase.status, purchase.paid_with) == ("succeeded", "Bank transfer")
    assert credits_of(team) == 250
    assert Invoice.of(team).get().total_cents == 25_000
    assert subjects()[-1] == "Receipt R-000001 of Larkspur Labs: $250.00"


@pytest.mark.usefixtures("by_hand")
def test_elsewhere_it_arrives_when_staff_say_so_and_once(team: Team) -> None:
    purchase = begin(team)
    billing.run_transfers(now=NOON + 5 * DAY)
    assert credits_of(team) == 0

    for _ in range(2):
        billing.transfer_arrived(purchase=purchase, actor=STAFF, now=NOON + 5 * DAY)

    assert credits_of(team) == 250
    assert CreditGrant.of(team).get().label == "Bought by Alice"
    event = AuditEvent.of(team).get(operation="BuyCredits")
    assert (event.actor_kind, event.actor_label) == ("staff", "Sam Support")


@pytest.mark.usefixtures("by_hand")
def test_money_that_comes_late_or_for_a_cancelled_transfer_can_still_be_credited(
    team: Team,
) -> None:
    late, cancelled = begin(team), begin(team, cents=10_000)
    billing.cancel_transfer(purchase=cancelled, actor=SYSTEM, now=NOON)
    billing.run_transfers(now=NOON + 10 * DAY)

    for purchase in (late, cancelled):
        billing.transfer_arrived(purchase=purchase, actor=STAFF, now=NOON + 12 * DAY)

    assert credits_of(team) == 350


def test_a_purchase_by_card_does_not_arrive(team: Team) -> None:
    actor = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2_500, idempotency_key="k", now=NOON
    )

    with pytest.raises(billing.TransferError, match="Only bank transfers"):
        billing.transfer_arrived(purchase=purchase, actor=STAFF, now=NOON)


def test_a_team_that_is_deleted_meanwhile_gets_nothing(team: Team) -> None:
    purchase = begin(team)
    delete_team(team=team, actor=SYSTEM, now=NOON)

    billing.run_transfers(now=NOON + 5 * DAY)
    with pytest.raises(TeamClosedError):
        billing.transfer_arrived(purchase=purchase, actor=STAFF, now=NOON)


# --- Over


@pytest.mark.usefixtures("by_hand")
def test_it_lapses_after_ten_days_and_the_team_is_told_once(team: Team) -> None:
    purchase = begin(team)

    billing.run_transfers(now=purchase.lapses_at - timedelta(microseconds=1))
    assert len(billing.pending_transfers(team, now=NOON)) == 1
    for _ in range(2):
        billing.run_transfers(now=purchase.lapses_at)

    purchase.refresh_from_db()
    assert purchase.status == Purchase.Status.EXPIRED
    assert billing.pending_transfers(team, now=purchase.lapses_at) == []
    told = f"Bank transfer {purchase.transfer_reference} for Larkspur Labs has lapsed"
    assert subjects().count(told) == 1


def test_what_has_arrived_cannot_be_cancelled(team: Team) -> None:
    purchase = begin(team)
    billing.transfer_arrived(purchase=purchase, actor=STAFF, now=NOON)

    with pytest.raises(billing.TransferError, match="has arrived"):
        billing.cancel_transfer(purchase=purchase, actor=SYSTEM, now=NOON)


# --- Pages


@pytest.mark.usefixtures("clock")
class TestPages:
    """What people see and send."""

    def test_the_dialog_begins_a_transfer_and_shows_how_to_pay(
        self, alice: Client, team: Team
    ) -> None:
        form = {"preset": "250", "pay_with": "transfer", "idempotency_key": str(uuid4())}
        response = alice.post(page("buy", team), form, follow=True)

        purchase = Purchase.of(team).get()
        words = text(response)
        assert response.redirect_chain[-1][0] == page("checkout", team, purchase.pk)
        assert str(purchase.transfer_reference) in words
        assert "To Sandbox Bank, an account that does not exist No money is to be sent" in words
        assert "A transfer takes 2 to 3 business days." in words
        assert 'name="number"' not in response.content.decode()

    def test_it_is_listed_as_pending_with_its_reference(self, alice: Client, team: Team) -> None:
        purchase = begin(team)

        words = text(alice.get(page("credits", team)))

        assert "Pending bank transfers" in words
        assert str(purchase.transfer_reference) in words

    def test_it_can_be_cancelled_once(self, alice: Client, team: Team) -> None:
        purchase = begin(team)

        for _ in range(2):
            alice.post(page("cancel_transfer", team, purchase.pk))

        purchase.refresh_from_db()
        assert (purchase.status, purchase.failure_code) == ("expired", "cancelled")
        assert AuditEvent.of(team).filter(operation="CancelTransfer", is_change=True).count() == 1
        assert "It was withdrawn" in text(alice.get(page("checkout", team, purchase.pk)))

    def test_another_teams_transfer_is_not_there(self, alice: Client, team: Team) -> None:
        purchase = begin(make_team())

        assert alice.post(page("cancel_transfer", team, purchase.pk)).status_code == 404
        purchase.refresh_from_db()
        assert purchase.status == Purchase.Status.PENDING

    def test_staff_mark_it_as_arrived_after_reading_what_that_does(
        self, staff: Client, team: Team
    ) -> None:
        purchase = begin(team)
        url = reverse("admin:billing_purchase_arrived", args=[purchase.pk])
        shown = staff.get(reverse("admin:billing_purchase_change", args=[purchase.pk]))
        assert url in shown.content.decode()
        assert str(purchase.transfer_reference) in text(staff.get(url))
        assert credits_of(team) == 0

        for _ in range(2):
            staff.post(url)

        assert credits_of(team) == 250
        event = AuditEvent.of(team).get(operation="BuyCredits")
        assert event.actor_label == "Sam Support"
