"""The billing pages, under /team/<id>/billing/."""

from django.urls import path

from billing.views.checkout import checkout, confirm
from billing.views.credits import buy, credits_page
from billing.views.details import details_page, save_details
from billing.views.invoices import invoice, invoice_csv, invoice_pdf, invoices, preview
from billing.views.ledger import ledger, ledger_csv
from billing.views.limits import alerts, spending_limit
from billing.views.promos import redeem

app_name = "billing"
urlpatterns = [
    path("", credits_page, name="credits"),
    path("buy/", buy, name="buy"),
    path("redeem/", redeem, name="redeem"),
    path("spending-limit/", spending_limit, name="spending_limit"),
    path("alerts/", alerts, name="alerts"),
    path("checkout/<uuid:purchase_id>/", checkout, name="checkout"),
    path("checkout/<uuid:purchase_id>/confirm/", confirm, name="confirm"),
    path("details/", details_page, name="details"),
    path("details/save/", save_details, name="save_details"),
    path("ledger/", ledger, name="ledger"),
    path("ledger/movements.csv", ledger_csv, name="ledger_csv"),
    path("invoices/", invoices, name="invoices"),
    path("invoices/preview/", preview, name="invoice_preview"),
    path("invoices/<uuid:invoice_id>/", invoice, name="invoice"),
    path("invoices/<uuid:invoice_id>/items.csv", invoice_csv, name="invoice_csv"),
    path("invoices/<uuid:invoice_id>/document.pdf", invoice_pdf, name="invoice_pdf"),
]
