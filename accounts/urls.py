"""The addresses of accounts. Of allauth's pages only those that we have dressed are listed.

Its own list would open pages that nobody here has looked at: changing e-mails, adding second
factors, social sign-in.
"""

from allauth.account import views as allauth
from allauth.mfa.base import views as factors
from django.urls import URLPattern, URLResolver, include, path, re_path

from accounts.views import deletion, profile, teams

# allauth looks these up by name, so they keep its names and have no namespace.
door: list[URLPattern | URLResolver] = [
    path("login/", allauth.login, name="account_login"),
    path("factor/", factors.authenticate, name="mfa_authenticate"),
    path("logout/", allauth.logout, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("signup/", allauth.signup, name="account_signup"),
    path("confirm-email/", allauth.email_verification_sent, name="account_email_verification_sent"),
    re_path(
        r"^confirm-email/(?P<key>[-:\w]+)/$", allauth.confirm_email, name="account_confirm_email"
    ),
    path("password/reset/", allauth.password_reset, name="account_reset_password"),
    path("password/reset/done/", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[-\w]+)/$",
        allauth.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
]
own: list[URLPattern | URLResolver] = [
    path("", profile.profile, name="profile"),
    path("data/", profile.data, name="data"),
    path("delete/", deletion.delete, name="delete"),
    path("restore/", deletion.restore, name="restore"),
    path("teams/new/", teams.new_team, name="new_team"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include(door)),
    path("account/", include((own, "accounts"))),
]
