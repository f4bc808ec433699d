"""Usage addresses, under /team/<id>/usage/."""

from django.urls import path

from usage import views

app_name = "usage"

urlpatterns = [
    path("", views.explorer, name="explorer"),
]
