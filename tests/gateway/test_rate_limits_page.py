"""The page of rate limits: the tier and what lifts it, what is in use, and asking for more."""

import re
from datetime import timedelta
from functools import partial
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor
from accounts.models import Team
from accounts.rules import Permission
from audit.models import AuditEvent
from billing import services as billing
from billing.rules import TICKS_PER_USD
from gateway import services as gateway
from gateway.models import LimitRequest, RateWindow
from gateway.rates import Limits
from gateway.services.increases import MOST_A_DAY
from tests.factories import NOON, make_admin, make_member, make_team
from tests.gateway.offers import cells_of, list_model
from tests.races import race

pytestmark = pytest.mark.django_db

BY_TIER = {"requests_per_second": [10, 20], "tokens_per_minute": [1_000_000, 2_000_000]}
HTMX = {"HX-Request": "true", "HX-Target": "use"}


@pytest.fixture
def team() -> Team:
    list_model("atlas", "near", **BY_TIER)
    return make_team("Larkspur")


@pytest.fixture
def alice(client: Client, team: Team) -> Client:
    """Sign an admin of the team in."""
    client.force_login(make_admin(team, name="Alice"))
    return client


def address(team: Team, page: str = "rate_limits") -> str:
    return reverse(f"gateway:{page}", args=[team.pk])


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", unescape(answer.content.decode())).split())


def rows(answer: Any) -> dict[str, list[str]]:
    return {cells[0]: cells[1:] for cells in cells_of(answer.content.decode())}


def ask(client: Client, team: Team, **fields: str) -> Any:
    form = {
        "model": "atlas",
        "requests_per_second": "300",
        "tokens_per_minute": "",
        "reason": "The winter sale.",
        "idempotency_key": str(uuid4()),
        **fields,
    }
    return client.post(address(team, "rate_limits_increase"), form)


def give(team: Team, model_name: str, *, requests_per_second: int) -> None:
    gateway.agree(
        team=team,
        actor=SYSTEM,
        model_name=model_name,
        requests_per_second=requests_per_second,
        tokens_per_minute=None,
        now=NOON,
    )


# --- The tier ---------------------------------------------------------------------------------


def test_who_sees_the_money_sees_how_much_is_missing(alice: Client, team: Team) -> None:
    billing.set_least_tier(team=team, actor=SYSTEM, tier=1, now=NOON)

    read = words(alice.get(address(team)))

    assert "Support gave Larkspur this tier." in read
    assert "$0.00 paid of $250.00 for tier 2 $250.00 to go" in read
    assert "Tier 1 Yours $50.00 paid in all" in read


def test_who_may_not_see_billing_reads_the_tier_and_no_payments(client: Client, team: Team) -> None:
    client.force_login(make_member(team))

    read = words(client.get(address(team)))

    assert "Tier 1 begins at $50.00, paid in all." in read
    assert "to go" not in read
    assert "Buy credits" not in read
    assert "Request an increase" not in read


def test_at_the_highest_tier_nothing_is_left_to_pay(alice: Client, team: Team) -> None:
    billing.set_least_tier(team=team, actor=SYSTEM, tier=4, now=NOON)

    answer = alice.get(address(team))

    assert "This is the highest tier." in words(answer)
    assert "At tier" not in words(answer)
    assert rows(answer) == {"atlas": ["0 of 20", "0 of 2,000,000"]}


# --- What is in use ---------------------------------------------------------------------------


def test_each_model_shows_its_limits_and_what_the_next_tier_brings(
    alice: Client, team: Team
) -> None:
    list_model("boreas", "near", requests_per_second=[5])
    list_model("ceres", "near")
    give(team, "boreas", requests_per_second=400)

    assert rows(alice.get(address(team))) == {
        "atlas": ["0 of 10", "20", "0 of 1,000,000", "2,000,000"],
        "boreas Agreed with support": ["0 of 400", "400", "No limit", "No limit"],
        "ceres": ["No limit", "No limit", "No limit", "No limit"],
    }


def test_use_is_that_of_the_last_second_and_minute_and_of_what_is_in_flight(
    alice: Client, team: Team
) -> None:
    with time_machine.travel(NOON, tick=False):
        now = int(NOON.timestamp() * 1_000_000)
        second = 1_000_000
        RateWindow.across_teams.create(
            team=team,
            subject="model:atlas",
            second=[[now - 2 * second, 5], [now - second // 2, 3]],
            tokens=[[now - 61 * second, 7_000], [now - 30 * second, 2_000]],
        )
        RateWindow.across_teams.create(
            team=make_team(), subject="model:atlas", second=[[now, 9]], tokens=[[now, 9]]
        )

        assert rows(alice.get(address(team)))["atlas"] == [
            "3 of 10", "20", "2,000 of 1,000,000", "2,000,000",
        ]  # fmt: skip


def test_a_hundred_models_cost_as_many_queries_as_one(
    alice: Client, team: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    ask(alice, team)
    alice.get(address(team))
    with CaptureQueriesContext(connection) as few:
        alice.get(address(team))
    for number in range(100):
        list_model(f"model-{number}", "near", **BY_TIER)
        give(team, f"model-{number}", requests_per_second=7)
        RateWindow.across_teams.create(team=team, subject=f"model:model-{number}")

    with django_assert_num_queries(len(few)):
        assert len(rows(alice.get(address(team)))) == 101


def test_without_models_there_is_nothing_to_ask_for(client: Client) -> None:
    team = make_team()
    client.force_login(make_admin(team))

    read = words(client.get(address(team)))

    assert "Nothing is limited yet" in read
    assert "Request an increase" not in read


# --- Kept up to date --------------------------------------------------------------------------


def turn_of(page: Any) -> str:
    """Find where the page asks for its numbers again."""
    found = re.search(r'hx-get="([^"]+)"', page.content.decode())
    assert found
    return unescape(found[1])


def test_an_open_page_is_kept_up_to_date_and_is_in_the_log_once(alice: Client, team: Team) -> None:
    turn = turn_of(alice.get(address(team)))

    turns = [alice.get(turn, headers=HTMX) for _ in range(5)]

    assert {answer.status_code for answer in turns} == {200}
    assert all(answer.content.decode().lstrip().startswith('<div id="use"') for answer in turns)
    assert turn_of(turns[-1]) == turn
    assert "atlas" in rows(turns[-1])
    assert AuditEvent.of(team).filter(operation="GetRateLimits").count() == 1


def test_a_page_that_was_opened_long_ago_is_told_to_stop_and_gets_no_numbers(
    alice: Client, team: Team
) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=11)):
        turn = turn_of(alice.get(address(team)))

    answer = alice.get(turn, headers=HTMX)

    assert answer.status_code == 286
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#as-of", "beforeend")
    assert "Not brought up to date any more." in words(answer)
    assert "atlas" not in words(answer)


def test_numbers_go_to_nobody_who_did_not_open_the_page(alice: Client, team: Team) -> None:
    bob, other = make_member(team), make_team()
    turn = turn_of(alice.get(address(team)))
    ticket = turn.partition("?")[2]
    elsewhere = Client()
    elsewhere.force_login(make_admin(other))
    of_bob = Client()
    of_bob.force_login(bob)

    asked = [
        of_bob.get(turn, headers=HTMX),
        elsewhere.get(f"{address(other, 'rate_limits_use')}?{ticket}", headers=HTMX),
        alice.get(address(team, "rate_limits_use"), headers=HTMX),
        alice.get(f"{address(team, 'rate_limits_use')}?ticket=x", headers=HTMX),
    ]

    assert [answer.status_code for answer in asked] == [286] * 4
    assert not any("atlas" in words(answer) for answer in asked)
    assert elsewhere.get(turn, headers=HTMX).status_code == 404


def test_without_script_the_address_leads_to_the_page(alice: Client, team: Team) -> None:
    answer = alice.get(turn_of(alice.get(address(team))))

    assert (answer.status_code, answer["Location"]) == (302, address(team))


# --- Asking for more --------------------------------------------------------------------------


def test_an_increase_is_mailed_to_support_with_the_way_to_grant_it(
    alice: Client, team: Team
) -> None:
    answer = ask(alice, team, requests_per_second="1,500", tokens_per_minute="9,000,000")
    page = alice.get(answer["Location"])

    assert "Support was asked for more of atlas and answers by mail." in words(page)
    assert "Asked for 1,500 requests per second and 9,000,000 tokens per minute" in words(page)
    [sent] = mail.outbox
    made = LimitRequest.of(team).get()
    assert sent.to == [settings.SUPPORT_EMAIL]
    assert sent.subject == "Larkspur asks for higher limits of atlas"
    assert "Alice asks for 1,500 requests per second and 9,000,000 tokens per minute" in sent.body
    assert "The winter sale." in sent.body
    assert "may make 10 requests per second and use 1,000,000 tokens per minute" in sent.body
    assert f"/admin/gateway/teamlimit/add/?team={team.pk}&model={made.model_id}" in sent.body
    event = AuditEvent.of(team).get(operation="RequestLimitIncrease")
    assert event.actor_label == "Alice"
    assert event.before == {"requests_per_second": 10, "tokens_per_minute": 1_000_000}
    # What people write may be about people: it is in the mail and is not kept.
    assert event.after == {"requests_per_second": 1_500, "tokens_per_minute": 9_000_000}


def test_a_form_that_is_sent_twice_asks_once(alice: Client, team: Team) -> None:
    key = str(uuid4())

    first, second = (ask(alice, team, idempotency_key=key) for _ in range(2))

    assert first.status_code == second.status_code == 302
    assert LimitRequest.of(team).count() == len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_clicks_at_the_same_moment_ask_once(team: Team) -> None:
    send = partial(
        gateway.request_increase,
        team=team,
        actor=Actor.for_user(make_admin(team)),
        model_name="atlas",
        wanted=Limits(requests_per_second=300),
        reason="The winter sale.",
        idempotency_key=uuid4(),
        now=NOON,
    )

    assert race(*[send] * 4) == [None] * 4

    assert LimitRequest.of(team).count() == len(mail.outbox) == 1


def test_what_support_granted_is_not_told_as_asked_for_any_more(alice: Client, team: Team) -> None:
    ask(alice, team)
    waiting = words(alice.get(address(team)))
    give(team, "atlas", requests_per_second=300)

    assert "Asked for 300 requests per second" in waiting
    assert "Asked for" not in words(alice.get(address(team)))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"requests_per_second": ""}, "Write at least one of the two numbers."),
        ({"requests_per_second": "10"}, "Your team's limit is 10 requests per second already."),
        (
            {"tokens_per_minute": "999999"},
            "Your team's limit is 1,000,000 tokens per minute already.",
        ),
        ({"requests_per_second": "many"}, "Enter a whole number from 1 to 1,000,000, or nothing."),
        ({"requests_per_second": "1.5"}, "Enter a whole number from 1 to 1,000,000, or nothing."),
        ({"requests_per_second": "-3"}, "Enter a whole number from 1 to 1,000,000, or nothing."),
        (
            {"requests_per_second": "9" * 5000},
            "Enter a whole number from 1 to 1,000,000, or nothing.",
        ),
        (
            {"requests_per_second": "1000001"},
            "Enter a whole number from 1 to 1,000,000, or nothing.",
        ),
        ({"tokens_per_minute": "1" + "0" * 13}, "from 1 to 1,000,000,000,000, or nothing."),
        ({"model": "boreas"}, "This model is not on the price list any more."),
        ({"reason": " "}, "Say what you need it for."),
        ({"reason": "x" * 1001}, "at most 1000 characters"),
        ({"reason": "a\x00b"}, "Null characters are not allowed."),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_the_dialog_and_nobody_is_mailed(
    alice: Client, team: Team, fields: dict[str, str], sentence: str
) -> None:
    answer = ask(alice, team, **fields)

    assert answer.status_code == 200
    assert sentence in words(answer)
    assert re.search(r'<dialog id="increase"[^>]* open>', answer.content.decode())
    assert not LimitRequest.of(team).exists()
    assert mail.outbox == []


def test_a_limit_that_there_is_not_cannot_be_raised(alice: Client, team: Team) -> None:
    list_model("ceres", "near")

    answer = ask(alice, team, model="ceres")

    assert "ceres has no limit of requests per second for your team." in words(answer)


def test_a_model_that_goes_while_somebody_types_is_named(alice: Client, team: Team) -> None:
    with pytest.raises(gateway.ModelGoneError, match="zeus is not on the price list any more"):
        gateway.request_increase(
            team=team,
            actor=SYSTEM,
            model_name="zeus",
            wanted=Limits(requests_per_second=300),
            reason="The winter sale.",
            idempotency_key=uuid4(),
            now=NOON,
        )
    assert "zeus" not in words(alice.get(address(team)))


def test_support_is_not_flooded(alice: Client, team: Team) -> None:
    for number in range(MOST_A_DAY):
        ask(alice, team, requests_per_second=str(300 + number))

    refused = ask(alice, team)
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        next_day = ask(alice, team)

    assert "has asked for 10 increases within a day" in words(refused)
    assert next_day.status_code == 302
    assert len(mail.outbox) == MOST_A_DAY + 1


def test_asking_takes_the_permission_to_change_the_team(client: Client, team: Team) -> None:
    client.force_login(make_member(team, extra=[Permission.BILLING_WRITE]))

    answer = ask(client, team)

    assert answer.status_code == 403
    assert "You need permission to change the team in Larkspur." in words(answer)
    assert mail.outbox == []


def test_a_tier_that_was_paid_for_is_in_force_on_the_next_page(alice: Client, team: Team) -> None:
    assert "$50.00 to go" in words(alice.get(address(team)))
    buyer = Actor.for_user(make_admin(team))
    purchase = billing.begin(
        team=team, actor=buyer, amount_cents=50_00, idempotency_key="tier-1", now=NOON
    )
    card = billing.Card("4242424242424242", expiry_month=12, expiry_year=2030, cvc="123")
    billing.pay(purchase=purchase, actor=buyer, card=card, now=NOON)

    assert rows(alice.get(address(team)))["atlas"][0] == "0 of 20"
    assert billing.tier(team).next_ticks == 250 * TICKS_PER_USD
