"""The billing pages, under /team/<id>/billing/."""

from django.urls import path

from billing.views.checkout import (
    charge,
    charge_invoice,
    checkout,
    confirm,
    confirm_invoice,
    pay_invoice,
)
from billing.views.credits import buy, credits_page
from billing.views.details import details_page, save_details
from billing.views.invoices import invoice, invoice_csv, invoice_pdf, invoices, preview
from billing.views.ledger import ledger, ledger_csv
from billing.views.limits import alerts, spending_limit
from billing.views.methods import add_method, begin_entry, remove_method, set_default_method
from billing.views.months import invoice_now
from billing.views.promos import redeem
from billing.views.topups import top_up, top_up_off
from billing.views.transfers import cancel_transfer

app_name = "billing"
urlpatterns = [
    path("", credits_page, name="credits"),
    path("buy/", buy, name="buy"),
    path("redeem/", redeem, name="redeem"),
    path("spending-limit/", spending_limit, name="spending_limit"),
    path("alerts/", alerts, name="alerts"),
    path("top-up/", top_up, name="top_up"),
    path("top-up/off/", top_up_off, name="top_up_off"),
    path("transfers/<uuid:purchase_id>/cancel/", cancel_transfer, name="cancel_transfer"),
    path("checkout/<uuid:purchase_id>/", checkout, name="checkout"),
    path("checkout/<uuid:purchase_id>/charge/", charge, name="charge"),
    path("checkout/<uuid:purchase_id>/confirm/", confirm, name="confirm"),
    path("methods/add/", add_method, name="add_method"),
    path("methods/entry/", begin_entry, name="begin_entry"),
    path("methods/<uuid:method_id>/default/", set_default_method, name="set_default_method"),
    path("methods/<uuid:method_id>/remove/", remove_method, name="remove_method"),
    path("details/", details_page, name="details"),
    path("details/save/", save_details, name="save_details"),
    path("ledger/", ledger, name="ledger"),
    path("ledger/movements.csv", ledger_csv, name="ledger_csv"),
    path("invoices/", invoices, name="invoices"),
    path("invoices/now/", invoice_now, name="invoice_now"),
    path("invoices/preview/", preview, name="invoice_preview"),
    path("invoices/<uuid:invoice_id>/", invoice, name="invoice"),
    path("invoices/<uuid:invoice_id>/pay/", pay_invoice, name="pay_invoice"),
    path("invoices/<uuid:invoice_id>/pay/charge/", charge_invoice, name="charge_invoice"),
    path("invoices/<uuid:invoice_id>/pay/confirm/", confirm_invoice, name="confirm_invoice"),
    path("invoices/<uuid:invoice_id>/items.csv", invoice_csv, name="invoice_csv"),
    path("invoices/<uuid:invoice_id>/document.pdf", invoice_pdf, name="invoice_pdf"),
]
