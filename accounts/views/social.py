"""Signing in by an account elsewhere: leaving for it, coming back, and if it is new, asking."""

from functools import wraps
from typing import Any

from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.internal.flows.signup import signup_by_form
from allauth.socialaccount.providers.base import AuthProcess, Provider, ProviderException
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from requests import RequestException

from accounts import linking
from accounts import services as accounts
from accounts.adapters.social import connect
from accounts.forms.fields import ZoneField
from accounts.forms.methods import SocialSignUpForm
from accounts.proof import proof_required
from accounts.web import AccountRequest, View, rate_limited, render_page


def _provider(request: HttpRequest, provider_id: str) -> Provider | None:
    """Find a provider by its id, if it is switched on.

    allauth also takes the name of a kind of provider, of which there may be several.
    """
    if provider_id not in accounts.providers_on():
        return None
    provider: Provider = get_adapter().get_provider(request, provider_id)
    return provider


def with_provider(view: View) -> View:
    """Turn the address's id into a provider, where it is one that is switched on."""

    @wraps(view)
    def found(request: HttpRequest, provider_id: str) -> HttpResponse:
        provider = _provider(request, provider_id)
        if provider is None:
            raise Http404
        return view(request, provider)

    return found


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@rate_limited("login")
@with_provider
def begin(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Leave for a provider to sign in, or to prove who is signed in.

    Only by a form: a link from elsewhere would sign people in without their asking.
    """
    if request.method != "POST":
        return render_page(request, "socialaccount/login.html", {"provider": provider})
    if request.POST.get("process") == AuthProcess.REDIRECT and request.user.is_authenticated:
        return _depart(request, provider, AuthProcess.REDIRECT)
    request.session["timezone"] = ZoneField().clean(request.POST.get("timezone"))
    return _depart(request, provider, AuthProcess.LOGIN)


@never_cache
@proof_required
@require_POST
def add(request: AccountRequest) -> HttpResponse:
    """Leave for a provider to add an account there to the one that is signed in."""
    provider = _provider(request, request.POST.get("provider", ""))
    if provider is None:
        return redirect("accounts:methods")  # It was switched off while the page was open.
    return _depart(request, provider, AuthProcess.CONNECT)


def _depart(request: HttpRequest, provider: Provider, process: str) -> HttpResponse:
    """Answer with a page that leads on, not with a redirect.

    A browser holds the redirects of a form to `form-action`, wherever they lead in the end. Where a
    provider sends people on to, for instance to a company's own sign-in, nobody here can list.
    """
    next_url = get_next_redirect_url(request)
    try:
        response = provider.redirect(request, process=process, next_url=next_url)
    except (ProviderException, RequestException) as error:
        failed: HttpResponse = render_authentication_error(request, provider, exception=error)
        return failed
    if response.status_code != 302:  # noqa: PLR2004
        refused: HttpResponse = response
        return refused
    context = {"provider": provider, "address": response.url}
    return render_page(request, "socialaccount/leave.html", context)


@login_not_required
@require_safe
@never_cache
@with_provider
def callback(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Take in who comes back from a provider."""
    view = OAuth2CallbackView.adapter_view(provider.get_oauth2_adapter(request))
    response: HttpResponse = view(request)
    return response


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@rate_limited("signup")
def sign_up(request: HttpRequest) -> HttpResponse:
    """Ask what is left open about a new social account, or whose it shall be."""
    login = linking.recall(request, linking.SIGN_UP)
    if login is None or request.user.is_authenticated:
        return redirect("account_login")
    existing = _existing(login)
    if existing and request.POST.get("choice") == "link":
        # It waits until its person has signed in to the account that they have.
        linking.keep_for_link(request, login)
        return redirect(reverse("account_login") + f"?next={reverse('accounts:link')}")
    form = SocialSignUpForm(request.POST or None, sociallogin=login)
    if request.method == "POST" and form.is_valid():
        try:
            response: HttpResponse = signup_by_form(request, login, form)
        except ImmediateHttpResponse as answer:
            return answer.response  # type: ignore[no-any-return]
        return response
    context = {
        "form": form,
        "login": login,
        "called": login.account.extra_data["name"],
        # Whoever asks may not be one of them: their names elsewhere are not told.
        "existing": [
            [m.provider if m.account_id else m.phrase for m in accounts.methods_of(user)]
            for user in existing
        ],
    }
    return render_page(request, "socialaccount/signup.html", context)


def _existing(login: Any) -> list[Any]:
    """Find the accounts to link to, if the provider vouches for the address."""
    email = accounts.confirmed_email(login)
    return accounts.people_with_email(email) if email else []


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: AccountRequest) -> HttpResponse:
    """Ask once more, naming both, before the one opens the other."""
    login = linking.recall(request, linking.LINK)
    if login is None:
        messages.info(request, "There is nothing left to link. You can add an account here.")
        return redirect("accounts:methods")
    if request.method != "POST":
        context = {
            "login": login,
            "called": login.account.extra_data["name"],
            "methods": accounts.methods_of(request.user),
        }
        return render_page(request, "socialaccount/link.html", context)
    linking.forget(request)
    if request.POST.get("answer") == "link":
        connect(request, login)
    return redirect("accounts:methods")
