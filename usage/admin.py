"""Requests for staff: to look one up by its id, never to touch."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from usage.models import UsageEvent


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    """Requests of all teams."""

    list_display = ["id", "at", "team", "model", "cluster", "status", "cost_ticks"]
    search_fields = ["=id", "=team__id", "=api_key_id"]
    ordering = ["-id"]  # Ids begin with the time, and have an index over all teams.
