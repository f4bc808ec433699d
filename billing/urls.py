"""The billing pages, under /team/<id>/billing/."""

from django.urls import path

from billing.views.checkout import checkout, confirm
from billing.views.credits import buy, credits_page, spending_limit
from billing.views.invoices import invoice, invoices

app_name = "billing"
urlpatterns = [
    path("", credits_page, name="credits"),
    path("buy/", buy, name="buy"),
    path("spending-limit/", spending_limit, name="spending_limit"),
    path("checkout/<uuid:purchase_id>/", checkout, name="checkout"),
    path("checkout/<uuid:purchase_id>/confirm/", confirm, name="confirm"),
    path("invoices/", invoices, name="invoices"),
    path("invoices/<uuid:invoice_id>/", invoice, name="invoice"),
]
