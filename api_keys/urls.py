"""API key addresses, under /team/<id>/api-keys/."""

from django.urls import path

from api_keys import views

app_name = "api_keys"

urlpatterns = [
    path("", views.keys, name="list"),
    path("create/", views.create, name="create"),
    path("<uuid:key_id>/disable/", views.disable, name="disable"),
    path("<uuid:key_id>/enable/", views.enable, name="enable"),
    path("<uuid:key_id>/delete/", views.delete, name="delete"),
]
