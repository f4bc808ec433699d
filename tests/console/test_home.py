"""A team's home page: how it is doing, what a new team does first, and only what one may see."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.rules import Permission
from api_keys import services as api_keys
from billing import services as billing
from billing.models import BillingAccount, CreditGrant
from billing.rules import TICKS_PER_USD, ticks_from_usd
from gateway.models import Cluster, Deployment, InferenceModel
from tests.factories import NOON, make_admin, make_funded_team, make_member, make_team
from tests.usage.requests import make_record
from usage import services as usage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


def read(client: Client, team: Team) -> str:
    """Open the page, with the spaces between words as a reader sees them."""
    html = client.get(reverse("home", args=[team.pk])).content.decode()
    return re.sub(r"\s+", " ", html)


def stats(html: str) -> dict[str, tuple[str, str]]:
    """Find the figures at the top: what they are called, the value, the remark."""
    return {
        name: (value, remark)
        for name, value, remark in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd><dd>(.*?)</dd>", html)
    }


def steps(html: str) -> dict[str, bool]:
    """Find the first steps and whether each is ticked."""
    section = html[html.index('id="first-steps"') : html.index("</ol>")]
    found = re.findall(r"<strong>(.*?)</strong>(.*?)</li>", section)
    return {title: "(done)" in rest for title, rest in found}


def figure(html: str, name: str) -> dict[str, Any]:
    [text] = re.findall(rf'<script id="{name}" type="application/json">(.*?)</script>', html)
    bars: dict[str, Any] = json.loads(text)["data"][0]
    return bars


def spend(team: Team, usd: str, **fields: Any) -> None:
    items = (("prompt_text", 1_000, ticks_from_usd(Decimal(usd))),)
    usage.record([make_record(team, items=items, **fields)])


# --- How it is doing --------------------------------------------------------------------------


def test_the_figures_are_what_the_requests_came_to(client: Client) -> None:
    team = make_funded_team(usd="25")
    client.force_login(make_admin(team))
    spend(team, "1.5", at=NOON - timedelta(hours=1), first_token_ms=200)
    spend(team, "0.5", at=NOON - timedelta(hours=2), first_token_ms=220)
    spend(team, "0", at=NOON - timedelta(hours=2), status=502, first_token_ms=900)
    spend(team, "7", at=NOON - timedelta(days=1))

    figures = stats(read(client, team))

    assert figures == {
        "Available": ("$25.00", "about 25 days at this pace"),
        "Spent in March": ("$2.00", "$2.00 today"),
        "Requests today": ("3", "1 failed, 33.33%"),
        "Time to first token": ("220 ms", "median over 24 hours"),
    }


def test_the_charts_have_thirty_days_to_today(client: Client) -> None:
    team = make_funded_team()
    client.force_login(make_admin(team))
    spend(team, "1.5", at=NOON)
    spend(team, "7", at=NOON - timedelta(days=29))
    spend(team, "9", at=NOON - timedelta(days=30))

    html = read(client, team)

    cost, requests = figure(html, "cost-by-day"), figure(html, "requests-by-day")
    assert (cost["x"][0], cost["x"][-1]) == ("2026-01-31", "2026-03-01")
    assert (cost["y"][0], sum(cost["y"]), cost["y"][-1]) == (7, 8.5, 1.5)
    assert (len(requests["y"]), sum(requests["y"])) == (30, 2)
    assert 'aria-label="Cost per day over 30 days, $8.50 in all"' in html


def test_today_is_the_readers_and_the_month_is_the_bills(client: Client) -> None:
    team = make_funded_team()
    alice = make_admin(team)
    alice.timezone = "Asia/Tokyo"
    alice.save()
    client.force_login(alice)
    # 28 February in UTC, early on 1 March in Tokyo.
    spend(team, "3", at=datetime(2026, 2, 28, 20, tzinfo=UTC))

    figures = stats(read(client, team))

    assert figures["Spent in March"] == ("$0.00", "$3.00 today")


def test_a_team_that_rests_is_told_no_pace_and_no_median(client: Client) -> None:
    team = make_funded_team()
    client.force_login(make_admin(team))
    spend(team, "1", at=NOON - timedelta(days=20), first_token_ms=200)

    figures = stats(read(client, team))

    assert figures["Available"] == ("$25.00", "for requests to come")
    assert figures["Requests today"] == ("0", "none yet")
    assert figures["Time to first token"] == ("\N{EN DASH}", "nothing streamed in 24 hours")


def test_a_rare_failure_is_not_rounded_away(client: Client) -> None:
    team = make_funded_team()
    client.force_login(make_admin(team))
    usage.record([make_record(team, at=NOON) for _ in range(20_000)])
    usage.record([make_record(team, at=NOON, status=503)])

    assert stats(read(client, team))["Requests today"] == ("20,001", "1 failed, 0.01%")


# --- When credits end -------------------------------------------------------------------------


def test_a_team_without_credits_is_told_that_requests_are_refused(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))
    spend(team, "1", at=NOON)

    html = read(client, team)

    assert "The credits are used up." in html
    assert f'href="{reverse("billing:credits", args=[team.pk])}?dialog=buy">Buy credits' in html


def test_a_team_with_an_overdue_invoice_is_led_to_it(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))
    spend(team, "1", at=NOON)
    billing.set_spending_limit(team=team, actor=SYSTEM, limit_ticks=TICKS_PER_USD, now=NOON)
    BillingAccount.of(team).update(invoicing_blocked_at=NOON)

    html = read(client, team)

    assert "Requests are refused until it is paid or the team has credits again." in html
    assert "a higher spending limit" not in html
    assert f'href="{reverse("billing:invoices", args=[team.pk])}">Invoices</a>' in html


def test_credits_that_end_soon_are_announced(client: Client) -> None:
    team = make_funded_team(usd="5")
    client.force_login(make_admin(team))
    spend(team, "14", at=NOON - timedelta(days=2))

    html = read(client, team)

    assert "<strong>$5.00 is left</strong>, which lasts about 2 days at the pace" in html


def test_credits_that_last_are_not_announced(client: Client) -> None:
    team = make_funded_team(usd="25")
    client.force_login(make_admin(team))
    spend(team, "7", at=NOON - timedelta(days=2))

    html = read(client, team)

    assert 'data-tone="warn"' not in html
    assert 'data-tone="bad"' not in html


def test_whoever_may_see_billing_but_not_buy_is_led_there_only(client: Client) -> None:
    team = make_team()
    may = [Permission.BILLING_READ, Permission.USAGE_READ]
    client.force_login(make_member(team, extra=may))
    spend(team, "1", at=NOON)

    html = read(client, team)

    assert f'href="{reverse("billing:credits", args=[team.pk])}">Billing</a>' in html
    assert "?dialog=buy" not in html


# --- First steps ------------------------------------------------------------------------------


def test_a_new_team_is_told_what_to_do_first(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    html = read(client, team)

    assert steps(html) == {
        "Buy credits": False,
        "Create an API key": False,
        "Call the gateway": False,
    }
    assert stats(html) == {}
    [primary] = re.findall(r'class="primary" href="([^"]+)"', html)
    assert primary == f"{reverse('billing:credits', args=[team.pk])}?dialog=buy"


def test_a_step_that_is_done_is_ticked_and_the_next_is_offered(client: Client) -> None:
    team = make_funded_team()
    client.force_login(make_admin(team))

    html = read(client, team)

    assert steps(html)["Buy credits"] is True
    assert steps(html)["Create an API key"] is False
    [primary] = re.findall(r'class="primary" href="([^"]+)"', html)
    assert primary == f"{reverse('api_keys:list', args=[team.pk])}?dialog=create"


def test_the_first_call_ends_the_first_steps(client: Client) -> None:
    team = make_funded_team()
    client.force_login(make_admin(team))
    spend(team, "1", at=NOON)

    html = read(client, team)

    assert 'id="first-steps"' not in html
    assert "Available" in stats(html)


def test_a_member_makes_a_key_and_calls_but_buys_nothing(client: Client) -> None:
    team = make_funded_team()
    bob = make_member(team)
    client.force_login(bob)
    before = steps(read(client, team))
    key = make_key(team, bob, "bob-notebook")
    with_key = steps(read(client, team))

    api_keys.touch({(key.pk, "203.0.113.7"): NOON})

    assert before == {"Create an API key": False, "Call the gateway": False}
    assert with_key == {"Create an API key": True, "Call the gateway": False}
    assert 'id="first-steps"' not in read(client, team)


def make_key(team: Team, owner: Any, name: str) -> Any:
    actor = Actor.for_user(owner)
    return api_keys.create(team=team, actor=actor, owner=owner, name=name, now=NOON).key


# --- The example and the news -----------------------------------------------------------------


def test_the_example_calls_this_gateway_with_a_model_that_it_has(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))
    without = read(client, team)
    offer("atlas-8b")

    with_model = read(client, team)

    assert "model=client.models.list().data[0].id" in without
    assert "base_url=&quot;http://localhost:8000/v1&quot;" in with_model
    assert "model=&quot;atlas-8b&quot;" in with_model


def offer(name: str) -> None:
    """Add a model to the price list, free of charge, and a cluster that has it."""
    model = InferenceModel.objects.create(
        name=name,
        context_length=8_000,
        max_output_tokens=1_000,
        **{f"{item}_price": 0 for item in billing.BillingItem},
    )
    cluster = Cluster.objects.create(name="fra-1", base_url="http://127.0.0.1:9/v1")
    Deployment.objects.create(model=model, cluster=cluster, upstream_name=name)


def test_the_last_changes_are_told_as_sentences(client: Client) -> None:
    team = make_team()
    alice = make_admin(team, "Alice Moreau")
    client.force_login(alice)
    make_key(team, alice, "returns-<b>bot</b>")

    html = read(client, team)

    expected = "Alice Moreau created the API key returns-&lt;b&gt;bot&lt;/b&gt;</span><time "
    assert expected in html
    assert '<span class="avatar round" aria-hidden="true">AM</span>' in html


# --- Who may see what -------------------------------------------------------------------------


def test_a_member_sees_no_money_no_traffic_and_no_changes(client: Client) -> None:
    team = make_funded_team(usd="31.07")
    bob = make_member(team)
    client.force_login(bob)
    spend(team, "17.03", at=NOON)
    api_keys.touch({(make_key(team, bob, "bob-notebook").pk, "203.0.113.7"): NOON})

    html = read(client, team)

    assert stats(html) == {}
    for hidden in ("31.07", "17.03", "cost-by-day", "Recent changes", "?dialog=buy"):
        assert hidden not in html
    assert "Call the gateway" in html


def test_usage_alone_is_shown_without_the_balance(client: Client) -> None:
    team = make_funded_team(usd="31.07")
    client.force_login(make_member(team, extra=[Permission.USAGE_READ]))
    spend(team, "17.03", at=NOON)

    html = read(client, team)

    assert "Available" not in stats(html)
    assert stats(html)["Spent in March"] == ("$17.03", "$17.03 today")
    assert "31.07" not in html


def test_another_teams_numbers_are_not_among_ours(client: Client) -> None:
    team, other = make_funded_team(usd="25"), make_funded_team(usd="31.07")
    client.force_login(make_admin(team))
    spend(team, "1", at=NOON)
    spend(other, "17.03", at=NOON)
    make_key(other, make_admin(other), "their-key")

    html = read(client, team)

    assert stats(html)["Spent in March"][0] == "$1.00"
    for theirs in ("17.03", "31.07", "their-key"):
        assert theirs not in html


def test_a_busy_team_costs_no_more_queries_than_a_quiet_one(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    team = make_funded_team()
    alice = make_admin(team)
    client.force_login(alice)
    spend(team, "1", at=NOON)
    read(client, team)
    with CaptureQueriesContext(connection) as quiet:
        read(client, team)

    for day in range(20):
        spend(team, "1", at=NOON - timedelta(days=day))
        make_key(team, make_member(team), f"key-{day}")
        billing.grant(
            team=team,
            actor=SYSTEM,
            kind=CreditGrant.Kind.FREE,
            amount_ticks=TICKS_PER_USD,
            label="Free",
            idempotency_key=f"free-{day}",
            expires_at=None,
            now=NOON,
        )

    with django_assert_num_queries(len(quiet)):
        read(client, team)
