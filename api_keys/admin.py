"""Keys for staff: to see which there are, and to block one whose secret was found in public."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone

from accounts.admin import ReadOnlyAdmin
from accounts.proof import proof_required
from accounts.web import staff_of
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyLeak
from api_keys.services import Verdict


def no_secret(text: str) -> None:
    if api_keys.has_secret(text):
        raise ValidationError("This has a secret in it. Leave the secret out.")


class ReportLeakForm(forms.Form):
    """Says where a secret of a key was found."""

    url = forms.URLField(
        label="Where it was found",
        required=False,
        max_length=1000,
        assume_scheme="https",
        validators=[no_secret],
        help_text="The team is told. Empty where there is no address.",
        error_messages={"invalid": "This is not a web address."},
    )
    source = forms.CharField(
        label="What that is",
        max_length=60,
        validators=[no_secret],
        error_messages={"required": "Say what the secret was found in."},
        help_text="Such as: forum post, paste, mail of a customer. The team is told.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys of all teams. The digest is shown to nobody: it would tell whether a guess is right."""

    list_display = ["name", "redacted", "team", "owner", "status", "created_at", "last_used_at"]
    list_select_related = ["team", "owner"]
    search_fields = ["=id", "name", "=team__id", "redacted"]
    ordering = ["-created_at", "id"]
    exclude = ["digest"]

    def get_urls(self) -> list[URLPattern]:
        report = self.admin_site.admin_view(proof_required(self.report_leak))
        own = path("<uuid:key_id>/report-leak/", report, name="api_keys_apikey_report_leak")
        return [own, *super().get_urls()]

    def may_report(self, request: HttpRequest) -> bool:
        """Ask for the permission to change keys, although nothing else of them can be changed."""
        return admin.ModelAdmin.has_change_permission(self, request)

    def report_leak(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        """Block a key for who knows which one it is, and not its secret."""
        key = ApiKey.across_teams.select_related("team").filter(pk=key_id).first()
        if key is None:
            raise Http404
        if not self.may_report(request):
            raise PermissionDenied("You need permission to change API keys.")
        form = ReportLeakForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            verdict = api_keys.report_leak(
                key=key,
                reporter=api_keys.Reporter.STAFF,
                **form.cleaned_data,
                actor=staff_of(request),
                now=timezone.now(),
            )
            messages.info(
                request,
                f"The key {key.name} is blocked. Its owner and the team's admins were mailed."
                if verdict == Verdict.BLOCKED
                else f"The key {key.name} did not work any more. Nobody was mailed.",
            )
            return redirect("admin:api_keys_apikey_change", key.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": "Report a leak",
            "opts": self.opts,
            "key": key,
            "form": form,
        }
        return render(request, "admin/api_keys/apikey/report_leak.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["may_report"] = self.may_report(request)
        return super().render_change_form(request, context, *args, **kwargs)


@admin.register(KeyLeak)
class KeyLeakAdmin(ReadOnlyAdmin):
    """Where secrets were found, of all teams."""

    list_display = ["redacted", "key", "team", "reporter", "source", "url", "reported_at"]
    list_select_related = ["team", "key"]
    list_filter = ["reporter"]
    search_fields = ["=key__id", "=team__id", "redacted", "url"]
    ordering = ["-reported_at", "-pk"]
