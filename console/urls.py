"""Every address the console answers. Everything a team owns lives under /team/<id>/."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from api_keys import api as key_reports
from billing.views import webhook
from console import health, help, mailbox, views  # noqa: A004 -- it is what the module is

team_urls: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("api-keys/", include("api_keys.urls")),
    path("usage/", include("usage.urls")),
    path("audit/", include("audit.urls")),
    path("billing/", include("billing.urls")),
    path("", include("gateway.urls")),
    path("", include("accounts.team_urls")),
]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", views.root, name="root"),
    path("team/default/", views.default_team, name="default_team"),
    path("team/default/<path:rest>", views.default_team),
    path("team/<uuid:team_id>/", include(team_urls)),
    path("help/", help.index, name="help"),
    path("help/accounts/", help.account, name="help_accounts"),
    path("help/api-keys/", help.keys, name="help_api_keys"),
    path("help/billing/", help.billing, name="help_billing"),
    path("api/secret-scanning/github", key_reports.github, name="github_reports"),
    path("api/payments/stripe", webhook.stripe, name="stripe_events"),
    path("account/theme/", views.theme, name="theme"),
    path("", include("accounts.urls")),
    path("admin/", admin.site.urls),
]
if mailbox.is_open():
    urlpatterns += [path("mail/", include(mailbox.urlpatterns))]
