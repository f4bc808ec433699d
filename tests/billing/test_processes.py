"""Eight processes at the same money: everything once, nothing negative, nobody waits for ever."""

import multiprocessing
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID

import pytest
from django.db import connection, connections
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team
from billing import services as billing
from billing.models import (
    BillingCycle,
    CreditGrant,
    Invoice,
    Payment,
    Purchase,
    Receivable,
    SandboxPayment,
    SandboxRefund,
)
from billing.rules import TICKS_PER_CENT, TICKS_PER_USD, BillingItem, Line
from billing.services import HoldRequest, Settlement
from billing.services.topup_rules import TopUpTerms
from tests.billing.spending import buy, card, keep_card, make_invoiced_team, spend_ticks
from tests.factories import NOON
from tests.servers import DEADLINE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 8
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


def _child(act: Callable[[], object], line: object, told: object) -> None:
    try:
        connections["default"].ensure_connection()
        line.wait(DEADLINE_SECONDS)  # type: ignore[attr-defined]
        act()
        told.put("")  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 -- the test looks at it
        told.put(repr(error))  # type: ignore[attr-defined]
    finally:
        connections.close_all()


def in_processes(acts: Sequence[Callable[[], object]]) -> None:
    """Run every act at once, each in a process of its own; fail if one of them raised."""
    # A child must not share the parent's.
    connections.close_all()
    connection.close_pool()  # type: ignore[attr-defined]
    line, told = FORK.Barrier(len(acts)), FORK.Queue()
    children = [FORK.Process(target=_child, args=(act, line, told), daemon=True) for act in acts]
    for child in children:
        child.start()
    errors = [told.get(timeout=DEADLINE_SECONDS) for _ in children]
    for child in children:
        child.join()
    assert not any(errors), errors


def assert_clean() -> None:
    assert list(billing.differences()) == []


def actor_of(team: Team) -> Actor:
    member = Membership.objects.filter(team=team).select_related("user").order_by("pk")[0]
    return Actor.for_user(member.user)


def test_two_clicks_and_every_job_pay_for_a_purchase_once() -> None:
    team = make_invoiced_team()
    actor = actor_of(team)

    def click() -> None:
        purchase = billing.begin(
            team=team, actor=actor, amount_cents=2_500, idempotency_key="form", now=NOON
        )
        billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)

    # The later clock gives up what seems to be on its way for too long.
    late = NOON + timedelta(minutes=6)
    jobs = [partial(billing.reconcile_all, now=now) for now in (NOON, NOON, late, late)]
    in_processes([*[click] * 4, *jobs])
    click()

    assert Purchase.of(team).get().status == Purchase.Status.SUCCEEDED
    assert SandboxPayment.objects.filter(status="succeeded").count() == 1
    assert CreditGrant.of(team).count() == Invoice.of(team).count() == 1
    assert_clean()


def test_the_close_and_the_collection_in_every_process_bill_and_charge_once() -> None:
    teams = [make_invoiced_team() for _ in range(6)]
    for team in teams:
        keep_card(team)
        spend_ticks(team, 3 * TICKS_PER_USD)

    def run() -> None:
        billing.close_months(now=APRIL)
        billing.collect_due(now=APRIL)

    in_processes([run] * PROCESSES)
    billing.collect_due(now=APRIL)

    assert Receivable.across_teams.filter(paid_at__isnull=False).count() == len(teams)
    assert Payment.across_teams.filter(status="succeeded").count() == len(teams)
    assert_clean()


def test_top_ups_in_every_process_buy_once() -> None:
    team = make_invoiced_team()
    keep_card(team)
    terms = TopUpTerms(trigger_cents=2_000, amount_cents=2_500, month_max_cents=50_000)
    billing.set_top_up(team=team, actor=actor_of(team), terms=terms, now=NOON)

    in_processes([partial(billing.run_top_ups, now=NOON)] * PROCESSES)

    assert Purchase.of(team).get().status == Purchase.Status.SUCCEEDED
    assert SandboxPayment.objects.count() == 1
    assert_clean()


def test_a_limit_lowered_while_requests_run_is_never_exceeded() -> None:
    team = make_invoiced_team(usd=50)

    def serve(seed: int) -> None:
        random = Random(seed)  # noqa: S311 -- no secret
        for _ in range(15):
            _request(team.pk, random, NOON, most=3 * TICKS_PER_USD)

    def lower() -> None:
        for dollars in range(49, 5, -1):
            try:
                billing.set_spending_limit(
                    team=team, actor=SYSTEM, limit_ticks=dollars * TICKS_PER_USD, now=NOON
                )
            except billing.SpendingLimitError:
                return

    in_processes([lower, *(partial(serve, seed) for seed in range(PROCESSES - 1))])

    standing = billing.balance(team, now=NOON)
    assert 0 < standing.accrued_ticks <= standing.spending_limit_ticks
    assert_clean()


def _request(team_id: UUID, random: Random, now: datetime, *, most: int) -> None:
    request = HoldRequest(uuid7(), team_id, random.randint(1, most), 0, 1)
    (answer,) = billing.reserve([request], now=now, until=now + timedelta(hours=1))
    if not isinstance(answer, billing.Ceiling):
        return
    lines = [Line(BillingItem.COMPLETION, random.randint(0, 2 * answer.hold_ticks), 1)]
    settlement = Settlement(request.request_id, team_id, "atlas", lines)
    act = random.choice(["settle", "settle", "twice", "release"])
    if act == "release":
        billing.release([request.request_id], now=now)
    else:
        billing.settle([settlement], now=now)
    if act == "twice":
        billing.settle([settlement], now=now)


def _limit(team: Team, random: Random, now: datetime) -> None:
    limit = random.randint(0, 20) * TICKS_PER_USD
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=limit, now=now)


def _refund(team: Team, random: Random, now: datetime) -> None:
    purchase = random.choice(list(Purchase.of(team).select_related("team").order_by("pk")[:2]))
    billing.refund(purchase=purchase, actor=actor_of(team), reason="Law", now=now)


def _close(_team: Team, _random: Random, _now: datetime) -> None:
    billing.close_months(now=APRIL)
    billing.collect_due(now=APRIL)


def _buy(team: Team, random: Random, now: datetime) -> None:
    actor = actor_of(team)
    purchase = billing.begin(
        team=team,
        actor=actor,
        amount_cents=700,
        idempotency_key=f"form {random.randint(1, 3)}",
        now=APRIL - timedelta(hours=1),
    )
    billing.pay(purchase=purchase, actor=actor, card=card(), now=now)


def _mend(_team: Team, _random: Random, now: datetime) -> None:
    billing.reconcile_all(now=now)
    billing.reconcile_refunds(now=now)
    billing.sweep(now=now)
    billing.expire_grants(now=now)


def _serve(team: Team, random: Random, now: datetime) -> None:
    _request(team.pk, random, now, most=4 * TICKS_PER_USD)


def test_a_storm_of_everything_over_the_end_of_a_month_leaves_books_that_agree() -> None:
    teams = [make_invoiced_team(usd=20) for _ in range(3)]
    for team in teams:
        keep_card(team)
        buy(team, cents=500)
        buy(team, cents=2_500)
    just_before = APRIL - timedelta(microseconds=1)

    def storm(seed: int) -> None:
        random = Random(seed)  # noqa: S311 -- no secret
        for _ in range(25):
            team, now = random.choice(teams), random.choice([just_before, APRIL])
            act = random.choice([_limit, _refund, _close, _buy, _mend, *[_serve] * 5])
            with suppress(billing.SpendingLimitError, billing.RefundError):
                act(team, random, now)

    in_processes([partial(storm, seed) for seed in range(PROCESSES)])

    assert_clean()
    taken = SandboxPayment.objects.filter(status="succeeded", amount_cents=700).count()
    assert taken == Purchase.across_teams.filter(amount_cents=700, status="succeeded").count() <= 9
    assert SandboxRefund.objects.count() == Invoice.across_teams.filter(kind="credit").count()
    # What was charged is either paid by credits or on exactly one invoice, to the tick.
    billing.close_months(now=MAY)
    for team in teams:
        billed = Invoice.of(team).filter(kind=Invoice.Kind.MONTH)
        cents = sum(billed.values_list("subtotal_cents", flat=True))
        accrued = sum(
            BillingCycle.of(team).exclude(invoice=None).values_list("accrued_ticks", flat=True)
        )
        assert abs(cents * TICKS_PER_CENT - accrued) <= billed.count() * TICKS_PER_CENT // 2
    assert_clean()
