"""When a team's credits are topped up by themselves: the rule, its bounds, and when it rests."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from audit import services as audit
from billing import payments
from billing.models import Notice, Purchase, TopUpRule
from billing.rules import TICKS_PER_CENT, begin_of, cycle_of, months_later, usd_cents
from billing.services.accounts import lock_account
from billing.services.mails import send_mail
from billing.services.methods import default_method

LEAST_USD: Final = 25
LEAST_TRIGGER_USD: Final = 1
# So many in any 24 hours, whatever the month still allows: a leaked key shall not empty a card.
MOST_TOP_UPS_A_DAY: Final = 5
DAY: Final = timedelta(hours=24)
# From when on of the month's maximum somebody is told.
WARNED_PERCENT: Final = 80
# What has been bought by itself, or may yet turn out to be.
COUNTED: Final = (
    Purchase.Status.PENDING,
    Purchase.Status.PROCESSING,
    Purchase.Status.REQUIRES_ACTION,
    Purchase.Status.SUCCEEDED,
)
# After so many purchases in a row that did not reach the processor, some hours of them, a rule is
# switched off: somebody has to hear of it.
MOST_UNREACHED: Final = 12
# Why a rule was switched off without having tried a card.
NO_METHOD: Final = "no_method"


class TopUpRuleError(Exception):
    """A rule that cannot be; `field` names which of its numbers is why, if it is one of them."""

    def __init__(self, field: str | None, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class TopUpTerms:
    """Buy `amount` as soon as prepaid credits fall under `trigger`; at most `month_max` a month.

    All without tax.
    """

    trigger_cents: int
    amount_cents: int
    month_max_cents: int

    @classmethod
    def of(cls, rule: TopUpRule) -> "TopUpTerms":
        return cls(rule.trigger_cents, rule.amount_cents, rule.month_max_cents)

    @property
    def as_ticks(self) -> dict[str, int]:
        """As the audit log keeps them."""
        return {
            "trigger_ticks": self.trigger_cents * TICKS_PER_CENT,
            "amount_ticks": self.amount_cents * TICKS_PER_CENT,
            "month_max_ticks": self.month_max_cents * TICKS_PER_CENT,
        }


@dataclass(frozen=True, slots=True)
class TopUpStanding:
    """A rule, and what it has bought so far."""

    rule: TopUpRule
    month_cents: int  # In this UTC month.
    resets_on: date
    today: int  # In the last 24 hours.
    free_at: datetime | None  # When the oldest of these is a day ago, if no more are left.
    last_at: datetime | None

    @property
    def is_month_full(self) -> bool:
        return self.month_cents + self.rule.amount_cents > self.rule.month_max_cents

    @property
    def month_percent(self) -> int:
        """How much of the month's maximum is used; all, when it was lowered under that."""
        return min(100, 100 * self.month_cents // self.rule.month_max_cents)

    @property
    def is_month_warned(self) -> bool:
        return self.month_percent >= WARNED_PERCENT

    @property
    def left_today(self) -> int:
        return max(0, MOST_TOP_UPS_A_DAY - self.today)

    @property
    def may_buy(self) -> bool:
        return not self.is_month_full and self.left_today > 0

    @property
    def stopped_because(self) -> str:
        """Say why it was switched off, if a person has not done it."""
        code = self.rule.stopped_by
        if code == NO_METHOD:
            return "There is no payment method on file any more."
        return payments.reason(code) if code else ""


def top_up_bounds() -> tuple[int, int]:
    """Say the least and the most of one top-up, in cents."""
    return max(LEAST_USD, settings.PURCHASE_MIN_USD) * 100, settings.PURCHASE_MAX_USD * 100


def offers_top_up() -> bool:
    """Whether there are amounts to choose from; an operator may sell only less at once."""
    least, most = top_up_bounds()
    return least <= most


def top_up(team: Team, *, now: datetime) -> TopUpStanding | None:
    """Say how a team's rule stands; None where there never was one."""
    rule = TopUpRule.of(team).first()
    if rule is None:
        return None
    month = begin_of(cycle_of(now))
    bought = Purchase.of(team).filter(kind=Purchase.Kind.AUTO, status__in=COUNTED)
    recent = list(
        bought.filter(created_at__gte=min(month, now - DAY))
        .order_by("created_at")
        .values_list("created_at", "amount_cents")
    )
    today = [at for at, _ in recent if at > now - DAY]
    return TopUpStanding(
        rule,
        month_cents=sum(cents for at, cents in recent if at >= month),
        resets_on=months_later(month, 1).date(),
        today=len(today),
        free_at=today[-MOST_TOP_UPS_A_DAY] + DAY if len(today) >= MOST_TOP_UPS_A_DAY else None,
        last_at=bought.order_by("-created_at").values_list("created_at", flat=True).first(),
    )


@transaction.atomic
def set_top_up(*, team: Team, actor: Actor, terms: TopUpTerms, now: datetime) -> None:
    """Switch the rule on with these terms. It buys within a minute, if credits are low already.

    Raises TopUpRuleError for terms that are out of bounds, and while no method is on file.
    """
    if actor.user is None:
        raise TypeError("Only a person can have credits bought.")
    _check(terms)
    lock_account(team)
    if default_method(team) is None:
        raise TopUpRuleError(
            None,
            "There is no payment method on file that could be charged. Add one in the billing "
            "details, or buy credits by card once: the card is kept.",
        )
    before = _kept(TopUpRule.of(team).first())
    rule, _ = TopUpRule.across_teams.update_or_create(
        team=team,
        defaults={
            "is_on": True,
            "trigger_cents": terms.trigger_cents,
            "amount_cents": terms.amount_cents,
            "month_max_cents": terms.month_max_cents,
            "stopped_by": "",
            "set_by": actor.user,
            "changed_at": now,
        },
    )
    after = _kept(rule)
    if after != before:
        words = (
            f"Has {usd_cents(terms.amount_cents)} bought when prepaid credits fall below "
            f"{usd_cents(terms.trigger_cents)}, up to {usd_cents(terms.month_max_cents)} a month"
        )
        _record(team, actor, "SetTopUp", words, before=before, after=after, now=now)


@transaction.atomic
def switch_off_top_up(*, team: Team, actor: Actor, now: datetime) -> None:
    """Switch the rule off. What the processor was asked for already is still booked."""
    lock_account(team)
    _switch_off(team, actor, "Switched automatic top-ups off", stopped_by="", now=now)


def stop_top_up(*, team: Team, code: str, now: datetime) -> None:
    """Switch the rule off because a payment failed, and tell. Under the account's lock."""
    words = f"Switched automatic top-ups off: {payments.reason(code)}"
    if code == NO_METHOD:
        words = "Switched automatic top-ups off: no payment method is on file"
    if _switch_off(team, SYSTEM, words, stopped_by=code, now=now):
        standing = top_up(team, now=now)
        send_mail(team, "top_up_stopped", {"top_up": standing})


def stop_after_failure(*, team: Team, code: str, now: datetime) -> None:
    """Switch the rule off after a payment that failed. Under the account's lock.

    One that did not reach the processor says nothing about the card. Many in a row do about us.
    """
    rule = TopUpRule.of(team).filter(is_on=True).first()
    if rule is None:
        return
    bought = Purchase.of(team).filter(kind=Purchase.Kind.AUTO, created_at__gte=rule.changed_at)
    codes = bought.order_by("-created_at", "-pk").values_list("failure_code", flat=True)
    unreached = [payments.NOT_CHARGED] * MOST_UNREACHED
    if code != payments.NOT_CHARGED or list(codes[:MOST_UNREACHED]) == unreached:
        stop_top_up(team=team, code=code, now=now)


def warn_of_top_ups(*, team: Team, now: datetime) -> None:
    """Tell when little is left of what may be bought by itself. Under the account's lock."""
    standing = top_up(team, now=now)
    if standing is None:
        return
    told = []
    if standing.is_month_warned:
        told.append((Notice.Kind.TOP_UP_80, 0, "top_up_month"))
    if standing.left_today == 1:
        told.append((Notice.Kind.TOP_UP_LAST, now.astimezone(UTC).day, "top_up_last"))
    for kind, number, mail in told:
        _, is_news = Notice.across_teams.get_or_create(
            team=team, month=cycle_of(now), kind=kind, number=number, defaults={"sent_at": now}
        )
        if is_news:
            send_mail(team, mail, {"top_up": standing, "most_a_day": MOST_TOP_UPS_A_DAY})


def _check(terms: TopUpTerms) -> None:
    least, most = top_up_bounds()
    if not least <= terms.amount_cents <= most:
        raise TopUpRuleError(
            "amount", f"One top-up can be from {usd_cents(least)} to {usd_cents(most)}."
        )
    lowest = LEAST_TRIGGER_USD * 100
    if not lowest <= terms.trigger_cents <= most:
        raise TopUpRuleError("trigger", f"Choose from {usd_cents(lowest)} to {usd_cents(most)}.")
    if terms.month_max_cents < terms.amount_cents:
        raise TopUpRuleError(
            "month_max",
            f"{usd_cents(terms.month_max_cents)} is less than one top-up of "
            f"{usd_cents(terms.amount_cents)}, so nothing would ever be bought.",
        )


def _switch_off(team: Team, actor: Actor, words: str, *, stopped_by: str, now: datetime) -> bool:
    """Switch a rule off, if it is on, and write it down."""
    rule = TopUpRule.of(team).filter(is_on=True).first()
    if rule is None:
        return False
    before = _kept(rule)
    rule.is_on, rule.stopped_by, rule.changed_at = False, stopped_by, now
    rule.save(update_fields=["is_on", "stopped_by", "changed_at"])
    _record(team, actor, "SwitchOffTopUp", words, before=before, after=_kept(rule), now=now)
    return True


def _kept(rule: TopUpRule | None) -> dict[str, Any]:
    return {} if rule is None else {"is_on": rule.is_on, **TopUpTerms.of(rule).as_ticks}


def _record(
    team: Team,
    actor: Actor,
    operation: str,
    words: str,
    *,
    before: dict[str, Any],
    after: dict[str, Any],
    now: datetime,
) -> None:
    audit.record(
        team=team,
        actor=actor,
        operation=operation,
        description=words,
        target_type="top-up rule",
        target_id=str(team.pk),
        target_label=team.name,
        before=before,
        after=after,
        now=now,
    )
