"""The audit log for staff: to look things up, never to touch."""

from typing import Any

from django.contrib import admin

from audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(admin.ModelAdmin[AuditEvent]):
    """Events of all teams, and of people without a team."""

    list_display = ["happened_at", "operation", "description", "actor_label", "team", "outcome"]
    list_filter = ["outcome", "actor_kind", "is_change"]
    list_select_related = ["team"]
    search_fields = ["=id", "=operation", "=team__id", "=user__id"]
    ordering = ["-happened_at", "-id"]
    show_full_result_count = False

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        return False
