"""The billing pages, under /team/<id>/billing/."""

from django.urls import path

from billing import views

app_name = "billing"
urlpatterns = [
    path("", views.credits_page, name="credits"),
    path("buy/", views.buy, name="buy"),
    path("spending-limit/", views.spending_limit, name="spending_limit"),
    path("checkout/<uuid:purchase_id>/", views.checkout, name="checkout"),
    path("checkout/<uuid:purchase_id>/confirm/", views.confirm, name="confirm"),
    path("invoices/", views.invoices, name="invoices"),
    path("invoices/<uuid:invoice_id>/", views.invoice, name="invoice"),
]
