"""Entering a card on a page: typed for the sandbox, or at Stripe's own fields in Stripe mode."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpResponse, QueryDict
from django.views.decorators.debug import sensitive_variables

from accounts.web import TeamRequest
from billing import payments
from billing import services as billing
from billing.forms import CARD_FIELDS, CardForm, SetupForm
from billing.models import PaymentMethod

View = Callable[..., HttpResponse]
EntryForm = CardForm | SetupForm

# Where Stripe's script is from, it draws the fields in frames and asks the bank in others.
_STRIPE_JS: Final = "https://js.stripe.com"
_STRIPE_FRAMES: Final = ["https://*.js.stripe.com", "https://hooks.stripe.com"]


def entry_form(posted: QueryDict | None, *, now: datetime) -> EntryForm:
    """Read the form that a card is entered by, or make an empty one.

    Raises BadRequest for a card number that is sent to us though it belongs to Stripe.
    """
    if payments.is_sandbox():
        return CardForm(posted, now=now)
    if posted and any(name in posted for name in CARD_FIELDS):
        raise BadRequest("Cards are entered at Stripe's fields. This one was not looked at.")
    return SetupForm(posted)


@sensitive_variables("form")
def enter(request: TeamRequest, form: EntryForm, *, now: datetime) -> PaymentMethod | None:
    """Take in the card of a valid form; with None, the form says why it cannot be used."""
    try:
        if isinstance(form, CardForm):
            return billing.enter_card(
                team=request.team, actor=request.actor, card=form.card, now=now
            )
        return billing.finish_entry(
            team=request.team, actor=request.actor, reference=form.reference, now=now
        )
    except (
        billing.MethodRefusedError,
        billing.MethodGoneError,
        billing.ProcessorUnavailableError,
    ) as error:
        form.add_error(None, str(error))
        return None


def entry_context() -> dict[str, Any]:
    """Give `billing/_card_fields.html` and its neighbours what they need besides the form."""
    if payments.is_sandbox():
        return {"is_sandbox": True, "test_cards": payments.TEST_CARDS}
    return {"stripe_key": settings.STRIPE_PUBLISHABLE_KEY, "stripe_js": settings.STRIPE_JS_URL}


def runs_stripe(view: View) -> View:
    """Let a page load Stripe's script, which may not be served by anybody else, in Stripe mode.

    Stands on the outside of the view. No other page of the console loads anything from elsewhere.
    """

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        if not payments.is_sandbox():
            response._csp_update = _sources()  # type: ignore[attr-defined]  # noqa: SLF001 -- it is how django-csp is told
        return response

    return wrapped


def _sources() -> dict[str, list[str]]:
    scripts, api = _origin(settings.STRIPE_JS_URL), _origin(settings.STRIPE_API_URL)
    frames = [scripts, *(_STRIPE_FRAMES if scripts == _STRIPE_JS else [])]
    return {
        "script-src": [scripts, *(_STRIPE_FRAMES[:1] if scripts == _STRIPE_JS else [])],
        "connect-src": [api],
        "frame-src": frames,
    }


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
