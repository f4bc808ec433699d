"""Requests for staff: to look one up by its id, never to touch."""

from typing import Any

from django.contrib import admin

from usage.models import UsageEvent


@admin.register(UsageEvent)
class UsageEventAdmin(admin.ModelAdmin[UsageEvent]):
    """Requests of all teams."""

    list_display = ["id", "at", "team", "model", "cluster", "status", "cost_ticks"]
    list_select_related = ["team"]
    search_fields = ["=id", "=team__id", "=api_key_id"]
    ordering = ["-id"]  # Ids begin with the time, and have an index over all teams.
    show_full_result_count = False

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        return False
