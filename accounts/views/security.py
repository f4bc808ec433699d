"""The page of second factors, what its buttons do, and the two doors that factors open."""

import base64
import time
from typing import Any, Final
from urllib.parse import urlencode

import django_otp
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.account.internal.decorators import login_stage_required
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.internal.flows.trust import trust_browser
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import clear_totp_secret, get_totp_secret
from allauth.mfa.webauthn.internal.auth import begin_registration
from allauth.mfa.webauthn.views import LoginWebAuthnView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.ceremonies import Ceremony, assign
from accounts.devices import Factor
from accounts.forms.security import AddAppForm, AddKeyForm, RenameKeyForm, SignInMailForm
from accounts.models import User
from accounts.proof import on_this_site, proof_required
from accounts.services import factors, sign_ins
from accounts.stages import SecondStepStage
from accounts.web import AccountRequest, actor_of, render_page

Type: Final = Authenticator.Type
APP_SECRET_SECONDS: Final = 60 * 60
SHOWN_SINCE: Final = "app_shown_since"  # In the session: since when the secret is shown.


def _hand(request: AccountRequest) -> factors.Hand:
    return factors.Hand(
        user=request.user,
        session_key=request.session.session_key,
        actor=actor_of(request),
        now=timezone.now(),
    )


@require_safe
def security(request: AccountRequest) -> HttpResponse:
    """Show the second factors, and what else guards the account."""
    has = factors.factors_of(request.user)
    context = {
        "has": has,
        "codes_left": has.codes_left,
        "asking_teams": factors.teams_that_ask(request.user),
        "mail_form": SignInMailForm(instance=request.user),
        "trust_days": settings.MFA_TRUST_COOKIE_AGE.days,
    }
    return render_page(request, "mfa/index.html", context)


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def add_app(request: AccountRequest) -> HttpResponse:
    """Set up an authenticator app: show it the secret, and have it show a code."""
    if factors.factors_of(request.user).app:
        return redirect("mfa_index")
    secret = _app_secret(request)
    form = AddAppForm(request.POST or None, user=request.user, secret=secret)
    if request.method == "POST" and form.is_valid():
        try:
            factors.add_app(hand=_hand(request), secret=secret, counter=form.counter)
        except factors.FactorError as error:
            messages.warning(request, str(error))
            return redirect("mfa_index")
        clear_totp_secret(request)
        messages.success(request, "The authenticator app is set up. All other sessions have ended.")
        return _to_codes_or_index(request)
    url = get_adapter().build_totp_url(request.user, secret)
    svg = get_adapter().build_totp_svg(url).encode()
    context = {
        "form": form,
        "secret": " ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        "url": url,
        "qr": f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}",
    }
    return render_page(request, "mfa/add_app.html", context)


def _app_secret(request: AccountRequest) -> str:
    """Choose what an app is shown: the same in every tab, until it is used or an hour old."""
    is_old = time.time() - request.session.get(SHOWN_SINCE, 0) > APP_SECRET_SECONDS
    if is_old and request.method != "POST":  # What is sent is about the one that was shown.
        request.session[SHOWN_SINCE] = time.time()
        return str(get_totp_secret(regenerate=True))
    return str(get_totp_secret())


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def add_key(request: AccountRequest) -> HttpResponse:
    """Add a passkey or security key: the page asks the browser for it."""
    form = AddKeyForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        try:
            factors.add_key(
                hand=_hand(request),
                name=name,
                credential=form.cleaned_data["credential"],
                alone=form.cleaned_data["passwordless"],
            )
        except factors.FactorError as error:
            messages.warning(request, str(error))
            return redirect("mfa_index")
        messages.success(request, f"{name} is added. All other sessions have ended.")
        return _to_codes_or_index(request)
    context = {"form": form, "options": begin_registration(request.user, passwordless=False)}
    return render_page(request, "mfa/add_key.html", context)


def _to_codes_or_index(request: AccountRequest) -> HttpResponse:
    """Lead to the recovery codes that came with the first factor."""
    unseen = factors.factors_of(request.user).codes_unseen
    return redirect("mfa_view_recovery_codes" if unseen else "mfa_index")


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def rename_key(request: AccountRequest, pk: int) -> HttpResponse:
    key = Authenticator.objects.filter(user=request.user, type=Type.WEBAUTHN, pk=pk).first()
    if key is None:
        return redirect("mfa_index")
    form = RenameKeyForm(request.POST or None, initial={"name": key.wrap().name})
    if request.method == "POST" and form.is_valid():
        factors.rename_key(hand=_hand(request), factor_id=pk, name=form.cleaned_data["name"])
        return redirect("mfa_index")
    return render_page(request, "mfa/rename_key.html", {"form": form, "key": key})


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove_key(request: AccountRequest, pk: int) -> HttpResponse:
    key = Authenticator.objects.filter(user=request.user, type=Type.WEBAUTHN, pk=pk).first()
    return _remove(request, key)


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove_app(request: AccountRequest) -> HttpResponse:
    app = Authenticator.objects.filter(user=request.user, type=Type.TOTP).first()
    return _remove(request, app)


def _remove(request: AccountRequest, factor: Authenticator | None) -> HttpResponse:
    """Say what goes with a factor, and remove it."""
    if factor is None:
        return redirect("mfa_index")
    if request.method == "POST":
        if called := factors.remove(hand=_hand(request), factor_id=factor.pk):
            messages.info(request, f"{called} is removed. All other sessions have ended.")
        return redirect("mfa_index")
    is_last = len(factors.factors_of(request.user).primary) == 1
    context = {
        "called": factors.name_of(factor),
        "is_last": is_last,
        "closing": factors.closing_without(request.user, factor),
    }
    return render_page(request, "mfa/remove.html", context)


# --- Recovery codes ---------------------------------------------------------------------------


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def recovery_codes(request: AccountRequest) -> HttpResponse:
    """Show the codes by POST, this once; what only looks at the page does not use that up."""
    codes = factors.show_recovery_codes(request.user) if request.method == "POST" else []
    has = factors.factors_of(request.user)
    if has.recovery is None:
        return redirect("mfa_index")
    context = {"codes": codes, "joined": " ".join(codes), "has": has}
    return render_page(request, "mfa/recovery_codes.html", context)


@never_cache
@proof_required(keep=False)
@require_POST
def download_codes(request: AccountRequest) -> HttpResponse:
    """Give the codes back as a file to the page that shows them; nobody else can name them."""
    codes = request.POST.get("codes", "").split()
    if not factors.are_recovery_codes(request.user, codes):
        messages.warning(request, "Those codes no longer work.")
        return redirect("mfa_view_recovery_codes")
    context = {"codes": codes, "now": timezone.now()}
    response = render_page(request, "mfa/recovery_codes.txt", context)
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    response.headers["Content-Disposition"] = 'attachment; filename="recovery-codes.txt"'
    return response


@never_cache
@proof_required
@require_http_methods(["GET", "HEAD", "POST"])
def make_codes(request: AccountRequest) -> HttpResponse:
    """Make new recovery codes, which end the old ones."""
    if request.method == "POST":
        was_verified = request.user.is_verified()  # type: ignore[attr-defined]
        try:
            factors.make_codes(hand=_hand(request))
        except factors.FactorError as error:
            messages.warning(request, str(error))
            return redirect("mfa_index")
        if was_verified:  # Perhaps by one of the codes that are gone; it was passed all the same.
            fresh = Factor.objects.get(user=request.user, type=Type.RECOVERY_CODES)
            django_otp.login(request, fresh)
        return redirect("mfa_view_recovery_codes")
    has = factors.factors_of(request.user)
    if not has.primary:
        return redirect("mfa_index")
    return render_page(request, "mfa/make_codes.html", {"codes_left": has.codes_left})


# --- Settings ---------------------------------------------------------------------------------


@proof_required
@require_POST
def forget_browsers(request: AccountRequest) -> HttpResponse:
    factors.forget_browsers(hand=_hand(request))
    messages.info(request, "Forgot all trusted browsers. The next sign-in has a second step.")
    return redirect("mfa_index")


@proof_required
@require_POST
def sign_in_mail(request: AccountRequest) -> HttpResponse:
    """Keep which sign-ins are told by mail."""
    chosen = request.POST.get("sign_in_mail", "")
    form = SignInMailForm({"sign_in_mail": chosen})
    if form.is_valid():
        sign_ins.set_sign_in_mail(
            user=request.user,
            chosen=User.SignInMail(chosen),
            actor=actor_of(request),
            now=timezone.now(),
        )
        messages.success(request, "Saved.")
    return redirect("mfa_index")


# --- Doors ------------------------------------------------------------------------------------


@method_decorator(
    login_stage_required(stage=SecondStepStage.key, redirect_urlname="account_login"),
    name="dispatch",
)
class SecondStep(AuthenticateView):
    """The second step of signing in: a code or a key, and whether to ask for it here again."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        stage: SecondStepStage = request._login_stage  # type: ignore[attr-defined]  # noqa: SLF001 -- allauth's
        if not stage.still_counts():
            messages.warning(
                request, "The account has changed since you began to sign in. Start again."
            )
            door: HttpResponse = stage.abort()
            return door
        response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        assign(Ceremony.SECOND_STEP)
        has = factors.factors_of(self.stage.login.user)
        return context | {"has": has, "trust_days": settings.MFA_TRUST_COOKIE_AGE.days}

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        if self.request.POST.get("trust"):
            trust_browser(self.request, self.stage.login.user, response)
        return response


class KeySignIn(LoginWebAuthnView):
    """Signing in with a passkey alone. The page of the password asks for it by passkeys.js."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().get(request, *args, **kwargs)
        if isinstance(response, JsonResponse):  # The question; anybody else is led to the door.
            assign(Ceremony.SIGN_IN)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        for error in form.errors.get("credential", []):
            get_account_adapter().add_message(self.request, messages.ERROR, message=error)
        back = self.request.POST.get("next", "")
        query = f"?{urlencode({'next': on_this_site(back)})}" if back else ""
        return redirect(reverse("account_login") + query)


second_step = SecondStep.as_view()
sign_in_with_key = never_cache(login_not_required(KeySignIn.as_view()))
