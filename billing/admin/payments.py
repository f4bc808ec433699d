"""Attempts to collect money, and the cards they were made with: brand and last digits alone."""

from django.contrib import admin

from accounts.admin import ReadOnlyAdmin
from billing.admin.shown import dollars, reason_of
from billing.models import Payment, PaymentMethod, SandboxPayment


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """Attempts to collect, those that were declined among them."""

    amount = dollars("amount_cents", "Amount")

    list_display = ["started_at", "team", "collected_for", "amount", "method", "status"]
    list_filter = ["status"]
    list_select_related = ["team", "invoice", "method"]
    search_fields = [
        "=id", "=team__id", "team__name", "=purchase__id", "=invoice__id", "=reference",
    ]  # fmt: skip
    ordering = ["-started_at", "-pk"]
    fields = [
        "id", "team", "purchase", "invoice", "amount", "method", "status", "why", "started_by",
        "is_by_itself", "reference", "started_at", "decided_at",
    ]  # fmt: skip

    @admin.display(description="Reason")
    def why(self, payment: Payment) -> str:
        return reason_of(payment.failure_code)

    @admin.display(description="Without anybody there", boolean=True)
    def is_by_itself(self, payment: Payment) -> bool:
        return payment.is_off_session

    @admin.display(description="For")
    def collected_for(self, payment: Payment) -> str:
        return str(payment.invoice or "Purchase")


@admin.register(PaymentMethod)
class PaymentMethodAdmin(ReadOnlyAdmin):
    """Cards that were entered. Their numbers were never here."""

    list_display = ["name", "team", "expiry", "is_on_file", "is_default", "added_at"]
    list_filter = ["is_default", "processor"]
    search_fields = ["=id", "=team__id", "team__name", "=last4", "=reference"]
    ordering = ["-added_at", "-pk"]
    fields = [
        "id", "team", "name", "expiry", "country", "is_on_file", "is_default", "added_by",
        "added_at", "kept_at", "removed_at", "forgotten_at", "processor", "reference",
    ]  # fmt: skip

    @admin.display(description="On file", boolean=True)
    def is_on_file(self, method: PaymentMethod) -> bool:
        return method.kept_at is not None and method.removed_at is None


@admin.register(SandboxPayment)
class SandboxPaymentAdmin(ReadOnlyAdmin):
    """The built-in processor's own record."""

    amount = dollars("amount_cents", "Amount")
    refunded = dollars("refunded_cents", "Paid back")

    list_display = ["created_at", "amount", "card", "status"]
    list_filter = ["status"]
    list_select_related = False
    search_fields = ["=id", "=idempotency_key"]
    ordering = ["-pk"]
    fields = ["id", "idempotency_key", "amount", "refunded", "card", "status", "code", "created_at"]

    @admin.display(description="Card")
    def card(self, payment: SandboxPayment) -> str:
        return f"{payment.card_brand} ending {payment.card_last4}" if payment.card_last4 else "-"
