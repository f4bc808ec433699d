"""Models on offer, and what the pages that list them say."""

import re

from gateway.models import Cluster, Deployment, InferenceModel
from tests.gateway.world import ONLY_TOKENS


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


def list_short_model() -> InferenceModel:
    """List atlas: answers of up to ten tokens, ten ticks each, and prompts that are free."""
    prices = {f"{item}_price": ticks for item, ticks in ONLY_TOKENS.items()}
    return list_model("atlas", "near", max_output_tokens=10, **prices)


def cells_of(html: str) -> list[list[str]]:
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.split(r"</t[hd]>", row)[:-1]
        ]
        for row in body.split("</tr>")[:-1]
    ]
