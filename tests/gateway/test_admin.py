"""The price list in the hands of staff: what they change is written down, and kept in bounds."""

import html
import re
from uuid import uuid4

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actors import Actor
from accounts.models import Team
from audit.models import AuditEvent
from gateway import services as gateway
from gateway.models import Cluster, Deployment, InferenceModel, TeamLimit
from gateway.rates import Limits
from tests.accounts.people import make_person
from tests.factories import make_admin, make_team
from tests.gateway.offers import list_model
from tests.support.door import enter

pytestmark = pytest.mark.django_db

PRICES = {
    "prompt_text_price": "20000",
    "cached_prompt_text_price": "5000",
    "prompt_image_price": "20000",
    "completion_price": "60000",
    "reasoning_price": "60000",
}
MODEL = {
    "name": "atlas",
    "owned_by": "us",
    "context_length": "8192",
    "max_output_tokens": "1024",
    "is_enabled": "on",
    **PRICES,
}


@pytest.fixture
def staff(client: Client) -> Client:
    enter(client, make_person(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(name="near", base_url="http://127.0.0.1:9/v1")


def deployments(*rows: dict[str, str], before: int = 0) -> dict[str, str]:
    form = {"deployments-TOTAL_FORMS": str(len(rows)), "deployments-INITIAL_FORMS": str(before)}
    for number, row in enumerate(rows):
        form |= {f"deployments-{number}-{field}": value for field, value in row.items()}
    return form


def events() -> list[tuple[str, str]]:
    kept = AuditEvent.across_teams.filter(target_type__in=["cluster", "inference model"])
    return list(kept.order_by("id").values_list("operation", "description"))


def test_what_staff_change_in_the_price_list_is_written_down_with_before_and_after(
    staff: Client, cluster: Cluster
) -> None:
    row = {"cluster": str(cluster.pk), "upstream_name": "atlas-8b", "priority": "0"}
    staff.post(
        reverse("admin:gateway_inferencemodel_add"),
        MODEL | deployments(row | {"is_enabled": "on"}),
    )
    model, deployment = InferenceModel.objects.get(), Deployment.objects.get()
    same = row | {"id": str(deployment.pk), "model": str(model.pk), "is_enabled": "on"}

    dearer = MODEL | {"completion_price": "70000"} | deployments(same, before=1)
    staff.post(reverse("admin:gateway_inferencemodel_change", args=[model.pk]), dearer)
    gone = MODEL | {"completion_price": "70000"} | deployments(same | {"DELETE": "on"}, before=1)
    staff.post(reverse("admin:gateway_inferencemodel_change", args=[model.pk]), gone)

    assert [operation for operation, _ in events()] == [
        "CreateInferenceModel",
        "ChangeInferenceModel",
        "ChangeInferenceModel",
        "ChangeInferenceModel",
    ]
    change = AuditEvent.across_teams.filter(operation="ChangeInferenceModel").order_by("id")[1]
    assert change.before == {"completion_price": "60000"}
    assert change.after == {"completion_price": "70000"}
    assert change.actor_kind == "staff"
    assert not Deployment.objects.exists()


def test_a_deleted_cluster_is_written_down(staff: Client, cluster: Cluster) -> None:
    url = reverse("admin:gateway_cluster_delete", args=[cluster.pk])

    staff.post(url, {"post": "yes"})

    assert events() == [("DeleteCluster", "Deleted the cluster near")]
    assert not Cluster.objects.exists()


@pytest.mark.parametrize("variable", ["SECRET_KEY", "DATABASE_URL", "upstream_key"])
def test_no_secret_of_the_console_can_be_sent_to_a_cluster(staff: Client, variable: str) -> None:
    form = {"name": "far", "base_url": "http://198.51.100.1/v1", "api_key_variable": variable}

    answer = staff.post(reverse("admin:gateway_cluster_add"), form)

    assert "A name that begins with UPSTREAM_." in answer.content.decode()
    assert not Cluster.objects.exists()


def test_a_price_that_the_books_could_not_hold_is_refused(staff: Client) -> None:
    form = MODEL | {"completion_price": str(10**9 + 1)} | deployments()

    answer = staff.post(reverse("admin:gateway_inferencemodel_add"), form)

    assert "less than or equal to 1000000000" in answer.content.decode()
    assert not InferenceModel.objects.exists()


def test_limits_by_tier_are_numbers_with_commas_and_no_more_than_there_are_tiers(
    staff: Client,
) -> None:
    url = reverse("admin:gateway_inferencemodel_add")

    wrong = MODEL | {"requests_per_second": "1,2,3,4,5,6", "tokens_per_minute": "0"}
    refused = html.unescape(staff.post(url, wrong | deployments()).content.decode())
    right = MODEL | {"requests_per_second": "37, 50, 75", "tokens_per_minute": ""}
    staff.post(url, right | deployments())

    assert "Requests per second: there are 5 tiers, so there can be 5 numbers." in refused
    assert "Item 1 in the array did not validate" in refused
    model = InferenceModel.objects.get()
    assert (model.requests_per_second, model.tokens_per_minute) == ([37, 50, 75], [])


def test_what_is_agreed_with_a_team_is_in_the_teams_own_log(staff: Client) -> None:
    team = make_team("Larkspur")
    model = list_model("atlas", "near")
    form = {"team": str(team.pk), "model": str(model.pk), "requests_per_second": "300"}

    staff.post(reverse("admin:gateway_teamlimit_add"), form)
    limit = TeamLimit.of(team).get()
    change = reverse("admin:gateway_teamlimit_change", args=[limit.pk])
    staff.post(change, {"requests_per_second": "400"})
    nothing = staff.post(change, {"requests_per_second": ""}).content.decode()
    staff.post(reverse("admin:gateway_teamlimit_delete", args=[limit.pk]), {"post": "yes"})

    assert "Write one of the two numbers, or delete the team limit." in nothing
    kept = AuditEvent.of(team).order_by("id")
    assert [(event.operation, event.actor_kind) for event in kept] == [
        ("AgreeOnLimits", "staff"),
        ("AgreeOnLimits", "staff"),
        ("DeleteTeamLimit", "staff"),
    ]
    assert kept[1].description == "Agreed on limits of atlas for Larkspur"
    assert kept[1].before == {"requests_per_second": 300, "tokens_per_minute": None}
    assert kept[1].after == {"requests_per_second": 400, "tokens_per_minute": None}
    assert not TeamLimit.of(team).exists()


def test_the_form_for_a_team_limit_comes_filled_from_the_mail_that_asks_for_it(
    staff: Client,
) -> None:
    team = make_team()
    model = list_model("atlas", "near", tokens_per_minute=[1_000_000])
    gateway.request_increase(
        team=team,
        actor=Actor.for_user(make_admin(team)),
        model_name="atlas",
        wanted=Limits(tokens_per_minute=9_000_000),
        reason="The winter sale.",
        idempotency_key=uuid4(),
        now=timezone.now(),
    )
    [sent] = mail.outbox
    [link] = re.findall(r"^http\S+/admin/\S+$", str(sent.body), re.MULTILINE)

    form = staff.get(link.removeprefix(settings.PUBLIC_URL)).context["adminform"].form

    assert form["team"].value() == str(team.pk)
    assert form["model"].value() == str(model.pk)
    assert not form["requests_per_second"].value()
    assert form["tokens_per_minute"].value() == "9000000"


def test_limits_of_a_team_that_was_deleted_are_refused_in_words(staff: Client) -> None:
    team = make_team("Larkspur")
    model = list_model("atlas", "near")
    Team.objects.filter(pk=team.pk).update(closed_at=timezone.now())
    form = {"team": str(team.pk), "model": str(model.pk), "requests_per_second": "300"}

    answer = staff.post(reverse("admin:gateway_teamlimit_add"), form, follow=True)

    assert "The team Larkspur was deleted." in answer.content.decode()
    assert not TeamLimit.of(team).exists()
