"""Asking for higher limits, by one person in many teams."""

from uuid import uuid4

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts import services as accounts
from accounts.actors import Actor
from accounts.models import Team, User
from gateway.models import LimitRequest
from gateway.services.increases import MOST_A_DAY, MOST_A_DAY_EACH
from tests.factories import NOON, make_admin, make_team, make_user
from tests.gateway.offers import list_model

pytestmark = pytest.mark.django_db


def ask(client: Client, team: Team) -> str:
    form = {
        "model": "atlas",
        "requests_per_second": "300",
        "reason": "The winter sale.",
        "idempotency_key": str(uuid4()),
    }
    answer = client.post(reverse("gateway:rate_limits_increase", args=[team.pk]), form)
    return answer.content.decode()


def another_team(owner: User, number: int) -> Team:
    actor = Actor.for_user(owner)
    return accounts.create_team(name=f"Team {number}", owner=owner, actor=actor, now=NOON)


def test_who_makes_teams_does_not_flood_support_through_them(client: Client) -> None:
    list_model("atlas", "near", requests_per_second=[10])
    mallory, larkspur = make_user(name="Mallory"), make_team("Larkspur")
    teams = [another_team(mallory, number) for number in range(MOST_A_DAY_EACH // MOST_A_DAY + 1)]

    with time_machine.travel(NOON, tick=False) as clock:
        client.force_login(mallory)
        for team in teams[:-1]:
            for _ in range(MOST_A_DAY):
                ask(client, team)
        refused = ask(client, teams[-1])
        assert len(mail.outbox) == MOST_A_DAY_EACH

        client.force_login(make_admin(larkspur, name="Bob"))
        ask(client, larkspur)
        assert len(mail.outbox) == MOST_A_DAY_EACH + 1

        clock.shift(24 * 60 * 60)
        client.force_login(mallory)
        ask(client, teams[-1])

    assert f"You have asked for {MOST_A_DAY_EACH} increases within a day" in refused
    assert LimitRequest.of(teams[-1]).count() == 1
    assert len(mail.outbox) == MOST_A_DAY_EACH + 2
