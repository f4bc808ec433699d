"""The addresses of a team's members and settings, under /team/<id>/."""

from django.urls import path

from accounts.views import members, teams

app_name = "accounts_team"

urlpatterns = [
    path("members/", members.members, name="members"),
    path("members/invite/", members.invite, name="members_invite"),
    path("members/leave/", members.leave, name="members_leave"),
    path("members/<uuid:user_id>/update/", members.update, name="members_update"),
    path("members/<uuid:user_id>/remove/", members.remove, name="members_remove"),
    path("members/invitations/<uuid:invitation_id>/resend/", members.resend, name="members_resend"),
    path("members/invitations/<uuid:invitation_id>/revoke/", members.revoke, name="members_revoke"),
    path("settings/", teams.settings, name="settings"),
    path("settings/rename/", teams.rename, name="settings_rename"),
    path("settings/mfa/", teams.mfa, name="settings_mfa"),
    path("settings/delete/", teams.delete, name="settings_delete"),
]
