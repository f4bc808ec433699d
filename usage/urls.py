"""Usage addresses, under /team/<id>/usage/."""

from django.urls import path

from usage import views

app_name = "usage"

urlpatterns = [
    path("", views.explorer, name="explorer"),
    path("table.csv", views.table_csv, name="table_csv"),
    path("table.json", views.table_json, name="table_json"),
    path("values/", views.values, name="values"),
]
