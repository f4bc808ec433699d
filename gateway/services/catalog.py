"""What customers may ask for: models, their prices and limits, and where they run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from api_keys import services as api_keys
from api_keys.services import KeyIdentity
from billing.services import BillingItem, Prices
from gateway.models import SANDBOX_URL, Cluster, Deployment, InferenceModel
from gateway.services.refusals import model_denied


@dataclass(frozen=True, slots=True)
class Target:
    """One place where a model runs."""

    cluster: str
    base_url: str
    api_key_variable: str
    upstream_name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as customers may ask for it, with the prices and limits of this moment."""

    name: str
    owned_by: str
    created_at: datetime
    max_output_tokens: int
    prices: Prices
    targets: tuple[Target, ...]
    # By tier; see `InferenceModel`.
    requests_per_second: tuple[int, ...] = ()
    tokens_per_minute: tuple[int, ...] = ()


Catalog = Mapping[str, Offer]


def catalog() -> Catalog:
    """Read what can be asked for now: enabled models that some enabled cluster has."""
    return {
        model.name: Offer(
            model.name,
            model.owned_by,
            model.created_at,
            model.max_output_tokens,
            model.prices,
            tuple(_target(deployment) for deployment in model.deployments.all()),
            tuple(model.requests_per_second),
            tuple(model.tokens_per_minute),
        )
        for model in InferenceModel.objects.on_offer()
    }


def _target(deployment: Deployment) -> Target:
    cluster = deployment.cluster
    return Target(
        cluster.name,
        cluster.base_url.rstrip("/"),
        cluster.api_key_variable,
        deployment.upstream_name,
    )


def offers_for(key: KeyIdentity, offers: Catalog) -> Catalog:
    """Leave the models that a key may use."""
    return {name: o for name, o in offers.items() if _may_use(key, name)}


def find_offer(name: str, key: KeyIdentity, offers: Catalog) -> Offer:
    """Find one model for a key. Raises RefusedError when there is no such model."""
    offer = offers.get(name)
    if offer is None:
        raise model_denied(name, key, "model_not_found")
    if not _may_use(key, name):
        raise model_denied(name, key, "acl_denied")
    return offer


def _may_use(key: KeyIdentity, model: str) -> bool:
    return api_keys.acl_allows(key.terms.acls, model=model)


@transaction.atomic
def offer_in_sandbox(
    *,
    name: str,
    context_length: int,
    max_output_tokens: int,
    prices: Prices,
    clusters: Sequence[str],
    requests_per_second: Sequence[int] = (),
    tokens_per_minute: Sequence[int] = (),
    now: datetime,
) -> None:
    """Put a model on the price list, answered by the sandbox. One of that name is left alone."""
    model, _ = InferenceModel.objects.get_or_create(
        name=name,
        defaults={
            "owned_by": "sandbox",
            "context_length": context_length,
            "max_output_tokens": max_output_tokens,
            "requests_per_second": list(requests_per_second),
            "tokens_per_minute": list(tokens_per_minute),
            "created_at": now,
            **{f"{item}_price": prices.get(item, 0) for item in BillingItem},
        },
    )
    for priority, cluster_name in enumerate(clusters):
        cluster, _ = Cluster.objects.get_or_create(
            name=cluster_name, defaults={"base_url": SANDBOX_URL}
        )
        Deployment.objects.get_or_create(
            model=model,
            cluster=cluster,
            defaults={"upstream_name": name, "priority": priority},
        )
