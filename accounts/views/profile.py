"""A person's own page: who they are to others, and how pages look to them."""

from django.http import HttpResponse
from django.views.decorators.http import require_http_methods

from accounts.web import AccountRequest, render_page


@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: AccountRequest) -> HttpResponse:
    """Show the account, and change what a person may change about it."""
    return render_page(request, "accounts/profile.html", {})
