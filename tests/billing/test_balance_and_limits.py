"""The balance and the spending limit: each part explained, and no way round either."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import Team
from audit.models import AuditEvent
from billing import services as billing
from billing.models import BillingAccount, CreditGrant
from billing.rules import TICKS_PER_USD, BillingItem, Line
from tests.billing.spending import keep_card
from tests.factories import NOON, make_admin, make_funded_team, make_team

pytestmark = pytest.mark.django_db

STAFF = Actor(ActorKind.STAFF, "Sam Support")


def usd(amount: float) -> int:
    return round(amount * TICKS_PER_USD)


def set_limit(team: Team, dollars: float) -> None:
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=usd(dollars), now=NOON)


def hold(team: Team, dollars: float, now: datetime = NOON) -> UUID:
    request = billing.HoldRequest(uuid4(), team.pk, usd(dollars), 0, 1)
    [answer] = billing.reserve([request], now=now, until=now + timedelta(minutes=5))
    assert isinstance(answer, billing.Ceiling), answer
    return request.request_id


def spend(team: Team, dollars: float, now: datetime = NOON) -> None:
    lines = [Line(BillingItem.COMPLETION, 1, usd(dollars))]
    settlement = billing.Settlement(hold(team, dollars, now), team.pk, "m", lines)
    billing.settle([settlement], now=now)


def is_refused(team: Team, dollars: float = 0.01) -> bool:
    request = billing.HoldRequest(uuid4(), team.pk, usd(dollars), 0, 1)
    [answer] = billing.reserve([request], now=NOON, until=NOON + timedelta(minutes=5))
    return isinstance(answer, billing.Refusal)


def test_a_team_that_never_used_billing_has_nothing_and_may_be_invoiced_nothing() -> None:
    standing = billing.balance(make_team(), now=NOON)

    assert standing.available_ticks == standing.total_ticks == standing.spending_limit_ticks == 0
    assert standing.hard_limit_ticks == usd(2000)


def test_the_parts_of_the_balance_add_up_to_what_is_available() -> None:
    team = make_funded_team(usd="25")
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.FREE,
        amount_ticks=usd(10),
        label="Welcome",
        idempotency_key="w",
        now=NOON,
    )
    set_limit(team, 50)
    spend(team, 4)
    hold(team, 1)
    hold(team, 0.5)

    standing = billing.balance(team, now=NOON)

    assert standing.free_ticks == usd(6)
    assert standing.prepaid_ticks == usd(25)
    assert standing.invoice_left_ticks == usd(50)
    assert (standing.held_ticks, standing.held_requests) == (usd(1.5), 2)
    assert standing.available_ticks == usd(79.5)


def test_the_balance_is_read_in_one_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    team = make_funded_team(usd="25")

    with django_assert_num_queries(1):
        billing.balance(team, now=NOON)


def test_free_then_prepaid_then_the_invoice_pay_for_a_request() -> None:
    """The order of use in figures: $10 free, $25 prepaid, $50 limit; $40 spent."""
    team = make_funded_team(usd="25")
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.FREE,
        amount_ticks=usd(10),
        label="Welcome",
        idempotency_key="w",
        now=NOON,
    )
    set_limit(team, 50)

    spend(team, 40)

    standing = billing.balance(team, now=NOON)
    assert (standing.free_ticks, standing.prepaid_ticks) == (0, 0)
    assert standing.accrued_ticks == usd(5)
    assert standing.available_ticks == standing.invoice_left_ticks == usd(45)
    assert list(billing.differences()) == []


def test_a_limit_of_nothing_refuses_at_depletion_and_a_raise_is_in_force_at_once() -> None:
    team = make_funded_team(usd="5")
    spend(team, 5)
    assert is_refused(team)

    set_limit(team, 3)
    spend(team, 3)
    assert is_refused(team)

    set_limit(team, 4)
    spend(team, 1)
    assert is_refused(team)


def test_a_new_month_has_the_whole_limit_again() -> None:
    team = make_team()
    set_limit(team, 5)
    spend(team, 5, datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))

    april = datetime(2026, 4, 1, tzinfo=UTC)

    assert billing.balance(team, now=april - timedelta(seconds=1)).available_ticks == 0
    assert billing.balance(team, now=april).available_ticks == usd(5)


def test_a_limit_above_the_hard_limit_is_refused() -> None:
    team = make_team()

    with pytest.raises(billing.SpendingLimitError, match=r"\$2,000.01 is more than \$2,000.00"):
        set_limit(team, 2000.01)

    assert billing.balance(team, now=NOON).spending_limit_ticks == 0


def test_a_limit_below_what_is_accrued_or_promised_to_requests_in_flight_is_refused() -> None:
    team = make_funded_team(usd="1")
    set_limit(team, 50)
    spend(team, 31)
    hold(team, 2)

    with pytest.raises(billing.SpendingLimitError, match=r"less than \$32.00"):
        set_limit(team, 31.99)

    set_limit(team, 32)
    assert is_refused(team)


def test_a_hold_that_credits_cover_does_not_keep_the_limit_up() -> None:
    team = make_funded_team(usd="10")
    set_limit(team, 50)
    hold(team, 9)

    set_limit(team, 0)

    assert billing.balance(team, now=NOON).available_ticks == usd(1)


def test_a_change_of_the_limit_is_audited_with_before_and_after_and_no_change_is_not() -> None:
    team = make_team()

    for _ in range(2):
        set_limit(team, 50)

    event = AuditEvent.of(team).get()
    assert event.operation == "SetSpendingLimit"
    assert event.before == {"spending_limit_ticks": 0}
    assert event.after == {"spending_limit_ticks": usd(50)}


def test_a_hard_limit_under_what_is_accrued_stops_invoicing_and_takes_no_credits() -> None:
    team = make_team()
    set_limit(team, 50)
    spend(team, 30)
    billing.set_hard_limit(team=team, actor=STAFF, limit_ticks=usd(10), now=NOON)
    billing.grant(
        team=team,
        actor=STAFF,
        kind=CreditGrant.Kind.FREE,
        amount_ticks=usd(7),
        label="Sorry",
        idempotency_key="s",
        now=NOON,
    )

    standing = billing.balance(team, now=NOON)

    assert standing.spending_limit_ticks == usd(10)
    assert standing.invoice_left_ticks == 0
    assert standing.available_ticks == usd(7)
    assert not is_refused(team, 7)
    assert AuditEvent.of(team).get(operation="SetHardLimit").actor_label == "Sam Support"


def test_available_is_never_shown_below_zero() -> None:
    team = make_team()
    set_limit(team, 50)
    hold(team, 30)

    billing.set_hard_limit(team=team, actor=STAFF, limit_ticks=0, now=NOON)

    assert billing.balance(team, now=NOON).available_ticks == 0


def test_locking_accounts_makes_the_missing_ones_and_asks_once_for_all() -> None:
    teams = [make_team() for _ in range(5)]
    billing.lock_account(teams[0])

    with CaptureQueriesContext(connection) as queries:
        accounts = billing.lock_accounts([team.pk for team in teams])

    assert set(accounts) == {team.pk for team in teams}
    assert BillingAccount.across_teams.count() == 5
    assert len(queries) == 3


def test_a_customer_sets_a_limit_only_with_something_that_can_be_charged(team: Team) -> None:
    alice = Actor.for_user(make_admin(team))

    with pytest.raises(billing.SpendingLimitError, match="Add a payment method first"):
        billing.set_spending_limit(team=team, actor=alice, limit_ticks=1, now=NOON)
    keep_card(team)
    billing.set_spending_limit(team=team, actor=alice, limit_ticks=1, now=NOON)

    assert billing.balance(team, now=NOON).spending_limit_ticks == 1
