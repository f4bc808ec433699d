"""Audit addresses, under /team/<id>/audit/."""

from django.urls import path

from audit import views

app_name = "audit"

urlpatterns = [
    path("", views.log, name="log"),
    path("<uuid:event_id>/", views.event, name="event"),
]
