"""Keys for staff: to see which there are. What they do to one goes through the services."""

from typing import Any

from django.contrib import admin

from api_keys.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin[ApiKey]):
    """Keys of all teams. The digest is shown to nobody: it would tell whether a guess is right."""

    list_display = ["name", "redacted", "team", "owner", "status", "created_at", "last_used_at"]
    list_select_related = ["team", "owner"]
    search_fields = ["=id", "name", "=team__id", "redacted"]
    ordering = ["-created_at", "id"]
    exclude = ["digest"]
    show_full_result_count = False

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        return False
