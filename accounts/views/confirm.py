"""The page that the link in a mail opens, to confirm the address that the mail went to."""

from http import HTTPStatus

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification import verify_email_and_resume
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import confirming
from accounts import services as accounts
from accounts.web import render_page

TEMPLATE = "account/email_confirm.html"


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest, key: str) -> HttpResponse:
    """Confirm an address, by POST: mail scanners open links."""
    confirmation = EmailConfirmationHMAC.from_key(key)
    if confirmation is None:
        return render_page(request, TEMPLATE, {"state": "over"}, status=HTTPStatus.NOT_FOUND)
    address = confirmation.email_address
    if not confirming.is_at_hand(request, address.user):
        return _whose(request, address, key)
    if request.method != "POST":
        context = {"state": "here", "email": address.email}
        return render_page(request, TEMPLATE, context)
    confirming.forget(request)
    _, response = verify_email_and_resume(request, confirmation)
    return response or redirect(get_adapter().get_email_verification_redirect_url(address))


def _whose(request: HttpRequest, address: EmailAddress, key: str) -> HttpResponse:
    """Ask whoever reads the mail whether the account is theirs; if it is, they can sign in to it.

    To name it is not enough: whoever made it chose what it is called.
    """
    answer = request.POST.get("answer") if request.method == "POST" else None
    if answer == "mine":
        if request.user.is_authenticated:
            get_adapter().logout(request)
        confirming.keep(request, key)
        return redirect("account_login")
    if answer == "not_mine":
        accounts.disown(address=address, now=timezone.now())
        context = {"state": "disowned", "email": address.email}
        return render_page(request, TEMPLATE, context)
    context = {
        "state": "elsewhere",
        "email": address.email,
        "account": address.user,
        "is_change": accounts.is_change(address),
        "sign_in_methods": accounts.phrases_of(address.user),
    }
    return render_page(request, TEMPLATE, context)
