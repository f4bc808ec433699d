"""What teams have set themselves: whom invoices are made out to, and when credits are bought."""

from django.contrib import admin
from django.utils import timezone

from accounts.admin import ReadOnlyAdmin
from billing import services as billing
from billing.admin.shown import dollars
from billing.models import BillingDetails, TopUpRule
from billing.rules import usd_cents


@admin.register(BillingDetails)
class BillingDetailsAdmin(ReadOnlyAdmin):
    """Names, addresses and tax numbers, as the next invoice has them."""

    list_display = ["name", "team", "email", "country", "changed_at"]
    search_fields = ["=team__id", "team__name", "name", "email", "=tax_number"]
    ordering = ["name", "pk"]


@admin.register(TopUpRule)
class TopUpRuleAdmin(ReadOnlyAdmin):
    """When credits are bought by themselves."""

    trigger = dollars("trigger_cents", "Below")
    amount = dollars("amount_cents", "Buys")
    month_max = dollars("month_max_cents", "At most a month")

    list_display = ["team", "is_on", "trigger", "amount", "month_max", "changed_at"]
    list_filter = ["is_on"]
    search_fields = ["=team__id", "team__name"]
    ordering = ["team__name", "pk"]
    fields = [
        "team", "is_on", "trigger", "amount", "month_max", "bought_this_month", "stopped_because",
        "set_by", "changed_at",
    ]  # fmt: skip

    @admin.display(description="Bought this month")
    def bought_this_month(self, rule: TopUpRule) -> str:
        standing = billing.top_up(rule.team, now=timezone.now())
        return usd_cents(standing.month_cents) if standing else "-"

    @admin.display(description="Switched off by itself")
    def stopped_because(self, rule: TopUpRule) -> str:
        standing = billing.top_up(rule.team, now=timezone.now())
        return (standing and standing.stopped_because) or "-"
