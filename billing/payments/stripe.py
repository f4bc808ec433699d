"""Stripe as a processor: cards are entered at Stripe's own fields, and never come here.

A payment is a PaymentIntent that is made unconfirmed, written in our books, and then confirmed.
Confirming moves the money at most once, so nothing depends on idempotency keys, which Stripe
forgets after a day; they are sent all the same.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Final

import stripe
from django.conf import settings

from billing.payments.base import (
    METHOD_UNUSABLE,
    REASONS,
    BadSignatureError,
    CustomerGoneError,
    Event,
    Method,
    ProcessorUnavailableError,
    RefundResult,
    RefundStatus,
    Refused,
    Result,
    Setup,
    Status,
)

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 10
# How old a signature may be: who records a webhook cannot send it again later.
TOLERANCE_SECONDS: Final = 300
CURRENCY: Final = "usd"

_STATUSES: Final = {
    "requires_confirmation": Status.UNCHARGED,
    "requires_action": Status.REQUIRES_ACTION,
    "processing": Status.PROCESSING,
    "requires_capture": Status.PROCESSING,
    "succeeded": Status.SUCCEEDED,
}
_REFUND_STATUSES: Final = {
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
_CODES: Final = {
    "payment_intent_authentication_failure": "authentication_failed",
    "setup_intent_authentication_failure": "authentication_failed",
}
_BRANDS: Final = {
    "amex": "American Express",
    "diners": "Diners Club",
    "discover": "Discover",
    "jcb": "JCB",
    "mastercard": "Mastercard",
    "unionpay": "UnionPay",
    "visa": "Visa",
}


@cache
def _client(key: str, url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": url},
        http_client=stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        max_network_retries=1,
    )


class Stripe:
    """The processor at the other end of Stripe's interface."""

    name = "stripe"

    @property
    def _api(self) -> stripe.V1Services:
        return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_URL).v1

    # --- Customers and their cards ----------------------------------------------------------

    def customer(self, *, team: str, instead_of: str = "") -> str:
        # Nothing that may change belongs here: Stripe refuses a key that comes with other words.
        with _asking():
            made = self._api.customers.create(
                {"metadata": {"team": team}},
                {"idempotency_key": f"customer:{team}:{instead_of}"},
            )
        return made.id

    def begin_method(self, *, customer: str) -> Setup:
        """Let a browser enter a card that the customer can be charged by, also off-session.

        Raises CustomerGoneError.
        """
        try:
            with _asking():
                intent = self._api.setup_intents.create(
                    {
                        "customer": customer,
                        "allowed_payment_method_types": ["card"],
                        "usage": "off_session",
                    }
                )
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                raise CustomerGoneError from error
            raise ProcessorUnavailableError from error
        return Setup(reference=intent.id, client_secret=str(intent.client_secret))

    def finish_method(self, *, customer: str, reference: str) -> Method | Refused:
        """Take in what a browser has entered. Nothing that the browser says of it is believed."""
        try:
            with _asking():
                intent = self._api.setup_intents.retrieve(reference, {"expand": ["payment_method"]})
                method = intent.payment_method
                if _id_of(intent.customer) != customer or not method or isinstance(method, str):
                    return Refused("not_entered")
                if intent.status != "succeeded":
                    ended = "card_declined" if intent.status == "canceled" else "not_entered"
                    return Refused(_code(getattr(intent, "last_setup_error", None)) or ended)
                # Stripe has done so already, and does nothing the second time.
                self._api.payment_methods.attach(method.id, {"customer": customer})
        except stripe.CardError as error:
            return Refused(_code(error) or "card_declined")
        except stripe.InvalidRequestError:
            return Refused("not_entered")
        return _method(method)

    def forget_method(self, *, reference: str) -> None:
        try:
            with _asking():
                self._api.payment_methods.detach(reference)
        except stripe.InvalidRequestError:
            return  # It is no customer's any more.

    # --- Payments ---------------------------------------------------------------------------

    def prepare(self, *, amount_cents: int, customer: str, method: str, key: str) -> str | Refused:
        try:
            with _asking():
                intent = self._api.payment_intents.create(
                    {
                        "amount": amount_cents,
                        "currency": CURRENCY,
                        "customer": customer,
                        "payment_method": method,
                        "allowed_payment_method_types": ["card"],
                        "metadata": {"payment": key},
                    },
                    {"idempotency_key": f"payment:{key}"},
                )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            logger.warning("Stripe does not take payment %s: %s", key, error)
            return Refused(_refusal(error))
        return intent.id

    def charge(self, *, reference: str, is_off_session: bool) -> Result:
        code = ""
        try:
            with _asking():
                params: stripe.params.PaymentIntentConfirmParams = (
                    {"off_session": True} if is_off_session else {}
                )
                intent = self._api.payment_intents.confirm(reference, params)
        except stripe.CardError as error:
            code = _code(error)
            intent = self._intent(reference)
        except stripe.InvalidRequestError as error:
            intent = self._intent(reference)
            if intent.status in {"requires_confirmation", "requires_payment_method"}:
                logger.warning("Stripe does not charge payment %s: %s", reference, error)
                return self._end(intent, _error_of(intent) or _refusal(error))
            # It was confirmed before.
        if is_off_session and intent.status == "requires_action":
            return self._end(intent, "authentication_required")
        return self._settled(intent, code)

    def find(self, *, reference: str) -> Result:
        return self._settled(self._intent(reference))

    def cancel(self, *, reference: str) -> Result:
        intent = self._intent(reference)
        asked = intent.status == "requires_action"
        if intent.status in {"requires_confirmation", "requires_action", "requires_payment_method"}:
            return self._end(intent, "authentication_failed" if asked else "not_charged")
        return self._settled(intent)

    def _intent(self, reference: str) -> stripe.PaymentIntent:
        try:
            with _asking():
                return self._api.payment_intents.retrieve(reference)
        except stripe.InvalidRequestError as error:
            # A key of another account, say. It may have been charged, so it is not given up.
            raise ProcessorUnavailableError from error

    def _settled(self, intent: stripe.PaymentIntent, code: str = "") -> Result:
        """Say how an intent stands; one that was refused is ended for good.

        At Stripe it could be tried again with another card, by whoever has its secret.
        """
        if intent.status == "requires_payment_method":
            return self._end(intent, code)
        code = code or _error_of(intent)
        status = _STATUSES.get(intent.status, Status.FAILED)
        if status == Status.FAILED:
            return Result(status, intent.id, code=code or "not_charged")
        secret = str(intent.client_secret) if status == Status.REQUIRES_ACTION else ""
        return Result(status, intent.id, client_secret=secret)

    def _end(self, intent: stripe.PaymentIntent, code: str) -> Result:
        code = code or _error_of(intent) or "card_declined"
        try:
            with _asking():
                self._api.payment_intents.cancel(intent.id)
        except stripe.InvalidRequestError:
            # It has ended or been paid in the meantime.
            return self._settled_after_all(intent.id, code)
        return Result(Status.FAILED, intent.id, code=code)

    def _settled_after_all(self, reference: str, code: str) -> Result:
        intent = self._intent(reference)
        status = _STATUSES.get(intent.status, Status.FAILED)
        return Result(status, reference, code=code if status == Status.FAILED else "")

    # --- Refunds ----------------------------------------------------------------------------

    def refund(self, *, payment: str, amount_cents: int, key: str) -> RefundResult:
        if made := self.find_refund(payment=payment, key=key):
            return made
        try:
            with _asking():
                refund = self._api.refunds.create(
                    {
                        "payment_intent": payment,
                        "amount": amount_cents,
                        "metadata": {"refund": key},
                    },
                    {"idempotency_key": f"refund:{key}"},
                )
        except (stripe.CardError, stripe.InvalidRequestError):
            return RefundResult(RefundStatus.FAILED, "")
        return _refund(refund)

    def find_refund(self, *, payment: str, key: str) -> RefundResult | None:
        with _asking():
            made = self._api.refunds.list({"payment_intent": payment, "limit": 100})
            for refund in made.auto_paging_iter():
                if refund.metadata and refund.metadata.to_dict().get("refund") == key:
                    return _refund(refund)
        return None

    # --- What Stripe tells ------------------------------------------------------------------

    def event(self, *, body: bytes, signature: str) -> Event:
        """Read a webhook that Stripe signed a moment ago. Raises BadSignatureError."""
        try:
            told = stripe.Webhook.construct_event(
                body, signature, settings.STRIPE_WEBHOOK_SECRET, tolerance=TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise BadSignatureError from error
        return _event(told)

    def events_since(self, moment: datetime) -> Iterator[Event]:
        """List what has happened, in no order, whether or not a webhook told us."""
        with _asking():
            params: stripe.params.EventListParams = {
                "created": {"gte": int(moment.timestamp())},
                "limit": 100,
            }
            for told in self._api.events.list(params).auto_paging_iter():
                yield _event(told)


@contextmanager
def _asking() -> Iterator[None]:
    """Tell a processor that did not answer from one that said no."""
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except stripe.StripeError as error:
        raise ProcessorUnavailableError from error


def _id_of(thing: object) -> str:
    """Name what Stripe gives as an id, or in full where it was asked to."""
    return thing if isinstance(thing, str) else str(getattr(thing, "id", ""))


def _code(error: object) -> str:
    """Say why, in our codes: the bank's reason where we know it, else Stripe's."""
    whole = getattr(error, "error", None) or error
    decline = getattr(whole, "decline_code", None)
    code = getattr(error, "code", None) or getattr(whole, "code", None) or ""
    chosen = decline if decline in REASONS else code
    return str(_CODES.get(str(chosen), chosen))[:40]


def _error_of(intent: stripe.PaymentIntent) -> str:
    return _code(getattr(intent, "last_payment_error", None))


def _refusal(error: stripe.StripeError) -> str:
    """Say why Stripe will not charge. What we have no words for is the fault of what was named."""
    code = _code(error)
    return code if code in REASONS else METHOD_UNUSABLE


def _method(method: stripe.PaymentMethod) -> Method | Refused:
    card = method.card
    if card is None:
        return Refused("not_entered")
    return Method(
        reference=method.id,
        brand=_BRANDS.get(card.brand, card.brand.title())[:20],
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        country=card.country or "",
        fingerprint=card.fingerprint or "",
    )


def _refund(refund: stripe.Refund) -> RefundResult:
    status = _REFUND_STATUSES.get(refund.status or "", RefundStatus.PENDING)
    return RefundResult(status, refund.id)


def _event(told: stripe.Event) -> Event:
    about = told.data.object
    return Event(id=told.id, kind=told.type, reference=str(getattr(about, "id", "") or ""))
