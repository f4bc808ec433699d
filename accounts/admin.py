"""People and teams as support sees them: to find and to read, hardly to change."""

from typing import Any, ClassVar

from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.text import get_text_list

from accounts import services as accounts
from accounts.consequences import BlockedError
from accounts.forms.profile import SupportDeletesForm
from accounts.models import Membership, Team, User
from accounts.proof import proof_required
from accounts.web import staff_of


class Lasting:
    """Nothing is added or deleted by hand: teams and people come with rows that belong to them."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False


class ReadOnlyAdmin(Lasting, admin.ModelAdmin[Any]):
    """A team's rows that nobody edits: they are history, or the work of a service."""

    list_select_related: ClassVar[Any] = ["team"]
    show_full_result_count = False  # Counting all rows of all teams takes long.

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False


class MembershipInline(Lasting, admin.TabularInline[Membership, Any]):
    """Who belongs to a team, or where a person belongs. Only teams themselves change that."""

    model = Membership
    fields = ("user", "team", "role", "extra_permissions", "joined_at")
    readonly_fields = fields
    extra = 0

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False


@admin.register(User)
class UserAdmin(Lasting, admin.ModelAdmin[User]):
    """A person. Support may close and open an account; only superusers make staff.

    How a person signs in can be read here, and changed nowhere: neither a password nor a second
    factor is support's to reset. Who lost both can have the account deleted, and make a new one.
    """

    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff", ("deletion_requested_at", admin.EmptyFieldListFilter))
    search_fields = ("email", "name", "id")
    ordering = ("-date_joined", "-id")
    fieldsets = (
        (None, {"fields": ("id", "email", "name", "timezone", "date_joined", "last_login")}),
        (
            "Signing in",
            {
                "fields": ("sign_in_methods", "second_factors"),
                "description": "Nobody can remove or reset a second factor, staff included. "
                "A person who has lost it and the recovery codes cannot be let in. The way out is "
                "to delete the account, after making sure that its owner asks.",
            },
        ),
        ("Deletion", {"fields": ("deletion_requested_at", "erased_from", "erased_at")}),
        (
            "What the account may do",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
    )
    filter_horizontal = ("groups", "user_permissions")
    inlines = (MembershipInline,)

    OPEN_TO_STAFF = ("is_active",)
    OPEN_TO_SUPERUSERS = (*OPEN_TO_STAFF, "is_staff", "is_superuser", "groups", "user_permissions")

    def get_readonly_fields(
        self,
        request: HttpRequest,
        obj: User | None = None,  # noqa: ARG002
    ) -> list[str]:
        open_fields = self.OPEN_TO_SUPERUSERS if request.user.is_superuser else self.OPEN_TO_STAFF
        shown = flatten_fieldsets(self.fieldsets)
        return [field for field in shown if field not in open_fields]

    @admin.display(description="Sign-in methods")
    def sign_in_methods(self, user: User) -> str:
        return ", ".join(accounts.names_of(accounts.methods_of(user))) or "None"

    @admin.display(description="Second factors")
    def second_factors(self, user: User) -> str:
        """Name the kinds; a factor's own data are its secret."""
        factors = Authenticator.objects.filter(user=user).order_by("type", "pk")
        kinds = [
            f"{factor.get_type_display()} ({factor.created_at:%-d %b %Y})" for factor in factors
        ]
        return ", ".join(kinds) or "None"

    @admin.display(description="Erased from")
    def erased_from(self, user: User) -> Any:
        return accounts.erased_from(user) if user.deletion_requested_at else "-"

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Or staff could lock out who made them staff.
        above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not above

    def save_model(
        self,
        request: HttpRequest,  # noqa: ARG002 -- Django's signature
        obj: User,
        form: Any,
        change: bool,  # noqa: ARG002, FBT001
    ) -> None:
        # Locked, because who is closed cannot be counted on in their teams any more.
        form.standing_before = accounts.standing(accounts.lock_person_in_teams(obj.pk))
        flags = {"is_active", "is_staff", "is_superuser"}
        obj.save(update_fields=sorted(flags & set(form.changed_data)))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        super().save_related(request, form, formsets, change)
        person, actor, now = form.instance, staff_of(request), timezone.now()
        accounts.announce_standing(person=person, before=form.standing_before, actor=actor, now=now)
        if form.standing_before["is_active"] and not person.is_active:
            accounts.revoke_all_unbacked(inviter=person, actor=actor, now=now)
            if teams := accounts.teams_without_another_admin(person):
                messages.warning(
                    request,
                    f"{get_text_list([team.name for team in teams], 'and')} "
                    f"{'have' if len(teams) > 1 else 'has'} no admin any more who can sign in.",
                )

    # --- Deleting somebody's account, because they asked support

    def get_urls(self) -> list[URLPattern]:
        delete = self.admin_site.admin_view(proof_required(self.delete_account))
        own = path("<uuid:user_id>/delete-account/", delete, name="accounts_user_delete_account")
        return [own, *super().get_urls()]

    def delete_account(self, request: HttpRequest, user_id: Any) -> HttpResponse:
        """Start the 30 days for a person who asked for it and cannot do it themselves."""
        person = User.objects.filter(pk=user_id).first()
        if person is None or person.erased_at:
            raise Http404
        if not self.has_change_permission(request, person):
            raise PermissionDenied("You need permission to change this account.")
        page = redirect("admin:accounts_user_change", person.pk)
        if person.is_leaving:
            messages.info(request, "This account is already about to be deleted.")
            return page
        form = SupportDeletesForm(request.POST or None, user=person)
        if request.method == "POST" and form.is_valid():
            try:
                accounts.request_deletion(
                    user=person,
                    actor=staff_of(request),
                    reason=form.cleaned_data["reason"],
                    now=timezone.now(),
                )
            except BlockedError as error:
                form.add_error(None, str(error))
            else:
                messages.info(
                    request,
                    f"{person.email} was mailed. Only the person can take the deletion back.",
                )
                return page
        told = accounts.deletion_consequences(person, now=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            "title": "Delete account",
            "opts": self.opts,
            "person": person,
            "form": form,
            "told": told,
            "is_blocked": any(consequence.blocks for consequence in told),
            "erased_from": timezone.now() + accounts.GRACE,
        }
        return render(request, "admin/accounts/user/delete_account.html", context)


@admin.register(Team)
class TeamAdmin(Lasting, admin.ModelAdmin[Team]):
    """A team and its members: to be read. What it is called and asks is its own to say."""

    list_display = ("name", "id", "is_personal", "has_admin", "created_at", "closed_at")
    list_filter = ("is_personal", "requires_mfa", ("closed_at", admin.EmptyFieldListFilter))
    search_fields = ("name", "id", "members__email")
    ordering = ("-created_at", "-id")
    fields = ("id", "name", "is_personal", "requires_mfa", "has_admin", "created_at", "closed_at")
    readonly_fields = fields
    inlines = (MembershipInline,)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        there = accounts.present_admins().filter(team=OuterRef("pk"))
        return super().get_queryset(request).annotate(has_admin=Exists(there))

    @admin.display(description="Has an admin who can sign in", boolean=True)
    def has_admin(self, team: Any) -> bool | None:
        """Tell a team that nobody can look after; of those that are closed nobody has to."""
        return None if team.closed_at else team.has_admin
