"""API key addresses, under /team/<id>/api-keys/."""

from django.urls import path

from api_keys import views

app_name = "api_keys"

urlpatterns = [
    path("", views.keys, name="list"),
    path("create/", views.create, name="create"),
    path("settings/", views.settings, name="settings"),
    path("<uuid:key_id>/", views.key, name="key"),
    path("<uuid:key_id>/edit/", views.edit, name="edit"),
    path("<uuid:key_id>/rotate/", views.rotate, name="rotate"),
    path("<uuid:key_id>/secrets/<int:retired_id>/end/", views.end_secret, name="end_secret"),
    path("<uuid:key_id>/disable/", views.disable, name="disable"),
    path("<uuid:key_id>/enable/", views.enable, name="enable"),
    path("<uuid:key_id>/delete/", views.delete, name="delete"),
]
