"""What the gateway serves and within which limits, under /team/<id>/."""

from django.urls import path

from gateway import views

app_name = "gateway"
urlpatterns = [
    path("models/", views.models, name="models"),
    path("rate-limits/", views.rate_limits, name="rate_limits"),
    path("rate-limits/use/", views.rate_limits_use, name="rate_limits_use"),
    path("rate-limits/increase/", views.rate_limits_increase, name="rate_limits_increase"),
]
