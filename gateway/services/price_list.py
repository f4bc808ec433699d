"""The price list as one team reads it: what it may ask for, at what price and how often."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from accounts.models import Team
from billing.services import BillingItem
from gateway.models import InferenceModel, TeamLimit
from gateway.rates import Limits, limits_of

# Prices are of one token, and nobody reads those.
TOKENS_PRICED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """One model of the price list, as one team may use it."""

    model: InferenceModel
    clusters: Sequence[str]  # The one that is asked first comes first.
    limits: Limits
    next_limits: Limits  # A tier higher.
    agreed: TeamLimit | None

    @property
    def prices(self) -> list[int]:
        """What a million tokens of each billing item cost, in ticks."""
        return [self.model.prices.get(item, 0) * TOKENS_PRICED for item in BillingItem]


def price_list(team: Team, *, tier: int) -> list[Listing]:
    """List what can be asked for now, by name: enabled models that some enabled cluster has."""
    agreed = {limit.model_id: limit for limit in TeamLimit.of(team)}
    listed = []
    for model in InferenceModel.objects.on_offer():
        clusters = [deployment.cluster.name for deployment in model.deployments.all()]
        mine = agreed.get(model.pk)
        limits, higher = (limits_of(model, of, mine) for of in (tier, tier + 1))
        listed.append(Listing(model, clusters, limits, higher, mine))
    return listed
