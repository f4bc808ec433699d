"""What teams buy, for staff: looked up, and marked as paid when a bank transfer has arrived."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from billing.models import Purchase


@admin.register(Purchase)
class PurchaseAdmin(ReadOnlyAdmin):
    """Purchases of credits, paid or not."""

    list_display = [
        "id", "team", "buyer", "kind", "status", "amount_cents", "transfer_reference",
        "failure_code", "created_at",
    ]  # fmt: skip
    list_filter = ["kind", "status"]
    list_select_related = ["team", "buyer"]
    search_fields = ["=id", "=team__id", "=transfer_reference"]
    ordering = ["-pk"]
