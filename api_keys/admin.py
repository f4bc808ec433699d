"""Keys for staff: to see which there are. What they do to one goes through the services."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from api_keys.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys of all teams. The digest is shown to nobody: it would tell whether a guess is right."""

    list_display = ["name", "redacted", "team", "owner", "status", "created_at", "last_used_at"]
    list_select_related = ["team", "owner"]
    search_fields = ["=id", "name", "=team__id", "redacted"]
    ordering = ["-created_at", "id"]
    exclude = ["digest"]
