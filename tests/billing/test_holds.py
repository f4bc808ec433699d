"""Hold, then settle: a true ceiling, once, in the right order, and never into the red."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team
from billing import services as billing
from billing.models import BillingAccount, BillingCycle, Charge, CreditGrant, Hold, LedgerEntry
from billing.rules import TICKS_PER_USD, begin_of
from billing.services import Ceiling, Refusal
from tests.billing.holding import LATER, ask, assert_clean, reserve, settle, used
from tests.billing.spending import make_invoiced_team
from tests.factories import NOON, make_funded_team, make_team
from tests.races import race

pytestmark = pytest.mark.django_db


def give(team: Team, kind: CreditGrant.Kind, ticks: int, *, days: int | None = None) -> CreditGrant:
    return billing.grant(
        team=team,
        actor=SYSTEM,
        kind=kind,
        amount_ticks=ticks,
        label="Credits",
        idempotency_key=str(uuid7()),
        expires_at=NOON + timedelta(days=days) if days is not None else None,
        now=NOON,
    )


def remaining(*grants: CreditGrant) -> list[int]:
    for credit in grants:
        credit.refresh_from_db()
    return [credit.remaining_ticks for credit in grants]


def available(team: Team) -> int:
    return billing.balance(team, now=NOON).available_ticks


def test_what_is_held_cannot_be_held_again() -> None:
    team = make_funded_team(ticks=15)

    first, second = ask(team), ask(team)

    assert reserve(first) == Ceiling(10, 10)
    assert reserve(second) == Ceiling(5, 5), "only as many tokens as the rest pays for"
    assert reserve(ask(team)) == Refusal.CREDITS_EXHAUSTED
    assert_clean()


def test_settling_charges_what_it_cost_and_frees_the_rest() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)

    settled = settle(used(team, request.request_id, (3, 1)))

    assert (settled.cost_ticks, settled.loss_ticks) == (3, 0)
    assert available(team) == 97
    assert_clean()


def test_settling_twice_charges_once() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)
    first = settle(used(team, request.request_id, (3, 1)))

    second = settle(used(team, request.request_id, (3, 1)))

    assert second.is_repeat
    assert second.cost_ticks == first.cost_ticks
    assert available(team) == 97
    assert_clean()


def test_what_the_upstream_reports_beyond_the_hold_is_the_operators_loss() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)

    settled = settle(used(team, request.request_id, (8, 1), (5, 1)))

    assert (settled.cost_ticks, settled.loss_ticks) == (10, 3)
    assert [ticks for _, _, ticks in settled.items] == [8, 2]
    assert Charge.of(team).get().loss_ticks == 3
    assert_clean()


def test_a_released_hold_costs_nothing() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)

    billing.release([request.request_id], now=NOON)
    billing.release([request.request_id], now=NOON)

    assert available(team) == 100
    assert Hold.of(team).get().state == Hold.State.RELEASED
    assert_clean()


def test_a_lapsed_hold_is_given_back_and_charges_nothing_afterwards() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)

    assert billing.sweep(now=LATER - timedelta(seconds=1)) == 0
    assert billing.sweep(now=LATER) == 1
    settled = settle(used(team, request.request_id, (4, 1)))

    assert (settled.cost_ticks, settled.loss_ticks) == (0, 4)
    assert available(team) == 100
    assert_clean()


def test_a_renewed_hold_does_not_lapse() -> None:
    team = make_funded_team(ticks=100)
    request = ask(team)
    reserve(request)

    billing.renew([request.request_id], until=LATER + timedelta(minutes=1))

    assert billing.sweep(now=LATER) == 0


def test_a_team_is_not_turned_away_for_holds_that_a_crash_left_behind() -> None:
    team = make_funded_team(ticks=10)
    reserve(ask(team))

    answer = billing.reserve([ask(team)], now=LATER, until=LATER + timedelta(minutes=2))

    assert answer == [Ceiling(10, 10)]
    assert_clean()


def test_credits_are_used_free_and_promo_first_by_expiry_then_prepaid_by_age() -> None:
    team = make_team()
    prepaid = give(team, CreditGrant.Kind.PREPAID, 10, days=1)
    free = give(team, CreditGrant.Kind.FREE, 10)
    late = give(team, CreditGrant.Kind.PROMO, 10, days=9)
    soon = give(team, CreditGrant.Kind.PROMO, 10, days=2)
    left = []

    for _ in range(4):
        request = ask(team, tokens=9)
        reserve(request)
        settle(used(team, request.request_id, (9, 1)))
        left.append(remaining(soon, late, free, prepaid))

    assert left == [[1, 10, 10, 10], [0, 2, 10, 10], [0, 0, 3, 10], [0, 0, 0, 4]]
    assert_clean()


def test_beyond_credits_the_months_invoice_pays_up_to_the_spending_limit() -> None:
    team = make_funded_team(ticks=5)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=TICKS_PER_USD, now=NOON)
    request = ask(team, tokens=8)
    reserve(request)

    settle(used(team, request.request_id, (8, 1)))

    balance = billing.balance(team, now=NOON)
    assert (balance.prepaid_ticks, balance.accrued_ticks) == (0, 3)
    assert balance.available_ticks == TICKS_PER_USD - 3
    assert reserve(ask(team, prompt=TICKS_PER_USD)) == Refusal.SPENDING_LIMIT_REACHED
    assert_clean()


def test_what_one_request_adds_to_the_invoice_counts_for_the_next_of_its_batch() -> None:
    team = make_invoiced_team(usd=1)
    first, second = (ask(team, prompt=TICKS_PER_USD, token=0) for _ in range(2))
    reserve(first)

    with transaction.atomic():
        books = billing.Books.open([team.pk], requests=[first.request_id], now=NOON)
        books.settle([used(team, first.request_id, (TICKS_PER_USD, 1))])
        answer = books.reserve(second, until=LATER)
        books.write()

    assert answer == Refusal.SPENDING_LIMIT_REACHED
    assert_clean()


def test_a_new_month_has_its_own_invoice() -> None:
    team = make_team()
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10, now=NOON)
    request = ask(team)
    reserve(request)
    settle(used(team, request.request_id, (10, 1)))
    april = NOON + timedelta(days=31)

    assert reserve(ask(team)) == Refusal.SPENDING_LIMIT_REACHED
    assert billing.reserve([ask(team)], now=april, until=april) == [Ceiling(10, 10)]
    assert_clean()


def test_a_clock_that_is_behind_adds_nothing_to_a_month_that_is_closed() -> None:
    team = make_team()
    april = begin_of(date(2026, 4, 1))
    before = april - timedelta(microseconds=1)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10, now=before)
    request = ask(team)
    billing.reserve([request], now=before, until=april + timedelta(minutes=2))
    BillingAccount.of(team).update(open_month=april.date())

    billing.settle([used(team, request.request_id, (10, 1))], now=before)

    assert Charge.of(team).get().charged_at == april
    assert BillingCycle.of(team).get().month == april.date()
    assert LedgerEntry.of(team).get(kind="charge").month == april.date()
    assert billing.balance(team, now=before).accrued_ticks == 10
    assert billing.reserve([ask(team)], now=before, until=april) == [
        Refusal.SPENDING_LIMIT_REACHED
    ], "what the next month carries already counts"
    assert_clean()


def test_teams_with_different_open_months_share_a_batch() -> None:
    ahead, behind = make_team(), make_team()
    for team in (ahead, behind):
        billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10, now=NOON)
    BillingAccount.of(ahead).update(open_month=date(2026, 4, 1))
    requests = {team: ask(team, tokens=4) for team in (ahead, behind)}
    billing.reserve(list(requests.values()), now=NOON, until=LATER)

    billing.settle(
        [used(team, request.request_id, (4, 1)) for team, request in requests.items()], now=NOON
    )

    assert BillingCycle.of(ahead).get().month == date(2026, 4, 1)
    assert BillingCycle.of(behind).get().month == date(2026, 3, 1)
    assert_clean()


def test_an_overdue_invoice_stops_invoicing_and_leaves_credits_alone() -> None:
    team = make_funded_team(ticks=5)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=TICKS_PER_USD, now=NOON)
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)

    assert available(team) == 5
    assert reserve(ask(team)) == Ceiling(5, 5)
    assert reserve(ask(team)) == Refusal.INVOICE_OVERDUE


def test_a_grant_that_expires_mid_request_still_pays_for_what_it_stood_behind() -> None:
    team = make_team()
    promo = give(team, CreditGrant.Kind.PROMO, 10, days=1)
    request = ask(team)
    reserve(request)
    after_expiry = NOON + timedelta(days=2)

    settled = billing.settle([used(team, request.request_id, (10, 1))], now=after_expiry)

    assert settled[0].cost_ticks == 10
    assert remaining(promo) == [0]
    assert billing.reserve([ask(team)], now=after_expiry, until=after_expiry) == [
        Refusal.CREDITS_EXHAUSTED
    ]
    assert_clean()


def test_a_free_model_is_still_behind_the_gate() -> None:
    broke, funded = make_team(), make_funded_team(ticks=1)

    assert reserve(ask(broke, token=0)) == Refusal.NEVER_FUNDED
    assert reserve(ask(funded, token=0)) == Ceiling(0, 10)


def test_a_prompt_that_cannot_be_paid_is_refused_whole() -> None:
    team = make_funded_team(ticks=10)

    assert reserve(ask(team, prompt=10)) == Refusal.CREDITS_EXHAUSTED
    assert reserve(ask(team, prompt=9)) == Ceiling(10, 1)


def test_one_batch_serves_many_teams_and_each_sees_only_its_own_credits() -> None:
    teams = [make_funded_team(ticks=10) for _ in range(3)]
    requests = [ask(team, tokens=6) for team in teams for _ in range(2)]

    answers = billing.reserve(requests, now=NOON, until=LATER)

    assert answers == [Ceiling(6, 6), Ceiling(4, 4)] * 3
    assert_clean()


def test_the_ledger_explains_every_tick() -> None:
    team = make_funded_team(ticks=100)
    for tokens in (1, 2, 3):
        request = ask(team)
        reserve(request)
        settle(used(team, request.request_id, (tokens, 7)))

    entries = LedgerEntry.of(team).order_by("id").values_list("amount_ticks", flat=True)

    assert sorted(entries) == [-10, -10, -7, 100], "the hold caps 14 and 21 at 10"
    assert available(team) == sum(entries)


def test_a_batch_costs_as_many_queries_as_a_single_request() -> None:
    team = make_funded_team(ticks=10_000)

    def queries(count: int) -> int:
        requests = [ask(team) for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            billing.reserve(requests, now=NOON, until=LATER)
            billing.settle([used(team, r.request_id, (1, 1)) for r in requests], now=NOON)
        return len(captured)

    assert queries(50) == queries(1)


@pytest.mark.django_db(transaction=True)
def test_eight_threads_cannot_spend_more_than_there_is() -> None:
    team = make_funded_team(ticks=20 * 7)
    answers: list[Ceiling | Refusal] = []

    def spend() -> None:
        for _ in range(25):
            request = ask(team, token=7, tokens=1)
            answer = reserve(request)
            answers.append(answer)
            if isinstance(answer, Ceiling):
                settle(used(team, request.request_id, (1, 7)))

    assert race(*[spend] * 8) == [None] * 8
    assert sum(isinstance(answer, Ceiling) for answer in answers) == 20
    assert available(team) == 0
    assert BillingAccount.of(team).get().held_ticks == 0
    assert_clean()


@pytest.mark.django_db(transaction=True)
def test_batches_that_share_teams_in_any_order_do_not_deadlock() -> None:
    teams = [make_funded_team(ticks=10_000) for _ in range(4)]

    def work(order: Sequence[Team]) -> None:
        for _ in range(10):
            requests = [ask(team) for team in order]
            billing.reserve(requests, now=NOON, until=LATER)
            billing.settle(
                [used(t, r.request_id, (1, 1)) for t, r in zip(order, requests, strict=True)],
                now=NOON,
            )

    orders = [teams, teams[::-1], teams[2:] + teams[:2], teams[1::2] + teams[::2]]

    assert race(*[partial(work, order) for order in orders]) == [None] * 4
    assert [available(team) for team in teams] == [10_000 - 40] * 4
    assert_clean()
