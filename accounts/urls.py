"""The addresses of accounts. Of allauth's pages only those that we have dressed are listed.

Its own list would open pages that nobody here has looked at, and that know nothing of our rules.
"""

from allauth.account import views as allauth
from allauth.socialaccount import views as sign_in
from django.urls import URLPattern, URLResolver, include, path, re_path

from accounts.views import (
    confirm,
    deletion,
    email,
    invitations,
    methods,
    profile,
    reauthenticate,
    security,
    sessions,
    social,
    teams,
)

# allauth looks these up by name, so they keep its names and have no namespace.
door: list[URLPattern | URLResolver] = [
    path("login/", allauth.login, name="account_login"),
    path("factor/", security.second_step, name="mfa_authenticate"),
    path("passkey/", security.sign_in_with_key, name="mfa_login_webauthn"),
    path("logout/", allauth.logout, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("signup/", allauth.signup, name="account_signup"),
    path("confirm-email/", allauth.email_verification_sent, name="account_email_verification_sent"),
    re_path(r"^confirm-email/(?P<key>[-:\w]+)/$", confirm.confirm, name="account_confirm_email"),
    path("password/reset/", allauth.password_reset, name="account_reset_password"),
    path("password/reset/done/", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[-\w]+)/$",
        allauth.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    # For every provider that the settings switch on; 404 for any other name.
    path("social/<str:provider_id>/", social.begin, name="social_begin"),
    path("social/<str:provider_id>/callback/", social.callback, name="social_callback"),
    path("new/", social.sign_up, name="socialaccount_signup"),
    path("cancelled/", sign_in.login_cancelled, name="socialaccount_login_cancelled"),
]
own: list[URLPattern | URLResolver] = [
    path("", profile.profile, name="profile"),
    path("data/", profile.data, name="data"),
    path("delete/", deletion.delete, name="delete"),
    path("restore/", deletion.restore, name="restore"),
    path("methods/", methods.methods, name="methods"),
    path("methods/add/", social.add, name="add_method"),
    path("methods/link/", social.link, name="link"),
    path("methods/remove/", methods.remove, name="remove_method"),
    path("email/keep/", email.keep, name="keep_email"),
    path("email/link/", email.send_again, name="send_email_link"),
    path("email/undo/<str:token>/", email.undo, name="undo_email"),
    path("invitations/<str:token>/", invitations.invitation, name="invitation"),
    path("security/browsers/forget/", security.forget_browsers, name="forget_browsers"),
    path("security/mail/", security.sign_in_mail, name="sign_in_mail"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/end/", sessions.end_others, name="end_other_sessions"),
    path("sessions/<int:session_id>/end/", sessions.end, name="end_session"),
    path("teams/new/", teams.new_team, name="new_team"),
]
# Of allauth's, those of people who are signed in.
account: list[URLPattern | URLResolver] = [
    path("email/", email.email, name="account_email"),
    path("password/", methods.change_password, name="account_change_password"),
    path("password/set/", methods.set_password, name="account_set_password"),
    path("security/", security.security, name="mfa_index"),
    path("security/prove/", reauthenticate.reauthenticate, name="account_reauthenticate"),
    path("security/app/add/", security.add_app, name="mfa_activate_totp"),
    path("security/app/remove/", security.remove_app, name="mfa_deactivate_totp"),
    path("security/keys/add/", security.add_key, name="mfa_add_webauthn"),
    path("security/keys/<int:pk>/rename/", security.rename_key, name="mfa_edit_webauthn"),
    path("security/keys/<int:pk>/remove/", security.remove_key, name="mfa_remove_webauthn"),
    path("security/codes/", security.recovery_codes, name="mfa_view_recovery_codes"),
    path("security/codes/file/", security.download_codes, name="mfa_download_recovery_codes"),
    path("security/codes/make/", security.make_codes, name="mfa_generate_recovery_codes"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include(door)),
    path("account/", include(account)),
    path("account/", include((own, "accounts"))),
]
