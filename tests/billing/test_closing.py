"""The end of a team's account: what has to be paid first, what is forfeited, and clean books."""

from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from uuid_utils.compat import uuid7

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.consequences import BlockedError
from accounts.models import Team
from audit import services as audit
from billing import services as billing
from billing.models import (
    BillingAccount,
    BillingCycle,
    Charge,
    CreditGrant,
    Hold,
    Invoice,
    InvoiceSeries,
    LedgerEntry,
    Purchase,
)
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from billing.services import Card, HoldRequest, Settlement
from billing.services.closing import close_account
from tests.billing.spending import keep_card, make_invoiced_team, spend_ticks
from tests.factories import NOON, make_admin, make_funded_team, make_team
from tests.races import race

LATER = NOON + timedelta(minutes=5)


def grant(team: Team, ticks: int, *, key: str, days: int | None = None) -> CreditGrant:
    return billing.grant(
        team=team,
        actor=SYSTEM,
        kind=billing.GrantKind.PROMO,
        amount_ticks=ticks,
        label=key,
        idempotency_key=key,
        expires_at=None if days is None else NOON + timedelta(days=days),
        now=NOON,
    )


def hold(team: Team, ticks: int) -> HoldRequest:
    request = HoldRequest(uuid7(), team.pk, prompt_ticks=ticks, token_ticks=0, wanted_tokens=1)
    billing.reserve([request], now=NOON, until=LATER)
    return request


def settlement(request: HoldRequest, ticks: int) -> Settlement:
    lines = [Line(BillingItem.PROMPT_TEXT, ticks, 1)]
    return Settlement(request.request_id, request.team_id, "test", lines)


def begun(team: Team) -> Purchase:
    return billing.begin(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        amount_cents=2_500,
        idempotency_key="buy",
        now=NOON,
    )


def pay(purchase: Purchase) -> Purchase:
    card = Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="123")
    return billing.pay(purchase=purchase, actor=SYSTEM, card=card, now=LATER)


def close(team: Team) -> None:
    accounts.close_team(team=team, actor=SYSTEM, now=LATER)


def reasons(team: Team) -> list[str]:
    return [told.text for told in billing.closing(team, now=LATER) if told.blocks]


def differences() -> list[str]:
    return [str(difference) for difference in billing.differences()]


@pytest.mark.django_db
def test_all_credits_are_forfeited_by_opposite_entries_and_the_books_are_clean() -> None:
    team = make_funded_team(ticks=1_000)
    grant(team, 500, key="promo", days=9)
    request = hold(team, 300)
    billing.settle([settlement(request, 200)], now=NOON)

    told = [consequence.text for consequence in billing.closing(team, now=LATER)]
    close(team)

    assert told == ["$0.00000013 of credits are forfeited. They are not paid back."]
    assert not CreditGrant.of(team).exclude(remaining_ticks=0).exists()
    forfeits = LedgerEntry.of(team).filter(kind=LedgerEntry.Kind.FORFEIT)
    assert sorted(forfeits.values_list("amount_ticks", flat=True)) == [-1_000, -300]
    assert billing.balance(team, now=LATER).available_ticks == 0
    assert differences() == []
    event = audit.log(team).get(operation="CloseBillingAccount")
    assert event.before == {"credits_ticks": 1_300, "spending_limit_ticks": 0}
    assert event.after == {"credits_ticks": 0, "spending_limit_ticks": 0}


@pytest.mark.django_db
def test_what_has_expired_is_not_counted_as_forfeited() -> None:
    team = make_team()
    over = grant(team, 500, key="over", days=0)

    assert billing.closing(team, now=LATER) == []
    close(team)

    assert LedgerEntry.of(team).get(grant=over, amount_ticks=-500).kind == "expiry"
    assert differences() == []


@pytest.mark.django_db
def test_a_team_that_never_used_billing_closes() -> None:
    team = make_team()

    close(team)

    assert BillingAccount.of(team).get().held_ticks == 0
    assert differences() == []


@pytest.mark.django_db
def test_what_was_running_is_charged_to_nobody_however_late_it_is_told() -> None:
    team = make_funded_team(ticks=1_000)
    running, failing = hold(team, 400), hold(team, 100)
    assert "2 requests that are running will not be charged." in [
        consequence.text for consequence in billing.closing(team, now=NOON)
    ]

    close(team)
    [settled] = billing.settle([settlement(running, 350)], now=LATER)
    billing.release([failing.request_id], now=LATER)
    billing.renew([running.request_id], until=LATER + timedelta(hours=1))
    billing.sweep(now=LATER + timedelta(days=1))

    assert (settled.cost_ticks, settled.loss_ticks, settled.is_late) == (0, 350, True)
    assert not Charge.of(team).exists()
    assert set(Hold.of(team).values_list("state", flat=True)) == {"expired"}
    assert BillingAccount.of(team).get().held_ticks == 0
    assert differences() == []


@pytest.mark.django_db
def test_a_spending_limit_lets_nothing_more_in() -> None:
    team = make_funded_team(ticks=1_000)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10**12, now=NOON)

    close(team)

    request = HoldRequest(uuid7(), team.pk, prompt_ticks=1, token_ticks=1, wanted_tokens=1)
    [answer] = billing.reserve([request], now=LATER, until=LATER)
    assert isinstance(answer, billing.Refusal)


@pytest.mark.django_db
def test_an_unpaid_invoice_has_to_be_paid_first() -> None:
    team = make_funded_team(ticks=1_000)
    series = InvoiceSeries.objects.create(code="M", last_number=1)
    Invoice.across_teams.create(
        team=team,
        series=series,
        number=1,
        kind=Invoice.Kind.MONTH,
        issued_at=NOON,
        month=date(2026, 2, 1),
        seller={},
        buyer={},
        lines=[{"description": "Usage", "amount_cents": 1250}],
        subtotal_cents=1250,
        total_cents=1250,
    )

    assert reasons(team) == ["The invoice M-000001 over $12.50 is not paid. Pay it first."]
    with pytest.raises(BlockedError, match="M-000001"):
        close(team)

    team.refresh_from_db()
    assert team.closed_at is None
    assert CreditGrant.of(team).get().remaining_ticks == 1_000


@pytest.mark.django_db
def test_what_the_month_has_accrued_is_owed_too() -> None:
    team = make_team()
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10**12, now=NOON)
    request = hold(team, 5 * 10**10)
    billing.settle([settlement(request, 5 * 10**10)], now=NOON)
    assert BillingCycle.of(team).get().accrued_ticks == 5 * 10**10

    (reason,) = reasons(team)
    assert reason.startswith("$5.00 of usage is still to be invoiced and paid.")
    with pytest.raises(BlockedError):
        close(team)


@pytest.mark.django_db
def test_a_team_that_has_its_month_invoiced_and_pays_can_end_at_once() -> None:
    team = make_invoiced_team()
    spend_ticks(team, 5 * TICKS_PER_USD)
    keep_card(team)

    billing.close_now(team=team, actor=SYSTEM, now=LATER)
    assert reasons(team) == ["The invoice M-000001 over $5.00 is not paid. Pay it first."]
    billing.collect_due(now=LATER)
    close(team)

    assert differences() == []


@pytest.mark.django_db
def test_what_is_too_little_to_be_charged_is_waived() -> None:
    team = make_invoiced_team()
    spend_ticks(team, 3)
    april = datetime(2026, 4, 1, tzinfo=UTC)
    billing.close_months(now=april)
    spend_ticks(team, 49 * TICKS_PER_CENT, now=april)

    told = billing.closing(team, now=april)
    assert [(c.text, c.blocks) for c in told] == [
        ("$0.49 of usage is too little to be invoiced and is waived.", False)
    ]
    accounts.close_team(team=team, actor=SYSTEM, now=april)

    assert billing.close_months(now=april + timedelta(days=60)) == 0
    assert not Invoice.of(team).exists()
    assert differences() == []


@pytest.mark.django_db
def test_a_bank_transfer_that_has_not_come_holds_nothing_up() -> None:
    team = make_team()
    transfer = billing.begin(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        amount_cents=2_500,
        idempotency_key="transfer",
        kind=Purchase.Kind.TRANSFER,
        now=NOON,
    )

    (told,) = billing.closing(team, now=LATER)
    assert not told.blocks
    assert f"transfer {transfer.transfer_reference} over $25.00 is no longer waited" in told.text
    close(team)

    transfer.refresh_from_db()
    assert transfer.status == Purchase.Status.EXPIRED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", [Purchase.Status.PROCESSING, Purchase.Status.REQUIRES_ACTION])
def test_a_payment_under_way_has_to_end_first(status: Purchase.Status) -> None:
    team = make_team()
    purchase = begun(team)
    Purchase.of(team).filter(pk=purchase.pk).update(status=status)

    assert reasons(team) == [
        "A purchase of $25.00 is not decided yet. Finish it, or wait until it is."
    ]
    with pytest.raises(BlockedError):
        close(team)


@pytest.mark.django_db(transaction=True)
def test_a_purchase_that_was_not_paid_can_be_paid_no_more() -> None:
    team = make_team()
    purchase = begun(team)

    close(team)

    with pytest.raises(billing.PurchaseExpiredError):
        pay(purchase)
    assert not CreditGrant.of(team).exists()


@pytest.mark.django_db(transaction=True)
def test_a_payment_and_the_end_at_once_leave_no_money_in_a_closed_team() -> None:
    for _ in range(5):
        team = make_team()
        purchase = begun(team)

        race(partial(close, team), partial(pay, purchase))

        team.refresh_from_db()
        purchase.refresh_from_db()
        paid = purchase.status == Purchase.Status.SUCCEEDED
        left = sum(CreditGrant.of(team).values_list("remaining_ticks", flat=True))
        assert not (team.closed_at and left)
        assert paid or purchase.status == Purchase.Status.EXPIRED
        assert differences() == []


@pytest.mark.django_db(transaction=True)
def test_requests_and_the_end_at_once_leave_clean_books_and_no_charge_afterwards() -> None:
    for _ in range(5):
        team = make_funded_team(ticks=10_000)
        running = [hold(team, 100) for _ in range(5)]

        race(
            partial(close, team),
            *(partial(billing.settle, [settlement(each, 90)], now=LATER) for each in running),
            *(partial(hold, team, 100) for _ in range(5)),
        )

        assert not Hold.of(team).filter(state=Hold.State.LIVE).exists()
        assert billing.balance(team, now=LATER).available_ticks == 0
        assert differences() == []


@pytest.mark.django_db
def test_what_became_due_since_the_person_was_told_stops_it() -> None:
    team = make_team()
    purchase = begun(team)
    Purchase.of(team).filter(pk=purchase.pk).update(status=Purchase.Status.PROCESSING)

    with pytest.raises(BlockedError):
        close_account(team=team, actor=SYSTEM, now=LATER)


@pytest.mark.django_db
def test_verify_ledger_names_credits_in_a_closed_team_and_forfeits_in_an_open_one() -> None:
    closed, open_one = make_funded_team(ticks=1_000), make_funded_team(ticks=1_000)
    close(open_one)
    Team.objects.filter(pk=closed.pk).update(closed_at=NOON)
    Team.objects.filter(pk=open_one.pk).update(closed_at=None)

    found = differences()

    assert len(found) == 2
    assert any("the team is closed, but 1000 ticks of credits" in text for text in found)
    assert any("but the team is not closed" in text for text in found)
