"""The page of ways to sign in, and what its buttons do."""

from typing import Any

from allauth.account.views import PasswordChangeView, PasswordSetView
from allauth.socialaccount.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import services as accounts
from accounts.proof import proof_required
from accounts.web import AccountRequest, actor_of, render_page


@require_safe
@never_cache
def methods(request: AccountRequest) -> HttpResponse:
    """List the ways to sign in; `?dialog=remove&method=<id>` asks about one of them."""
    found = accounts.methods_of(request.user)
    context: dict[str, Any] = {
        "methods": [(method, accounts.is_last(method, found)) for method in found],
        "has_password": request.user.has_usable_password(),
        "providers": get_adapter().list_providers(request),
        "asked": _asked_to_remove(request, found),
        "pending": accounts.pending_email(request.user),
    }
    return render_page(request, "accounts/methods.html", context)


def _asked_to_remove(
    request: AccountRequest, found: list[accounts.SignInMethod]
) -> accounts.SignInMethod | None:
    if request.GET.get("dialog") != "remove":
        return None
    asked = request.GET.get("method", "")
    named = (m for m in found if str(m.account_id or "password") == asked)
    method = next(named, None)
    return method if method and not accounts.is_last(method, found) else None


@never_cache
@proof_required
@require_POST
def remove(request: AccountRequest) -> HttpResponse:
    """Take a way to sign in away: the password, or an account elsewhere."""
    asked = request.POST.get("method", "")
    try:
        if asked == "password":
            removed = _remove_password(request)
        else:
            # Compared as text: not everything that looks like a number can be made one.
            found = (m.account_id for m in accounts.methods_of(request.user) if m.account_id)
            removed = accounts.remove_social_account(
                user=request.user,
                account_id=next((pk for pk in found if str(pk) == asked), 0),
                current_key=request.session.session_key,
                actor=actor_of(request),
                now=timezone.now(),
            )
    except accounts.LastMethodError as error:
        messages.warning(request, str(error))
    else:
        if removed:
            messages.info(request, f"{removed} no longer signs in to this account.")
    return redirect("accounts:methods")


def _remove_password(request: AccountRequest) -> str | None:
    """Remove it, and with it every session but this."""
    removed = accounts.remove_password(
        user=request.user, actor=actor_of(request), now=timezone.now()
    )
    update_session_auth_hash(request, request.user)
    return "The password" if removed else None


# The form itself asks for the password that there is, which proves as much.
change_password = require_http_methods(["GET", "HEAD", "POST"])(
    PasswordChangeView.as_view(template_name="account/password.html")
)
set_password = proof_required(keep=False)(
    require_http_methods(["GET", "HEAD", "POST"])(
        PasswordSetView.as_view(template_name="account/password.html")
    )
)
