"""Every address the console answers. Everything a team owns lives under /team/<id>/."""

from django.contrib import admin
from django.urls import include, path

from console import views

team_urls = [
    path("", views.home, name="home"),
    path("api-keys/", include("api_keys.urls")),
    path("usage/", include("usage.urls")),
    path("audit/", include("audit.urls")),
    path("billing/", include("billing.urls")),
]

urlpatterns = [
    path("", views.root, name="root"),
    path("team/default/", views.default_team, name="default_team"),
    path("team/default/<path:rest>", views.default_team),
    path("team/<uuid:team_id>/", include(team_urls)),
    path("account/theme/", views.theme, name="theme"),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]
