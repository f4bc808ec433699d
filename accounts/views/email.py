"""Changing the e-mail of an account, and undoing it."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification import send_verification_email_to_address
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import confirming
from accounts import services as accounts
from accounts.forms.email import EmailForm
from accounts.proof import proof_required
from accounts.web import AccountRequest, actor_of, rate_limited, render_page


@never_cache
@rate_limited("manage_email")
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def email(request: AccountRequest) -> HttpResponse:
    """Show the address, and ask for another."""
    form = EmailForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        address = accounts.ask_for_email(
            user=request.user,
            email=form.cleaned_data["email"],
            actor=actor_of(request),
            now=timezone.now(),
        )
        _send_link(request, address)
        return redirect("account_email")
    context = {
        "form": form,
        "pending": accounts.pending_email(request.user),
        "undo_days": accounts.UNDO_DAYS,
    }
    return render_page(request, "account/email_change.html", context)


@require_POST
@rate_limited("manage_email")
def send_again(request: AccountRequest) -> HttpResponse:
    """Mail the link to the new address once more."""
    if pending := accounts.pending_email(request.user):
        _send_link(request, pending)
    return redirect("account_email")


@require_POST
def keep(request: AccountRequest) -> HttpResponse:
    """Do not change the address after all."""
    kept = accounts.forget_pending_email(
        user=request.user, actor=actor_of(request), now=timezone.now()
    )
    if kept:
        messages.info(request, f"Your email stays {request.user.email}.")
    return redirect("account_email")


def _send_link(request: AccountRequest, address: EmailAddress) -> None:
    if not confirming.may_mail(request, address):
        messages.warning(
            request,
            f"A link to {address.email} was mailed less than three minutes ago. "
            "Look in your spam folder, or try again in three minutes.",
        )
    elif send_verification_email_to_address(request, address):
        messages.info(request, f"We have mailed a link to {address.email}.")
    else:
        messages.warning(
            request,
            f"Too many links were mailed to {address.email} in one day. "
            "Look into the spam folder, or try again tomorrow.",
        )


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def undo(request: HttpRequest, token: str) -> HttpResponse:
    """Put the old address back, for whoever reads its mail."""
    now = timezone.now()
    change = accounts.change_to_undo(token, now=now)
    context: dict[str, Any] = {"change": change, "days": accounts.UNDO_DAYS}
    if change is None:
        return render_page(request, "accounts/undo_email.html", context, status=404)
    if request.method != "POST":
        return render_page(request, "accounts/undo_email.html", context)
    try:
        accounts.undo_email_change(change=change, actor=actor_of(request, change.user), now=now)
    except accounts.UndoImpossibleError as error:
        context["problem"] = str(error)
        return render_page(request, "accounts/undo_email.html", context, status=409)
    if request.user.is_authenticated and request.user.pk == change.user_id:
        get_adapter().logout(request)
    context["done"] = True
    return render_page(request, "accounts/undo_email.html", context)
