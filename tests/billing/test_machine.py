"""Whatever happens to a team's money in whatever order, the books say what a simple model says."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM, Actor
from billing import services as billing
from billing.models import (
    BillingAccount,
    BillingCycle,
    CreditGrant,
    Invoice,
    Payment,
    PaymentMethod,
    Purchase,
    Receivable,
    TopUpRule,
)
from billing.rules import begin_of, cycle_of, month_after, months_later
from billing.services import BillingItem, HoldRequest, Line, Settlement, months
from billing.services.topup_rules import TopUpTerms
from tests.billing.model import CENT, Model, Pot
from tests.billing.spending import DECLINES, PAYS, card, keep_card
from tests.factories import NOON, make_admin, make_team

LASTING: Final = timedelta(minutes=10)
TICKS = st.one_of(
    st.integers(1, 3 * CENT), st.integers(1, 30_000 * CENT), st.sampled_from([CENT // 2, CENT])
)
# What a request uses: half of the time more than it can have held.
USED = st.booleans().flatmap(lambda is_more: st.just(10**7 * CENT) if is_more else TICKS)
# Of a hold: so many ticks, or so many more than all that is available.
Size = tuple[bool, int]
ALL: Final = (True, 0)
SIZE = st.one_of(
    st.tuples(st.just(False), TICKS),  # noqa: FBT003
    st.tuples(st.just(True), st.sampled_from([0, 1])),  # noqa: FBT003
)
CENTS = st.integers(500, 4_000)
LIMITS = st.integers(0, 40_000)
EXPIRY_MONTHS: Final = 2
MONTH_MAX_CENTS: Final = 7_500


class Money(RuleBasedStateMachine):
    """One team, its books, and the model of them."""

    requests: Bundle[UUID] = Bundle("requests")

    @initialize(bought=CENTS, limit=st.integers(1_000, 40_000))
    def begin(self, bought: int, limit: int) -> None:
        """Begin where most of what can go wrong is near: credits of every kind, a limit beyond."""
        self.team = make_team()
        self.actor = Actor.for_user(make_admin(self.team))
        keep_card(self.team)
        self.model = Model(NOON)
        billing.set_hard_limit(team=self.team, actor=SYSTEM, limit_ticks=10**6 * CENT, now=NOON)
        self.limit(cents=limit)
        self.grant(ticks=CENT, days=40, promo=False)
        self.grant(ticks=CENT, days=1, promo=True)
        for _ in range(2):
            self.buy(cents=bought, pays=True, twice=False)

    # --- What comes in ----------------------------------------------------------------------

    @rule(ticks=TICKS, days=st.sampled_from([None, 0, 1, 40]), promo=st.booleans())
    def grant(self, ticks: int, days: int | None, *, promo: bool) -> None:
        kind = billing.GrantKind.PROMO if promo else billing.GrantKind.FREE
        expires_at = None if days is None else self.model.now + timedelta(days=days, minutes=1)
        name = str(uuid7())
        billing.grant(
            team=self.team,
            actor=SYSTEM,
            kind=kind,
            amount_ticks=ticks,
            label="Given",
            idempotency_key=name,
            expires_at=expires_at,
            now=self.model.now,
        )
        self._came(name, ticks, expires_at, prepaid=False)

    @rule(cents=CENTS, pays=st.booleans(), twice=st.booleans())
    def buy(self, cents: int, *, pays: bool, twice: bool) -> None:
        purchase = billing.begin(
            team=self.team,
            actor=self.actor,
            amount_cents=cents,
            idempotency_key=str(uuid7()),
            now=self.model.now,
        )
        number = PAYS if pays else DECLINES
        for _ in range(1 + (twice and pays)):
            purchase = billing.pay(
                purchase=purchase, actor=self.actor, card=card(number), now=self.model.now
            )
        assert (purchase.status == Purchase.Status.SUCCEEDED) == pays
        if pays:
            self._bought(purchase)

    def _bought(self, purchase: Purchase) -> None:
        expires_at = months_later(self.model.now, EXPIRY_MONTHS)
        ticks = purchase.amount_cents * CENT
        self._came(purchase.grant_key, ticks, expires_at, prepaid=True)
        self.model.paid += ticks

    def _came(self, name: str, ticks: int, expires_at: datetime | None, *, prepaid: bool) -> None:
        self.model.pots.append(Pot(name, prepaid, len(self.model.pots), expires_at, ticks))

    @rule(trigger=st.integers(100, 5_000), twice=st.booleans())
    def top_up(self, trigger: int, *, twice: bool) -> None:
        """Switch the rule on, let the job run, and switch it off again."""
        model, amount = self.model, 2_500
        terms = TopUpTerms(trigger, amount, MONTH_MAX_CENTS)
        billing.set_top_up(team=self.team, actor=self.actor, terms=terms, now=model.now)
        for _ in range(1 + twice):
            of_month = [at for at in model.top_ups if cycle_of(at) == cycle_of(model.now)]
            of_day = [at for at in model.top_ups if at > model.now - timedelta(hours=24)]
            may = (len(of_month) + 1) * amount <= MONTH_MAX_CENTS and len(of_day) < 5
            buys = may and model.is_short(trigger * CENT)
            bought = Purchase.of(self.team).filter(kind=Purchase.Kind.AUTO, status="succeeded")
            before = bought.count()
            billing.run_top_ups(now=model.now)
            assert bought.count() == before + buys
            if buys:
                self._bought(bought.order_by("-pk")[0])
                model.top_ups.append(model.now)
        TopUpRule.of(self.team).update(is_on=False)

    # --- What goes out ----------------------------------------------------------------------

    @rule(target=requests, size=SIZE)
    def hold(self, size: Size) -> UUID:
        return self._hold(size)

    def _hold(self, size: Size) -> UUID:
        request = self._asks(size)
        until = self.model.now + LASTING
        (answer,) = billing.reserve([request], now=self.model.now, until=until)
        return self._held(request, answer)

    @rule(target=requests, ticks=USED, size=SIZE)
    def settle_and_hold(self, ticks: int, size: Size) -> UUID:
        """End a request that all there is was held for, and hold for another in the same batch."""
        request, now = self._hold(ALL), self.model.now
        with transaction.atomic():
            books = billing.Books.open([self.team.pk], requests=[request], now=now)
            if books.knows(request):
                lines = [Line(BillingItem.COMPLETION, ticks, 1)]
                books.settle([Settlement(request, self.team.pk, "atlas", lines)])
                self.model.settle(request, ticks)
            another = self._asks(size)
            answer = books.reserve(another, until=now + LASTING)
            books.write()
        return self._held(another, answer)

    def _asks(self, size: Size) -> HoldRequest:
        """Ask for so much, or for all that is available and so much more."""
        is_of_all, ticks = size
        wanted = max(1, self.model.available + ticks) if is_of_all else ticks
        return HoldRequest(uuid7(), self.team.pk, wanted, 0, 1)

    def _held(self, request: HoldRequest, answer: billing.Ceiling | billing.Refusal) -> UUID:
        fits = self.model.hold(request.request_id, request.prompt_ticks, LASTING)
        assert isinstance(answer, billing.Ceiling) == fits
        return request.request_id

    @rule(request=consumes(requests), ticks=TICKS, twice=st.booleans(), behind=st.booleans())
    def settle(self, request: UUID, ticks: int, *, twice: bool, behind: bool) -> None:
        if not billing.Books.open([self.team.pk], requests=[request], now=NOON).knows(request):
            return  # It was refused.
        lines = [Line(BillingItem.COMPLETION, ticks, 1)]
        # Whose clock is behind by a little, perhaps in a month that was closed meanwhile.
        now = self.model.now
        if behind and cycle_of(now - timedelta(seconds=1)) < self.model.open_month:
            now -= timedelta(seconds=1)
        for _ in range(1 + twice):
            settlement = Settlement(request, self.team.pk, "atlas", lines)
            (settled,) = billing.settle([settlement], now=now)
            if not settled.is_repeat:
                assert settled.cost_ticks == self.model.settle(request, ticks)

    @rule(request=consumes(requests))
    def release(self, request: UUID) -> None:
        billing.release([request], now=self.model.now)
        self.model.holds.pop(request, None)

    @rule(cents=LIMITS)
    def limit(self, cents: int) -> None:
        fits = self.model.allows_limit(cents * CENT)
        try:
            billing.set_spending_limit(
                team=self.team, actor=self.actor, limit_ticks=cents * CENT, now=self.model.now
            )
        except billing.SpendingLimitError:
            assert not fits
        else:
            assert fits
            self.model.limit = cents * CENT

    @precondition(lambda self: any(pot.is_prepaid for pot in self.model.pots))
    @rule(target=requests, data=st.data(), is_busy=st.booleans())
    def refund(self, data: st.DataObject, *, is_busy: bool) -> UUID | MultipleResults[UUID]:
        """Pay back a purchase, perhaps just after a request that all there is was held for."""
        begun: UUID | MultipleResults[UUID] = self._hold(ALL) if is_busy else multiple()
        pot = data.draw(st.sampled_from([pot for pot in self.model.pots if pot.is_prepaid]))
        purchase = Purchase.of(self.team).get(pk=pot.name.removeprefix("purchase:"))
        cents = self.model.refundable_cents(pot)
        try:
            refund = billing.refund(
                purchase=purchase, actor=self.actor, reason="Law", now=self.model.now
            )
        except billing.RefundError:
            assert not cents
        else:
            assert (refund.status, refund.amount_cents) == ("succeeded", cents)
            pot.left -= cents * CENT
            pot.is_refunded = True
        return begun

    # --- Time -------------------------------------------------------------------------------

    @rule(step=st.sampled_from([timedelta(seconds=1), timedelta(minutes=11), timedelta(days=9)]))
    def wait(self, step: timedelta) -> None:
        self.model.now += step

    @rule(after=st.sampled_from([-1, 0, 1]))
    def wait_for_the_next_month(self, after: int) -> None:
        first = begin_of(month_after(cycle_of(self.model.now)))
        self.model.now = max(self.model.now, first + timedelta(seconds=after))

    @rule()
    def sweep(self) -> None:
        billing.sweep(now=self.model.now)
        self.model.drop_lapsed()

    @rule()
    def expire(self) -> None:
        billing.expire_grants(now=self.model.now)
        self.model.expire()

    @rule(twice=st.booleans())
    def close(self, *, twice: bool) -> None:
        before = cycle_of(self.model.now)
        open_ones = BillingCycle.of(self.team).filter(month__lt=before, closed_at=None)
        for _ in range(1 + twice):
            # As the job: of teams that have such a month.
            if open_ones.exists():
                months.close(team=self.team, before=before, actor=SYSTEM, now=self.model.now)
            self.model.close(before)

    @rule()
    def close_now(self) -> None:
        billing.close_now(team=self.team, actor=self.actor, now=self.model.now)
        next_month = month_after(cycle_of(self.model.now))
        self.model.limit = 0
        self.model.open_month = max(self.model.open_month, next_month)
        self.model.close(next_month)

    @rule()
    def pay(self) -> None:
        unpaid = Invoice.of(self.team).unpaid().order_by("month").first()
        assert bool(unpaid) == self.model.pay_oldest()
        if unpaid:
            method = PaymentMethod.of(self.team).on_file()[0]  # A card entered anew is another.
            payment = billing.collect(
                target=unpaid, method=method, actor=self.actor, now=self.model.now
            )
            assert payment.status == Payment.Status.SUCCEEDED

    # --- What is always so ------------------------------------------------------------------

    @invariant()
    def agree(self) -> None:
        model = self.model
        balance = billing.balance(self.team, now=model.now)
        assert balance.free_ticks == model.credits(prepaid=False)
        assert balance.prepaid_ticks == model.credits(prepaid=True)
        assert balance.held_ticks == model.held
        assert (balance.charged_ticks, balance.accrued_ticks) == (
            model.charged,
            model.accrued,
        )
        assert balance.invoice_left_ticks == model.invoice_left
        assert balance.available_ticks == model.available
        left = CreditGrant.of(self.team).values_list("idempotency_key", "remaining_ticks")
        assert dict(left) == {pot.name: pot.left for pot in model.pots}
        billed = (
            Receivable.of(self.team)
            .order_by("invoice__month")
            .values_list("invoice__month", "invoice__subtotal_cents", "paid_at")
        )
        assert [(month, cents, bool(at)) for month, cents, at in billed] == model.invoices
        assert BillingAccount.of(self.team).get().paid_ticks == model.paid

    def teardown(self) -> None:
        if hasattr(self, "team"):
            assert list(billing.differences()) == []


@pytest.fixture
def short_lived(settings: Settings) -> None:
    settings.PREPAID_EXPIRY_MONTHS = EXPIRY_MONTHS
    settings.PURCHASE_MIN_USD = 5


@pytest.mark.django_db
@pytest.mark.usefixtures("short_lived")
def test_the_books_agree_with_a_simple_model_whatever_happens() -> None:
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=24,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
