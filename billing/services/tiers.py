"""A team's tier: what it has paid in all, and what support gave it besides."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from accounts.actors import Actor
from accounts.models import Team
from audit import services as audit
from billing.models import BillingAccount
from billing.rules import HIGHEST_TIER, TIER_THRESHOLDS_TICKS, tier_of
from billing.services.accounts import lock_account


class NoSuchTierError(Exception):
    """A tier was asked for that there is not."""

    def __init__(self, tier: int) -> None:
        super().__init__(f"There is no tier {tier}. Tiers go from 0 to {HIGHEST_TIER}.")


@dataclass(frozen=True, slots=True)
class TierStanding:
    """The tier of a team, and what lifts it to the next."""

    paid_ticks: int
    least_tier: int

    @property
    def tier(self) -> int:
        return tier_of(self.paid_ticks, self.least_tier)

    @property
    def is_given(self) -> bool:
        """Whether support gave the team more than it has paid for."""
        return self.tier > tier_of(self.paid_ticks, 0)

    @property
    def next_tier(self) -> int | None:
        return None if self.tier == HIGHEST_TIER else self.tier + 1

    @property
    def next_ticks(self) -> int | None:
        """What has to be paid in all for the next tier; None at the highest."""
        return None if self.next_tier is None else TIER_THRESHOLDS_TICKS[self.next_tier]

    @property
    def missing_ticks(self) -> int:
        """What is still to be paid for the next tier."""
        return 0 if self.next_ticks is None else self.next_ticks - self.paid_ticks

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Every tier, and what has to be paid in all for it."""
        return list(enumerate(TIER_THRESHOLDS_TICKS))


def tier(team: Team) -> TierStanding:
    """Say where a team stands; one that has never used billing begins at the bottom."""
    account = BillingAccount.of(team).values_list("paid_ticks", "least_tier").first()
    return TierStanding(*(account or (0, 0)))


@transaction.atomic
def set_least_tier(*, team: Team, actor: Actor, tier: int, now: datetime) -> None:
    """Give a team a tier, whatever it has paid. Its next request feels it.

    Taking it back leaves the tier that the team has paid for. Raises NoSuchTierError.
    """
    if not 0 <= tier <= HIGHEST_TIER:
        raise NoSuchTierError(tier)
    account = lock_account(team)
    before = account.least_tier
    if tier == before:
        return
    account.least_tier = tier
    account.save(update_fields=["least_tier"])
    audit.record(
        team=team,
        actor=actor,
        operation="SetLeastTier",
        description=f"Changed the least tier of {team.name} to {tier}",
        target_type="billing account",
        target_id=str(account.pk),
        target_label=team.name,
        before={"least_tier": before},
        after={"least_tier": tier},
        now=now,
    )


def enter_payment(*, team: Team, amount_ticks: int) -> None:
    """Count what a team has just paid, under the lock that the caller holds on its account."""
    BillingAccount.of(team).update(paid_ticks=F("paid_ticks") + amount_ticks)
