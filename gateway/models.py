"""What the gateway can serve: clusters, models with their prices, and which cluster has which."""

import uuid
from typing import ClassVar, Final

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.scoping import TeamDoor, TeamOwned
from billing.services import HIGHEST_TIER, BillingItem, Prices

# A cluster with this address is the built-in sandbox model; see gateway.api.sandbox.
SANDBOX_URL: Final = "sandbox:"
# Ticks per token, $100,000 per million: so that no request can cost more than an int64 holds.
DEAREST: Final = MaxValueValidator(10**9)
TIERS: Final = HIGHEST_TIER + 1
BY_TIER: Final = "For tier 0, 1, 2 and so on, with commas. The last goes on; empty is any number."
ONE_PER_TIER: Final = f"there are {TIERS} tiers, so there can be {TIERS} numbers."


class Cluster(models.Model):
    """A named deployment of an inference server. Requests carry its name into usage."""

    name = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Small letters, digits and hyphens.")],
        help_text="For example us-east-1. Shown to customers in usage.",
    )
    base_url = models.CharField(
        max_length=300,
        validators=[RegexValidator(r"^(https?://\S+|sandbox:)$", "An http or https address.")],
        help_text="Where the OpenAI-compatible API begins, up to and including /v1.",
    )
    # The secret itself stays in the environment, out of the database and its backups.
    api_key_variable = models.CharField(
        max_length=80,
        blank=True,
        # Not any variable: whoever edits clusters must not be able to send our own secrets out.
        validators=[RegexValidator(r"^UPSTREAM_[A-Z0-9_]+$", "A name that begins with UPSTREAM_.")],
        help_text="The environment variable, UPSTREAM_…, with the key which this server asks for.",
    )
    is_enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(api_key_variable="") | Q(api_key_variable__startswith="UPSTREAM_"),
                name="cluster_key_variable_is_an_upstreams",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class InferenceModelQuerySet(models.QuerySet["InferenceModel"]):
    """Reads over the price list."""

    def on_offer(self) -> "InferenceModelQuerySet":
        """Keep what can be asked for now, by name: enabled models that some enabled cluster has.

        Their `deployments` are the enabled ones alone; the one that is asked first comes first.
        """
        enabled = Deployment.objects.filter(is_enabled=True, cluster__is_enabled=True)
        in_order = enabled.select_related("cluster").order_by("priority", "pk")
        return (
            self.filter(Exists(enabled.filter(model=OuterRef("pk"))), is_enabled=True)
            .prefetch_related(Prefetch("deployments", in_order))
            .order_by("name")
        )


class InferenceModel(models.Model):
    """A model that customers may ask for, and its price list in ticks per token.

    A price in "USD cents per 100 million tokens" is the same number.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    owned_by = models.CharField(max_length=60, blank=True)
    context_length = models.PositiveIntegerField(help_text="Tokens.")
    max_output_tokens = models.PositiveIntegerField(
        help_text="What a request that names no maximum is held for."
    )
    prompt_text_price = models.PositiveBigIntegerField(validators=[DEAREST])
    cached_prompt_text_price = models.PositiveBigIntegerField(validators=[DEAREST])
    prompt_image_price = models.PositiveBigIntegerField(validators=[DEAREST])
    completion_price = models.PositiveBigIntegerField(validators=[DEAREST])
    reasoning_price = models.PositiveBigIntegerField(validators=[DEAREST])
    # What one team may ask for.
    requests_per_second = ArrayField(
        models.PositiveIntegerField(validators=[MinValueValidator(1)]),
        default=list,
        blank=True,
        help_text=BY_TIER,
    )
    tokens_per_minute = ArrayField(
        models.PositiveBigIntegerField(validators=[MinValueValidator(1)]),
        default=list,
        blank=True,
        help_text=BY_TIER,
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = InferenceModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(max_output_tokens__gte=1), name="inference_model_may_answer"
            ),
            models.CheckConstraint(
                condition=Q(
                    prompt_text_price__lte=DEAREST.limit_value,
                    cached_prompt_text_price__lte=DEAREST.limit_value,
                    prompt_image_price__lte=DEAREST.limit_value,
                    completion_price__lte=DEAREST.limit_value,
                    reasoning_price__lte=DEAREST.limit_value,
                ),
                name="inference_model_prices_fit",
            ),
            models.CheckConstraint(
                condition=Q(requests_per_second__len__lte=TIERS),
                name="inference_model_requests_by_tier",
                violation_error_message=f"Requests per second: {ONE_PER_TIER}",
            ),
            models.CheckConstraint(
                condition=Q(tokens_per_minute__len__lte=TIERS),
                name="inference_model_tokens_by_tier",
                violation_error_message=f"Tokens per minute: {ONE_PER_TIER}",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def prices(self) -> Prices:
        return {
            BillingItem.PROMPT_TEXT: self.prompt_text_price,
            BillingItem.CACHED_PROMPT_TEXT: self.cached_prompt_text_price,
            BillingItem.PROMPT_IMAGE: self.prompt_image_price,
            BillingItem.COMPLETION: self.completion_price,
            BillingItem.REASONING: self.reasoning_price,
        }


class Deployment(models.Model):
    """One model on one cluster. Requests go to the first healthy one, in order of `priority`."""

    model = models.ForeignKey(InferenceModel, on_delete=models.CASCADE, related_name="deployments")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="deployments")
    upstream_name = models.CharField(
        max_length=200, help_text="What the inference server itself calls the model."
    )
    priority = models.PositiveSmallIntegerField(default=0)
    is_enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "cluster"], name="deployment_once_per_cluster"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} on {self.cluster}"


class TeamLimit(TeamOwned):
    """What support has agreed with one team about one model, in place of the tier's limits."""

    model = models.ForeignKey(InferenceModel, on_delete=models.CASCADE, related_name="+")
    # Empty: as the tier has it.
    requests_per_second = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    tokens_per_minute = models.PositiveBigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )

    of: ClassVar[TeamDoor[models.QuerySet["TeamLimit"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "model"], name="team_limit_once_per_model"),
            models.CheckConstraint(
                condition=Q(requests_per_second__isnull=False) | Q(tokens_per_minute__isnull=False),
                name="team_limit_is_a_limit",
                violation_error_message="Write one of the two numbers, or delete the team limit.",
            ),
        ]

    def __str__(self) -> str:
        # Without the team's name: Django's own log of the admin has this, and outlasts erasure.
        return f"{self.model} for one team"


class LimitRequest(TeamOwned):
    """What a team asked support for: higher limits of one model. Written once, never changed.

    Who asked is in the audit log, and why is in the mail alone: people write what they like there.
    Support answers with a TeamLimit, or by mail.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    model = models.ForeignKey(InferenceModel, on_delete=models.CASCADE, related_name="+")
    # Empty: the team is content with what it has.
    requests_per_second = models.PositiveIntegerField(null=True, blank=True)
    tokens_per_minute = models.PositiveBigIntegerField(null=True, blank=True)
    asked_at = models.DateTimeField()
    # A form that is sent twice asks once.
    idempotency_key = models.UUIDField()

    of: ClassVar[TeamDoor[models.QuerySet["LimitRequest"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], name="limit_request_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(requests_per_second__gte=1) | Q(tokens_per_minute__gte=1),
                name="limit_request_asks_for_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} for {self.team}"

    @property
    def wanted(self) -> str:
        """What is asked for, in words."""
        numbers = (
            (self.requests_per_second, "requests per second"),
            (self.tokens_per_minute, "tokens per minute"),
        )
        return " and ".join(f"{number:,} {noun}" for number, noun in numbers if number)


class RateWindow(TeamOwned):
    """What was let in lately, of one team, by one key or for one model.

    The lists hold [moment in microseconds since 1970, number] and change only under the lock of
    the team's billing account; see gateway.rates.
    """

    # As in TeamOwned, without an index of its own: the one below begins with the team.
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    subject = models.CharField(max_length=130)  # "key:<id>" or "model:<name>".
    second = models.JSONField(default=list)  # Requests of the last second.
    minute = models.JSONField(default=list)  # Requests of the last minute.
    tokens = models.JSONField(default=list)  # Tokens of the last minute.

    of: ClassVar[TeamDoor[models.QuerySet["RateWindow"]]] = TeamDoor()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "subject"], name="rate_window_once"),
        ]

    def __str__(self) -> str:
        return self.subject
