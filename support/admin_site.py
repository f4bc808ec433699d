"""The door of /admin/: who may come in, and what stays out of everyone's hands."""

from collections.abc import Iterable
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib.admin import AdminSite, ModelAdmin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from django_otp import user_has_device
from django_otp.admin import OTPAdminSite

# A person's factors, sessions and ways to sign in are theirs: nobody else removes or adds them,
# or whoever takes over a staff account could take over any other.
PRIVATE_APPS = {"account", "mfa", "socialaccount", "usersessions"}


class ConsoleAdminSite(OTPAdminSite):
    """Django's admin, for staff who have passed a second factor.

    With DEBUG, staff who have none yet may come in without, to try the console out.
    """

    site_header = site_title = f"{settings.CONSOLE_NAME} support"
    index_title = "What support may see and change"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        models = (
            [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        )
        for model in models:
            if model._meta.app_label not in PRIVATE_APPS:  # noqa: SLF001 -- Django documents it
                super().register(model, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        if super().has_permission(request):
            return True
        has_password_only = AdminSite.has_permission(self, request)
        return settings.DEBUG and has_password_only and not user_has_device(request.user)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """Send everyone through the console's own sign-in, where the limits on attempts are."""
        if not request.user.is_authenticated:
            return redirect_to_login(request.GET.get("next", "") or request.path)
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_staff:
            raise PermissionDenied(
                "The admin asks for a second factor, and this session was not started with one."
            )
        raise PermissionDenied("The admin is for support staff.")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """Lead to the one page that changes passwords: it asks for proof and ends sessions."""
        return redirect("account_change_password")

    def password_change_done(
        self,
        request: HttpRequest,  # noqa: ARG002 -- Django's signature
        extra_context: Any = None,  # noqa: ARG002
    ) -> HttpResponse:
        return redirect("account_change_password")

    @method_decorator(require_POST)
    def logout(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        adapter = get_adapter(request)
        adapter.logout(request)
        return redirect(adapter.get_logout_redirect_url(request))
