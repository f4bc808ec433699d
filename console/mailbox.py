"""The page that shows the mails which a console without EMAIL_URL keeps as files.

It is for trying the console out. The mails hold links that open accounts, so its addresses exist
only with DEBUG.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

SHOWN = 50
# Between the messages that Django's file backend writes into one file.
SEPARATOR = re.compile(rb"^-{79}\n", re.MULTILINE)

# A mail carries its styles inside, which the policy of a page forbids. Nothing else may work.
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


@dataclass(frozen=True, slots=True)
class Mail:
    """One message. Its id is the name of its file and its place in there."""

    id: str
    kept_at: datetime
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["subject"])

    @property
    def to(self) -> str:
        return str(self.message["to"])

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part else ""


def is_open() -> bool:
    """Say whether this page exists. Others ask by whether the address called `mails` does."""
    return settings.DEBUG and not settings.EMAIL_URL


def kept_mails() -> Iterator[Mail]:
    """Read the mails, newest first."""
    files = [(file.stat().st_mtime, file) for file in Path(settings.EMAIL_FILE_PATH).glob("*.log")]
    for modified, file in sorted(files, reverse=True):
        kept_at = datetime.fromtimestamp(modified, UTC)
        sources = [source for source in SEPARATOR.split(file.read_bytes()) if source.strip()]
        for place, source in reversed(list(enumerate(sources))):
            message = email.message_from_bytes(source, policy=email.policy.default)
            yield Mail(f"{file.stem}-{place}", kept_at, message)


@require_safe
@login_not_required
@never_cache
def mails(request: HttpRequest) -> HttpResponse:
    """List the newest mails, whoever they are for."""
    _require_open()
    return render(request, "console/mails.html", {"mails": list(islice(kept_mails(), SHOWN))})


@require_safe
@login_not_required
@never_cache
def mail(request: HttpRequest, mail_id: str) -> HttpResponse:
    """Show one mail as text, with links to follow."""
    return render(request, "console/mail.html", {"mail": _find(mail_id)})


@require_safe
@login_not_required
@never_cache
def mail_html(_request: HttpRequest, mail_id: str) -> HttpResponse:
    """Show one mail as a mail program does."""
    html = _find(mail_id).html
    if not html:
        raise Http404
    return HttpResponse(html, headers={"Content-Security-Policy": MAIL_POLICY})


def _find(mail_id: str) -> Mail:
    # By comparing, never by opening a path that was asked for.
    _require_open()
    for kept in kept_mails():
        if kept.id == mail_id:
            return kept
    raise Http404


def _require_open() -> None:
    if not is_open():
        raise Http404


urlpatterns: list[URLPattern | URLResolver] = [
    path("", mails, name="mails"),
    path("<str:mail_id>/", mail, name="mail"),
    path("<str:mail_id>/html/", mail_html, name="mail_html"),
]
