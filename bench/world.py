"""What the benchmark needs of the console's own data. Runs inside Django, by `manage.py shell`."""

from typing import Any

from django.db import connection
from django.utils import timezone

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import Team, User
from api_keys import services as api_keys
from billing import services as billing
from billing.models import Charge, CreditGrant, Hold
from gateway.models import Cluster, Deployment, InferenceModel
from usage.models import UsageEvent

EMAIL = "bench@example.test"
CREDITS_TICKS = 10**16  # A million dollars: no request is refused.


def make(base_url: str) -> dict[str, Any]:
    """Make a team with plenty of credits, its key, and a priced model on the given upstream."""
    now = timezone.now()
    user = User.objects.create_user(EMAIL)
    actor = Actor.for_user(user)
    team = accounts.create_team(name="Bench", owner=user, actor=actor, now=now)
    billing.grant(
        team=team,
        actor=SYSTEM,
        kind=CreditGrant.Kind.PREPAID,
        amount_ticks=CREDITS_TICKS,
        label="Bench",
        idempotency_key="bench",
        expires_at=None,
        now=now,
    )
    key = api_keys.create(team=team, actor=actor, owner=user, name="bench", now=now)
    model = InferenceModel.objects.create(
        name="bench",
        context_length=131_072,
        max_output_tokens=4_096,
        prompt_text_price=20_000,
        cached_prompt_text_price=5_000,
        prompt_image_price=20_000,
        completion_price=50_000,
        reasoning_price=50_000,
    )
    cluster = Cluster.objects.create(name="bench", base_url=base_url)
    Deployment.objects.create(model=model, cluster=cluster, upstream_name="bench")
    return {"api_key": key.secret}


def account() -> dict[str, Any]:
    """Count what the gateway has written down, and say how durable its database is."""
    team = Team.objects.get(members__email=EMAIL, is_personal=False)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
            " current_setting('full_page_writes'), current_setting('server_version')"
        )
        fsync, synchronous_commit, full_page_writes, version = cursor.fetchone()
    return {
        "charges": Charge.of(team).count(),
        "uncharged": Charge.of(team).filter(cost_ticks=0).count(),
        "events": UsageEvent.of(team).count(),
        "live_holds": Hold.of(team).filter(state=Hold.State.LIVE).count(),
        "fsync": fsync,
        "synchronous_commit": synchronous_commit,
        "full_page_writes": full_page_writes,
        "postgresql": version,
    }
