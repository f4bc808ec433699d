"""Clusters, models and prices, as staff edit them. The gateway sees a change within a second."""

from django.contrib import admin

from gateway.models import Cluster, Deployment, InferenceModel


class DeploymentInline(admin.TabularInline[Deployment, InferenceModel]):
    """Where a model runs."""

    model = Deployment
    extra = 1


@admin.register(Cluster)
class ClusterAdmin(admin.ModelAdmin[Cluster]):
    """Inference servers."""

    list_display = ["name", "base_url", "is_enabled"]


@admin.register(InferenceModel)
class InferenceModelAdmin(admin.ModelAdmin[InferenceModel]):
    """The price list."""

    list_display = ["name", "prompt_text_price", "completion_price", "is_enabled"]
    inlines = [DeploymentInline]
