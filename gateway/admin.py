"""Clusters, models and prices, as staff edit them. The gateway sees a change within a second."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils import timezone

from accounts import services as accounts
from accounts.admin import ReadOnlyAdmin
from accounts.scoping import TeamOwned
from accounts.web import staff_of
from audit import services as audit
from gateway import services as gateway
from gateway.models import Cluster, Deployment, InferenceModel, LimitRequest, TeamLimit


class AuditedAdmin(admin.ModelAdmin[Any]):
    """A table that staff edit. Each change leaves an event, in the log of the row's team if any."""

    def save_model(
        self,
        request: HttpRequest,
        obj: Any,
        form: ModelForm[Any],
        change: bool,  # noqa: FBT001 -- Django calls it so
    ) -> None:
        super().save_model(request, obj, form, change)
        changed = form.changed_data
        before = {name: str(form.initial.get(name)) for name in changed} if change else None
        after = {name: str(form.cleaned_data.get(name)) for name in changed}
        if changed:
            _record(request, "Change" if change else "Create", obj, before, after)

    def save_formset(
        self,
        request: HttpRequest,
        form: ModelForm[Any],
        formset: BaseModelFormSet[Any, Any],
        change: bool,  # noqa: FBT001 -- Django calls it so
    ) -> None:
        kept = formset.queryset if change else ()
        before = {str(row): _facts(row) for row in kept or ()}
        super().save_formset(request, form, formset, change)
        changed = (*formset.new_objects, *(row for row, _ in formset.changed_objects))
        gone = formset.deleted_objects
        if changed or gone:
            rows = (*changed, *gone)
            old = {str(row): before[str(row)] for row in rows if str(row) in before}
            new = {str(row): _facts(row) for row in changed}
            _record(request, "Change", form.instance, old or None, new)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        _record(request, "Delete", obj, _facts(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)


def _facts(row: Model) -> dict[str, Any]:
    return {
        field.name: str(field.value_from_object(row))
        for field in row._meta.concrete_fields  # noqa: SLF001 -- Django's public way to fields
        if field.name != "id"
    }


def _record(
    request: HttpRequest,
    verb: str,
    row: Model,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    name = row._meta.verbose_name  # noqa: SLF001
    past = {"Change": "Changed", "Create": "Created", "Delete": "Deleted"}[verb]
    audit.record(
        team=row.team if isinstance(row, TeamOwned) else None,
        actor=staff_of(request),
        operation=f"{verb}{type(row).__name__}",
        description=f"{past} the {name} {row}",
        target_type=str(name),
        target_id=str(row.pk),
        target_label=str(row),
        before=before,
        after=after,
        now=timezone.now(),
    )


class DeploymentInline(admin.TabularInline[Deployment, InferenceModel]):
    """Where a model runs."""

    model = Deployment
    extra = 1


@admin.register(Cluster)
class ClusterAdmin(AuditedAdmin):
    """Inference servers."""

    list_display = ("name", "base_url", "is_enabled")


@admin.register(InferenceModel)
class InferenceModelAdmin(AuditedAdmin):
    """The price list."""

    list_display = ("name", "prompt_text_price", "completion_price", "is_enabled")
    exclude = ("created_at",)
    inlines = (DeploymentInline,)


@admin.register(TeamLimit)
class TeamLimitAdmin(AuditedAdmin):
    """What was agreed with a team, in place of its tier's limits. Its next request feels it."""

    list_display = ("team", "model", "requests_per_second", "tokens_per_minute")
    list_select_related = ("team", "model")
    search_fields = ("=team__id", "team__name", "model__name")
    ordering = ("team__name", "model__name", "pk")
    raw_id_fields = ("team",)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except accounts.TeamClosedError as error:
            messages.error(request, str(error))
            return redirect(request.path)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:  # noqa: ARG002
        return ("team", "model") if obj else ()

    def save_model(
        self,
        request: HttpRequest,
        obj: TeamLimit,
        form: ModelForm[Any],
        change: bool,  # noqa: ARG002, FBT001 -- Django calls it so
    ) -> None:
        made = gateway.agree(
            team=obj.team,
            actor=staff_of(request),
            model_name=obj.model.name,
            requests_per_second=form.cleaned_data["requests_per_second"],
            tokens_per_minute=form.cleaned_data["tokens_per_minute"],
            now=timezone.now(),
        )
        obj.pk = made.pk


@admin.register(LimitRequest)
class LimitRequestAdmin(ReadOnlyAdmin):
    """What teams asked for. Support answers with a team limit, or by mail."""

    list_display = ["asked_at", "team", "model", "requests_per_second", "tokens_per_minute"]
    list_select_related = ["team", "model"]
    search_fields = ["=id", "=team__id", "team__name", "model__name"]
    ordering = ["-pk"]
