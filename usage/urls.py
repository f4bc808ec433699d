"""Usage addresses, under /team/<id>/usage/."""

from django.urls import path

from usage import views

app_name = "usage"

urlpatterns = [
    path("", views.explorer, name="explorer"),
    path("table.csv", views.table_csv, name="table_csv"),
    path("table.json", views.table_json, name="table_json"),
    path("values/", views.values, name="values"),
    path("requests/", views.requests, name="requests"),
    path("requests/<uuid:request_id>/", views.request_details, name="request"),
    path("exports/", views.exports, name="exports"),
    path("exports/<uuid:export_id>/", views.export, name="export"),
    path("exports/<uuid:export_id>/file", views.export_file, name="export_file"),
    path("exports/<uuid:export_id>/cancel/", views.cancel_export, name="cancel_export"),
    path("exports/<uuid:export_id>/retry/", views.retry_export, name="retry_export"),
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/create/", views.create_alert, name="create_alert"),
    path("alerts/<uuid:alert_id>/edit/", views.edit_alert, name="edit_alert"),
    path("alerts/<uuid:alert_id>/delete/", views.delete_alert, name="delete_alert"),
]
