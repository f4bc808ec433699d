"""The price list: what can be asked for, where, at what price and how often."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys.signals import models_asked
from billing import services as billing
from gateway import services as gateway
from gateway.models import Cluster, Deployment
from tests.factories import NOON, make_member, make_team
from tests.gateway.offers import cells_of, list_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(client: Client) -> Team:
    """Make a team, and sign in somebody who may do no more in it than anybody in it."""
    team = make_team("Larkspur")
    client.force_login(make_member(team))
    return team


def address(team: Team) -> str:
    return reverse("gateway:models", args=[team.pk])


def rows(client: Client, team: Team, **query: str) -> dict[str, list[str]]:
    """Read the table: by the first cell of each row, the words of the others."""
    answer = client.get(address(team), query)
    assert answer.status_code == 200
    return {cells[0]: cells[1:] for cells in cells_of(answer.content.decode())}


def test_keys_can_be_limited_to_what_is_on_the_price_list(team: Team) -> None:
    list_model("atlas", "near")
    list_model("runs-nowhere")
    list_model("withdrawn", "near", is_enabled=False)

    answers: list[Any] = [names for _, names in models_asked.send(sender=Team, team=team)]

    assert answers == [["atlas"]]


def test_every_member_reads_what_each_model_costs_and_takes(client: Client, team: Team) -> None:
    list_model("atlas", "near", "far", cached_prompt_text_price=750, reasoning_price=0)

    assert rows(client, team) == {
        "atlas": [
            "500,000", "8,192", "$2.00", "$0.075", "$2.00", "$6.00", "$0.00",
            "No limit", "No limit", "near, far",
        ]
    }  # fmt: skip


def test_only_what_can_be_asked_for_now_is_listed(client: Client, team: Team) -> None:
    list_model("atlas", "near", "gone", "off")
    list_model("runs-nowhere")
    list_model("withdrawn", "near", is_enabled=False)
    list_model("only-there", "off")
    Deployment.objects.filter(cluster__name="gone").update(is_enabled=False)
    Cluster.objects.filter(name="off").update(is_enabled=False)

    listed = rows(client, team)

    assert [*listed] == ["atlas"]
    assert listed["atlas"][-1] == "near"


def test_the_list_can_be_read_for_one_cluster(client: Client, team: Team) -> None:
    list_model("atlas", "near", "far")
    list_model("boreas", "near")
    list_model("ceres", "far")

    assert [*rows(client, team)] == ["atlas", "boreas", "ceres"]
    assert [*rows(client, team, cluster="far")] == ["atlas", "ceres"]
    assert [*rows(client, team, cluster="")] == ["atlas", "boreas", "ceres"]


@pytest.mark.parametrize("name", ["nowhere", "near'--", "<b>", "n" * 5000, "\x00"])
def test_a_cluster_that_there_is_not_has_no_page(client: Client, team: Team, name: str) -> None:
    list_model("atlas", "near")

    answer = client.get(address(team), {"cluster": name})

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_limits_are_the_teams_own(client: Client, team: Team) -> None:
    by_tier = {"requests_per_second": [10, 20], "tokens_per_minute": [1_000_000, 2_000_000]}
    for name in ("atlas", "boreas", "ceres"):
        list_model(name, "near", **(by_tier if name != "ceres" else {}))
    agreed = {"requests_per_second": 7, "tokens_per_minute": None}
    gateway.agree(team=team, actor=SYSTEM, model_name="atlas", **agreed, now=NOON)
    gateway.agree(team=make_team(), actor=SYSTEM, model_name="boreas", **agreed, now=NOON)

    at_first = {name: cells[-3:-1] for name, cells in rows(client, team).items()}
    billing.set_least_tier(team=team, actor=SYSTEM, tier=4, now=NOON)
    later = {name: cells[-3:-1] for name, cells in rows(client, team).items()}

    assert at_first == {
        "atlas": ["7", "1,000,000"],
        "boreas": ["10", "1,000,000"],
        "ceres": ["No limit", "No limit"],
    }
    assert later == {
        "atlas": ["7", "2,000,000"],
        "boreas": ["20", "2,000,000"],
        "ceres": ["No limit", "No limit"],
    }


def test_without_models_it_says_whom_to_ask(client: Client, team: Team) -> None:
    answer = client.get(address(team)).content.decode()

    assert "No models yet" in answer
    assert "<table" not in answer


def test_a_hundred_models_cost_as_many_queries_as_one(
    client: Client, team: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    list_model("atlas", "near")
    client.get(address(team))
    with CaptureQueriesContext(connection) as few:
        client.get(address(team))
    for number in range(100):
        list_model(f"model-{number}", "near", "far", f"cluster-{number}")

    with django_assert_num_queries(len(few)):
        assert len(rows(client, team)) == 101
