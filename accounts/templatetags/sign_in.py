"""What templates ask about ways to sign in: which there are, and what waits to be linked."""

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import Provider
from django import template
from django.template.context import Context

from accounts import linking

register = template.Library()


@register.simple_tag(takes_context=True)
def sign_in_providers(context: Context) -> list[Provider]:
    """List the providers that are switched on, in the order of accounts/provider.py."""
    providers: list[Provider] = get_adapter().list_providers(context["request"])
    return providers


@register.simple_tag(takes_context=True)
def waiting_link(context: Context) -> SocialLogin | None:
    """Find the social account that waits for a sign-in to be linked."""
    return linking.recall(context["request"], linking.LINK)
