"""The look's small parts as template tags: icons, times, ids, dialogs, page heads, empty states."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final

from django import forms, template
from django.http import HttpRequest
from django.template.context import Context
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import dateformat, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import get_text_list

register = template.Library()

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """Draw a symbol of icons.svg. It is decoration: alone, it needs a labelled button around it."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("icons.svg"), name
    )


# --- Times ------------------------------------------------------------------------------------


@register.simple_tag
def when(moment: datetime | date | None, style: str = "ago", missing: str = "Never") -> SafeString:
    """Show a time in the reader's zone, with the UTC on hover.

    Styles: `ago` ("2 minutes ago" or "in 3 hours" up to a day, then the date), `short` ("4 min"),
    `date`, `minute`, `second`. A date without a time is shown as it is.
    """
    if moment is None:
        return format_html("{}", missing)
    if not isinstance(moment, datetime):
        return format_html('<time datetime="{}">{}</time>', moment.isoformat(), _day(moment))
    utc = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        f"{utc:%Y-%m-%dT%H:%M:%SZ}",
        f"{_day(utc)}, {utc:%H:%M:%S}",
        _words(timezone.localtime(moment), style),
    )


def _words(local: datetime, style: str) -> str:
    match style:
        case "ago":
            return _distance(local) or _day(local)
        case "short":
            return _short_distance(timezone.now() - local) or _day(local)
        case "date":
            return _day(local)
        case "minute":
            return f"{_day(local)}, {local:%H:%M}"
        case "second":
            return f"{_day(local)}, {local:%H:%M:%S}"
    raise template.TemplateSyntaxError(f"{style!r} is not a style of the when tag.")


def _day(day: date) -> str:
    return dateformat.format(day, "j M Y")


def _distance(local: datetime) -> str:
    """Say how far a time is from now, or nothing when that is a day or more."""
    passed = timezone.now() - local
    apart = abs(passed)
    if apart < _MINUTE:
        return "Now"
    if apart >= _DAY:
        return ""
    unit, size = ("minute", _MINUTE) if apart < _HOUR else ("hour", _HOUR)
    count = apart // size
    amount = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{amount} ago" if passed > timedelta(0) else f"in {amount}"


def _short_distance(passed: timedelta) -> str:
    """Say how long ago for a narrow column, or nothing when that is a month or more."""
    if passed < _MINUTE:
        return "Now"
    for size, unit, limit in ((_MINUTE, "min", _HOUR), (_HOUR, "h", _DAY), (_DAY, "d", 30 * _DAY)):
        if passed < limit:
            return f"{passed // size} {unit}"
    return ""


# --- Parts ------------------------------------------------------------------------------------


@register.inclusion_tag("_id.html")
def copy_id(value: object, label: str = "ID", shown: str = "") -> dict[str, Any]:
    """Show an id in monospace with a button that copies it.

    `label` completes the button's name, "Copy the …"; `shown` stands for the id where it is short.
    """
    return {"value": str(value), "label": label, "shown": shown or str(value)}


@register.simple_block_tag
def heading(content: str, title: str, intro: str = "") -> SafeString:
    """Write the page's header; what the tag encloses are its actions, the primary one last."""
    return SafeString(
        render_to_string(
            "_head.html", {"title": title, "intro": intro, "actions": SafeString(content.strip())}
        )
    )


@register.simple_block_tag
def nothing(content: str, icon: str, title: str) -> SafeString:
    """Fill a page that has nothing yet; it encloses what the thing is for, and the first step."""
    return SafeString(
        render_to_string(
            "_nothing.html", {"icon": icon, "title": title, "content": SafeString(content)}
        )
    )


@register.simple_block_tag(takes_context=True)
def dialog(  # noqa: PLR0913 -- a tag's arguments are named where it is used
    context: Context,
    content: str,
    id: str,  # noqa: A002 -- it becomes the element's id
    *,
    title: str,
    submit: str = "",
    action: str = "",
    target: str = "",
    done: str = "",
    form: forms.BaseForm | None = None,
    opened: bool = False,
    danger: bool = False,
    sheet: bool = False,
) -> SafeString:
    """Frame a dialog; `_dialog.html` explains how one is opened.

    With `submit` it is a form that POSTs to `action` (or the page itself), and with `target` its
    answer replaces only the element of that id. Otherwise it is an article to read. It comes open
    when `opened` says so, when `form` has errors, or at `?dialog=<id>`.
    """
    request = context.get("request")
    return SafeString(
        render_to_string(
            "_dialog.html",
            {
                "id": id,
                "title": title,
                "submit": submit,
                "action": action,
                "target": target,
                "done": done,
                "form": form,
                "danger": danger,
                "sheet": sheet,
                "opened": opened or _has_errors(form) or _asked_for(request, id),
                "content": SafeString(content),
                "csrf_token": context.get("csrf_token"),
            },
        )
    )


def _has_errors(form: forms.BaseForm | None) -> bool:
    return form is not None and form.is_bound and not form.is_valid()


def _asked_for(request: object, dialog_id: str) -> bool:
    return isinstance(request, HttpRequest) and request.GET.get("dialog") == dialog_id


@register.filter
def tone(level_tag: str) -> str:
    """Turn a message's level into the look's tone."""
    return _of(_TONES, level_tag)


@register.filter
def tone_icon(level_tag: str) -> str:
    return _of(_TONE_ICONS, level_tag) or "info"


_TONES: Final = {"success": "good", "warning": "warn", "error": "bad"}
_TONE_ICONS: Final = {"success": "check", "warning": "alert", "error": "alert"}


def _of(names: Mapping[str, str], level_tag: str) -> str:
    return names.get(level_tag, "")


# --- Words ------------------------------------------------------------------------------------


@register.filter
def initials(name: str) -> str:
    """Shorten a name to what an avatar shows."""
    words = name.split() or ["?"]
    return "".join(word[0] for word in (words[0], *words[1:][-1:])).upper()


@register.filter
def listed(things: Iterable[object], word: str) -> str:
    """Name them in a sentence: "Google, GitHub or a password"."""
    return get_text_list([str(thing) for thing in things], word)


@register.filter
def clause(sentence: str) -> str:
    """Let a sentence follow its subject: "Alice" + "Created a key" reads "Alice created a key"."""
    return sentence[:1].lower() + sentence[1:]
