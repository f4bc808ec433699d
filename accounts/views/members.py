"""The members of a team: who they are, what they may do, inviting, changing, removing, leaving."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower, NullIf
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.text import get_text_list
from django.views.decorators.http import require_POST, require_safe

from accounts import services as accounts
from accounts.consequences import BlockedError
from accounts.devices import SECOND_FACTORS, Factor
from accounts.forms.teams import InviteForm, StandingForm
from accounts.models import Invitation, Membership
from accounts.proof import proof_required
from accounts.rules import Permission
from accounts.web import TeamRequest, pager, render_page, team_view

PAGE_SIZE = 50
# How its fields are known on the page, where the form to invite people has the same.
CHANGE_ID = "change_%s"


@team_view(Permission.TEAM_READ, operation="ListMembers")
@require_safe
def members(request: TeamRequest) -> HttpResponse:
    """List who is in the team; `?dialog=change&member=<id>` asks about one of them."""
    dialog, member = request.GET.get("dialog"), _asked_about(request)
    if member and dialog == "change":
        form = StandingForm(giver=request.membership, member=member, auto_id=CHANGE_ID)
        return _page(request, change_form=form)
    return _page(request, removing=member if dialog == "remove" else None)


@team_view(Permission.TEAM_WRITE, operation="InviteMember")
@proof_required
@require_POST
def invite(request: TeamRequest) -> HttpResponse:
    form = InviteForm(request.POST, giver=request.membership)
    if not form.is_valid():
        return _page(request, invite_form=form)
    try:
        sent = accounts.invite(
            team=request.team,
            emails=form.cleaned_data["emails"],
            role=Membership.Role(form.cleaned_data["role"]),
            extra_permissions=form.cleaned_data["extra_permissions"],
            actor=request.actor,
            now=timezone.now(),
        )
    except (accounts.AlreadyMemberError, accounts.TooManyInvitationsError) as error:
        form.add_error("emails", str(error))
        return _page(request, invite_form=form)
    if sent.to:
        messages.info(request, f"Invited {get_text_list(sent.to, 'and')}.")
    if sent.waiting:
        been = "has an invitation" if len(sent.waiting) == 1 else "have invitations"
        messages.warning(
            request,
            f"{get_text_list(sent.waiting, 'and')} {been} already. You can send it again below.",
        )
    return _to_list(request)


@team_view(Permission.TEAM_WRITE, operation="UpdateMember")
@proof_required
@require_POST
def update(request: TeamRequest, user_id: UUID) -> HttpResponse:
    member = _member(request, user_id)
    if member is None:
        return _gone(request)
    user = member.user
    form = StandingForm(request.POST, giver=request.membership, member=member, auto_id=CHANGE_ID)
    if not form.is_valid():
        return _page(request, change_form=form)
    try:
        accounts.update_member(
            team=request.team,
            user=user,
            role=Membership.Role(form.cleaned_data["role"]),
            extra_permissions=form.cleaned_data["extra_permissions"],
            actor=request.actor,
            now=timezone.now(),
        )
    except (accounts.LastAdminError, accounts.NotMemberError) as error:
        messages.warning(request, str(error))
    else:
        messages.info(request, f"Saved the role of {user.display_name}.")
    return _to_list(request)


@team_view(Permission.TEAM_WRITE, operation="RemoveMember")
@proof_required
@require_POST
def remove(request: TeamRequest, user_id: UUID) -> HttpResponse:
    member = _member(request, user_id)
    if member is None:
        return _gone(request)
    user = member.user
    try:
        accounts.remove_member(
            team=request.team, user=user, actor=request.actor, now=timezone.now()
        )
    except (accounts.LastAdminError, accounts.NotMemberError, BlockedError) as error:
        messages.warning(request, str(error))
    else:
        messages.info(request, f"{user.display_name} is removed from the team.")
    return _to_list(request)


@team_view(Permission.TEAM_READ, operation="LeaveTeam")
@require_POST
def leave(request: TeamRequest) -> HttpResponse:
    try:
        accounts.leave_team(
            team=request.team, user=request.user, actor=request.actor, now=timezone.now()
        )
    except (accounts.LastAdminError, BlockedError) as error:
        messages.warning(request, str(error))
        return _to_list(request)
    except accounts.NotMemberError:
        # Removed, or gone by another tab, since the door let them in: what they see no more.
        messages.info(request, f"You are no longer in {request.team.name}.")
    else:
        messages.info(request, f"You have left {request.team.name}.")
    return redirect("default_team")


@team_view(Permission.TEAM_WRITE, operation="ResendInvitation")
@require_POST
def resend(request: TeamRequest, invitation_id: UUID) -> HttpResponse:
    invitation = _invitation_or_404(request, invitation_id)
    try:
        accounts.resend_invitation(invitation=invitation, actor=request.actor, now=timezone.now())
    except (accounts.InvitationOverError, accounts.TooManyInvitationsError) as error:
        messages.warning(request, str(error))
    else:
        messages.info(
            request,
            f"Sent a new link to {invitation.email}. The earlier link no longer works.",
        )
    return _to_list(request)


@team_view(Permission.TEAM_WRITE, operation="RevokeInvitation")
@require_POST
def revoke(request: TeamRequest, invitation_id: UUID) -> HttpResponse:
    invitation = _invitation_or_404(request, invitation_id)
    try:
        accounts.revoke_invitation(invitation=invitation, actor=request.actor, now=timezone.now())
    except accounts.InvitationOverError as error:
        messages.warning(request, str(error))
    else:
        messages.info(request, f"The invitation of {invitation.email} is revoked.")
    return _to_list(request)


def _page(
    request: TeamRequest,
    *,
    invite_form: InviteForm | None = None,
    change_form: StandingForm | None = None,
    removing: Membership | None = None,
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    may_write = Permission.TEAM_WRITE in request.membership.permissions
    search, now = request.GET.get("q", "").strip(), timezone.now()
    page = Paginator(_found(request, search), PAGE_SIZE).get_page(request.GET.get("page"))
    for member in page:
        member.team = request.team
    list_url = reverse("accounts_team:members", args=[request.team.pk])
    context: dict[str, Any] = {
        "page": page,
        "list_url": list_url,
        "pager": pager(page, list_url, q=search),
        "here": _here(request),
        "search": search,
        "now": now,
        "may_write": may_write,
        "change_form": change_form,
        "removing": removing,
        "dialog": request.GET.get("dialog", ""),
    }
    if removing:
        context["consequences"] = accounts.leaving(request.team, removing.user, now=now)
        context["is_last_admin"] = accounts.is_last_admin(removing)
    elif context["dialog"] == "leave":
        context["consequences"] = accounts.leaving(request.team, request.user, now=now)
        context["is_last_admin"] = accounts.is_last_admin(request.membership)
    if may_write and not request.team.is_personal:
        context["invite_form"] = invite_form or InviteForm(giver=request.membership)
        context["invitation_days"] = accounts.INVITATION_LIFETIME.days
        context["invitations"] = accounts.waiting_invitations(request.team)
    return render_page(
        request, "accounts/members.html", context, partials={"members"}, status=status
    )


def _found(request: TeamRequest, search: str) -> QuerySet[Membership]:
    name = Lower(Coalesce(NullIf("user__name", Value("")), "user__email"))
    factors = Factor.objects.filter(user=OuterRef("user"), type__in=SECOND_FACTORS)
    members = Membership.objects.filter(team=request.team).select_related("user")
    if search and "\0" not in search:
        members = members.filter(Q(user__name__icontains=search) | Q(user__email__icontains=search))
    return members.annotate(has_mfa=Exists(factors)).order_by(name, "user_id")


def _here(request: TeamRequest) -> str:
    """Name the part of the list that is on the page, so that buttons lead back to it."""
    asked = {name: request.GET.get(name, "") for name in ("q", "page")}
    return f"?{urlencode(given)}" if (given := {k: v for k, v in asked.items() if v}) else ""


def _to_list(request: TeamRequest) -> HttpResponseRedirect:
    return redirect(reverse("accounts_team:members", args=[request.team.pk]) + _here(request))


def _asked_about(request: TeamRequest) -> Membership | None:
    try:
        user_id = UUID(request.GET.get("member", ""))
    except ValueError:
        return None
    if Permission.TEAM_WRITE not in request.membership.permissions or request.team.is_personal:
        return None
    members = Membership.objects.filter(team=request.team, user_id=user_id)
    member = members.select_related("user", "team").first()
    # Only an admin changes what an admin may do.
    may_change = member and (request.membership.is_admin or not member.is_admin)
    return member if may_change else None


def _member(request: TeamRequest, user_id: UUID) -> Membership | None:
    return Membership.objects.filter(team=request.team, user=user_id).select_related("user").first()


def _gone(request: TeamRequest) -> HttpResponse:
    """Show the list to whoever asks about somebody who is not on it, any more or at all.

    Alike for who was removed a moment ago, for strangers, and for ids that nobody has: whose
    account an id is, is not told.
    """
    messages.warning(request, str(accounts.NotMemberError(request.team)))
    return _page(request, status=HTTPStatus.NOT_FOUND)


def _invitation_or_404(request: TeamRequest, invitation_id: UUID) -> Invitation:
    rows = Invitation.of(request.team).select_related("team")
    invitation = rows.filter(pk=invitation_id).first()
    if invitation is None:
        raise Http404
    return invitation
