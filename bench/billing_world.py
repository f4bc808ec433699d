"""What the benchmark of billing does inside Django, once the settings know where."""

import json
from datetime import timedelta
from time import perf_counter
from typing import Final

import django
from django.core.management import call_command
from django.utils import timezone
from uuid_utils.compat import uuid7

django.setup()

from accounts.actors import SYSTEM  # noqa: E402
from accounts.models import Team  # noqa: E402
from billing import services as billing  # noqa: E402

BATCH: Final = 64


def measure(*, seconds: float, teams: int) -> int:
    """Settle for some seconds in each way; print the figures, and return the exit code."""
    call_command("migrate", verbosity=0)
    rates = {}
    for told, count in (("hot", 1), ("many", teams)):
        for is_invoiced in (False, True):
            way = "invoice" if is_invoiced else "credits"
            rate, batch_ms = _rate(_teams(count, is_invoiced=is_invoiced), seconds)
            rates[f"{told}_{way}"] = round(rate)
            print(f"{count:>6,} teams, {way:8}{rate:9,.0f} charges/s{batch_ms:8.1f} ms a batch")
    found = list(billing.differences())
    print(*found, sep="\n", end="\n" if found else "")
    start = perf_counter()
    issued = billing.close_months(now=timezone.now() + timedelta(days=40))
    close_s = round(perf_counter() - start, 1)
    print(f"{issued:,} invoices of the month in {close_s} s")
    ratio = round(rates["many_credits"] / rates["hot_credits"], 2)
    figures = {"bench": "billing", **rates, "many_to_hot": ratio, "close_s": close_s}
    print(json.dumps({**figures, "is_clean": not found}))
    return int(bool(found))


def _teams(count: int, *, is_invoiced: bool) -> list[Team]:
    now, teams = timezone.now(), []
    for _ in range(count):
        team = Team.objects.create(name="Bench", created_at=now)
        if is_invoiced:
            billing.set_hard_limit(team=team, actor=SYSTEM, limit_ticks=10**17, now=now)
            billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=10**17, now=now)
        else:
            billing.grant(
                team=team,
                actor=SYSTEM,
                kind=billing.GrantKind.PREPAID,
                amount_ticks=10**16,
                label="Bench",
                idempotency_key="bench",
                now=now,
            )
        teams.append(team)
    return teams


def _rate(teams: list[Team], seconds: float) -> tuple[float, float]:
    """Settle batch after batch; return charges a second, and what a batch takes in ms."""
    lines = [
        billing.Line(billing.BillingItem.PROMPT_TEXT, 1_200, 20_000),
        billing.Line(billing.BillingItem.COMPLETION, 300, 50_000),
    ]
    batches, start = 0, perf_counter()
    while (taken := perf_counter() - start) < seconds:
        now = timezone.now()
        batch = [teams[(batches * BATCH + n) % len(teams)] for n in range(BATCH)]
        requests = [billing.HoldRequest(uuid7(), t.pk, 10**8, 50_000, 4_096) for t in batch]
        billing.reserve(requests, now=now, until=now + timedelta(minutes=2))
        told = [billing.Settlement(r.request_id, r.team_id, "bench", lines) for r in requests]
        billing.settle(told, now=now)
        batches += 1
    return batches * BATCH / taken, 1_000 * taken / batches
