"""Who a team's invoices are made out to."""

from django.db import models
from django.db.models import Q

from accounts.scoping import TeamDoor, TeamOwned


class BillingDetails(TeamOwned):
    """Name, address and tax number, as the next invoice will have them. One row per team."""

    team = models.OneToOneField("accounts.Team", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    email = models.EmailField()
    line1 = models.CharField(max_length=120)
    line2 = models.CharField(max_length=120, blank=True)
    city = models.CharField(max_length=80)
    state = models.CharField(max_length=80, blank=True)
    postal_code = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2)  # ISO 3166-1.
    tax_id_type = models.CharField(max_length=20, blank=True)  # As Stripe calls it: "eu_vat".
    tax_number = models.CharField(max_length=40, blank=True)  # Without spaces and dots.
    changed_at = models.DateTimeField()

    of = TeamDoor[models.QuerySet["BillingDetails"]]()

    class Meta:
        verbose_name_plural = "billing details"
        constraints = [
            models.CheckConstraint(
                condition=Q(tax_id_type="", tax_number="")
                | (~Q(tax_id_type="") & ~Q(tax_number="")),
                name="billing_details_tax_number_has_type",
            ),
        ]

    def __str__(self) -> str:
        return self.name
