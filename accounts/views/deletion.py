"""Deleting one's account, and the page that takes it back."""

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import date
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import services as accounts
from accounts.consequences import BlockedError
from accounts.forms.profile import DeleteAccountForm
from accounts.proof import proof_required
from accounts.web import AccountRequest, actor_of, render_page


@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: AccountRequest) -> HttpResponse:
    """Say what deleting the account means, and do it for who has typed its email."""
    form = DeleteAccountForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            accounts.request_deletion(
                user=request.user, actor=actor_of(request), now=timezone.now()
            )
        except BlockedError:
            pass  # The page says why, as it would have before.
        else:
            day = date(timezone.localtime(accounts.erased_from(request.user)), "j F Y")
            logout(request)
            messages.info(
                request,
                f"Your account will be erased on {day}. Until then you can sign in and restore it.",
            )
            return redirect("account_login")
    return _page(request, form)


def _page(request: AccountRequest, form: DeleteAccountForm) -> HttpResponse:
    now = timezone.now()
    told = accounts.deletion_consequences(request.user, now=now)
    context = {
        "form": form,
        "blocking": [consequence for consequence in told if consequence.blocks],
        "following": [consequence for consequence in told if not consequence.blocks],
        "left_alone": accounts.teams_without_another_admin(request.user),
        "erased_from": now + accounts.GRACE,
    }
    status = 409 if request.method == "POST" and context["blocking"] else 200
    return render_page(request, "accounts/delete.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def restore(request: AccountRequest) -> HttpResponse:
    """Ask whoever signed in to an account that is to be deleted whether it shall stay."""
    if not request.user.is_leaving:
        return redirect("accounts:profile")
    if request.method == "POST":
        try:
            accounts.restore(user=request.user, actor=actor_of(request), now=timezone.now())
        except accounts.AlreadyErasedError as error:
            logout(request)
            messages.warning(request, str(error))
            return redirect("account_login")
        messages.info(request, "Your account is restored.")
        return redirect("accounts:profile")
    context = {"erased_from": accounts.erased_from(request.user)}
    return render_page(request, "accounts/restore.html", context)
