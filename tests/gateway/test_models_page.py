"""The price list: what can be asked for, where, at what price and how often."""

import pytest

from accounts.models import Team
from api_keys.signals import models_asked
from gateway.models import Cluster, Deployment, InferenceModel
from tests.factories import make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def team() -> Team:
    return make_team("Larkspur")


def list_model(name: str, *clusters: str, **fields: object) -> InferenceModel:
    model = InferenceModel.objects.create(
        **{
            "name": name,
            "context_length": 500_000,
            "max_output_tokens": 8_192,
            "prompt_text_price": 20_000,
            "cached_prompt_text_price": 5_000,
            "prompt_image_price": 20_000,
            "completion_price": 60_000,
            "reasoning_price": 60_000,
            **fields,
        }
    )
    for priority, cluster_name in enumerate(clusters):
        cluster, _ = Cluster.objects.get_or_create(
            name=cluster_name, defaults={"base_url": "sandbox:"}
        )
        Deployment.objects.create(
            model=model, cluster=cluster, upstream_name=name, priority=priority
        )
    return model


def test_keys_can_be_limited_to_what_is_on_the_price_list(team: Team) -> None:
    list_model("atlas", "near")
    list_model("runs-nowhere")
    list_model("withdrawn", "near", is_enabled=False)

    answers = [names for _, names in models_asked.send(sender=Team, team=team)]

    assert answers == [["atlas"]]
