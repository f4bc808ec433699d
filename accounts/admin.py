"""People and teams as support sees them: to find and to read, hardly to change."""

from dataclasses import replace
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from accounts import services as accounts
from accounts.actors import ActorKind
from accounts.models import Membership, Team, User
from accounts.web import actor_of


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
    """Who belongs to a team, or where a person belongs."""

    model = Membership
    fields = ("user", "team", "role", "extra_permissions", "joined_at")
    readonly_fields = fields
    extra = 0


@admin.register(User)
class UserAdmin(Lasting, admin.ModelAdmin[User]):
    """A person. Support may close and open an account; only superusers make staff."""

    list_display = ("email", "name", "is_active", "is_staff", "date_joined", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name", "id")
    ordering = ("-date_joined", "-id")
    fields = (
        *("id", "email", "name", "timezone", "date_joined", "last_login"),
        *("is_active", "is_staff", "is_superuser", "groups", "user_permissions"),
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
        return [field for field in self.fields if field not in open_fields]

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
        form.standing_before = accounts.standing(User.objects.get(pk=obj.pk))
        flags = {"is_active", "is_staff", "is_superuser"}
        obj.save(update_fields=sorted(flags & set(form.changed_data)))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001
        super().save_related(request, form, formsets, change)
        accounts.announce_standing(
            person=form.instance,
            before=form.standing_before,
            actor=replace(actor_of(request), kind=ActorKind.STAFF),
            now=timezone.now(),
        )


@admin.register(Team)
class TeamAdmin(Lasting, admin.ModelAdmin[Team]):
    """A team and its members."""

    list_display = ("name", "id", "is_personal", "created_at")
    list_filter = ("is_personal",)
    search_fields = ("name", "id", "members__email")
    ordering = ("-created_at", "-id")
    fields = ("id", "name", "is_personal", "created_at")
    readonly_fields = fields
    inlines = (MembershipInline,)
