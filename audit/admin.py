"""The audit log for staff: to look things up, never to touch."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from audit.models import AuditEvent


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Events of all teams, and of people without a team."""

    list_display = ["happened_at", "operation", "description", "actor_label", "team", "outcome"]
    list_filter = ["outcome", "actor_kind", "is_change"]
    search_fields = ["=id", "=operation", "=team__id", "=user__id"]
    ordering = ["-happened_at", "-id"]
