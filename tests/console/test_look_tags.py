"""The look's parts as templates use them: money, times, icons, ids, dialogs, and how forms draw."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django import forms
from django.conf import settings
from django.template import Template, TemplateSyntaxError
from django.template.context import Context
from django.test import RequestFactory
from django.utils import timezone

from billing.templatetags.money import usd
from console.context_processors import NAV
from tests.factories import NOON

BASE = settings.BASE_DIR


def draw(source: str, **context: object) -> str:
    return Template(source).render(Context(context))


@pytest.mark.parametrize(
    ("things", "sentence"),
    [
        ([], ""),
        (["a password"], "a password"),
        (["Google", "X"], "Google or X"),
        (["Google", "<X>", "GitHub"], "Google, &lt;X&gt; or GitHub"),
    ],
)
def test_things_are_listed_as_a_sentence_names_them(things: list[str], sentence: str) -> None:
    assert draw('{{ things|listed:"or" }}', things=things) == sentence


# --- Money ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        (0, "$0.00"),
        (123_400_000_000, "$12.34"),
        (12_345_670_000_000, "$1,234.57"),
        (10_000_000_000, "$1.00"),
        (10_049_999_999, "$1.00"),
        (3_800_000_000, "$0.38"),
        (425_000_000, "$0.0425"),
        (7_500_000, "$0.00075"),
        (1, "$0.0000000001"),
        (123_456_789, "$0.01235"),
        (9_999_999_999, "$1.00"),
        (5_000_000_000, "$0.50"),
        (-3_800_000_000, "\N{MINUS SIGN}$0.38"),
        (-25_000_000_000_000, "\N{MINUS SIGN}$2,500.00"),
        (None, ""),
    ],
)
def test_money_reads_to_the_cent_and_small_costs_with_the_digits_they_need(
    ticks: int | None, text: str
) -> None:
    assert usd(ticks) == text


# --- Times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=59), "Now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=1), "28 Feb 2026"),
        (timedelta(minutes=-2), "in 2 minutes"),
        (timedelta(days=-2), "3 Mar 2026"),
    ],
)
def test_a_time_is_told_by_its_distance_up_to_a_day_and_then_by_its_date(
    passed: timedelta, text: str
) -> None:
    with time_machine.travel(NOON, tick=False):
        html = draw("{% when moment %}", moment=NOON - passed)

    assert f">{text}</time>" in html


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=3), "Now"),
        (timedelta(minutes=4), "4 min"),
        (timedelta(hours=22), "22 h"),
        (timedelta(days=3), "3 d"),
        (timedelta(days=40), "20 Jan 2026"),
    ],
)
def test_a_narrow_column_has_short_distances(passed: timedelta, text: str) -> None:
    with time_machine.travel(NOON, tick=False):
        html = draw('{% when moment "short" %}', moment=NOON - passed)

    assert f">{text}</time>" in html


def test_a_time_is_in_the_readers_zone_with_the_utc_on_hover() -> None:
    moment = datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC)

    with timezone.override(ZoneInfo("Asia/Tokyo")):
        html = draw('{% when moment "second" %}', moment=moment)

    assert html == (
        '<time datetime="2026-03-01T23:30:05Z" title="1 Mar 2026, 23:30:05 UTC">'
        "2 Mar 2026, 08:30:05</time>"
    )


def test_a_day_is_the_same_day_for_every_reader() -> None:
    with timezone.override(ZoneInfo("Pacific/Kiritimati")):
        html = draw("{% when day %}", day=date(2026, 3, 1))

    assert html == '<time datetime="2026-03-01">1 Mar 2026</time>'


def test_what_has_not_happened_says_so() -> None:
    assert draw("{% when moment %}", moment=None) == "Never"
    assert draw('{% when moment missing="Not yet" %}', moment=None) == "Not yet"


def test_an_unknown_style_is_a_mistake_in_the_template() -> None:
    with pytest.raises(TemplateSyntaxError, match="'year' is not a style"):
        draw('{% when moment "year" %}', moment=NOON)


# --- Parts ------------------------------------------------------------------------------------


def test_an_icon_is_hidden_from_screen_readers() -> None:
    assert draw('{% icon "key" %}') == (
        '<svg class="icon" aria-hidden="true"><use href="/static/icons.svg#key"/></svg>'
    )


def test_every_icon_that_a_template_names_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (BASE / "static/icons.svg").read_text()))
    pages = (page.read_text() for page in (BASE / "templates").rglob("*.html"))
    named = set(re.findall(r'icon=?\s*"([a-z-]+)"', " ".join(pages))) | {e.icon for e in NAV}

    assert {"key", "home", "alert"} <= named
    assert named - drawn == set()


def test_an_id_shows_short_and_copies_whole() -> None:
    html = draw('{% copy_id value label="key ID" shown="ck-…4f9a" %}', value="<8939b1b1>")

    assert "<code>ck-…4f9a</code>" in html
    assert 'data-copy="&lt;8939b1b1&gt;"' in html
    assert 'aria-label="Copy the key ID"' in html


def test_a_page_head_escapes_its_title_and_keeps_its_actions() -> None:
    html = draw("{% heading title %}<button>Create</button>{% endheading %}", title="<R&D>")

    assert "<h1>&lt;R&amp;D&gt;</h1>" in html
    assert '<div class="actions"><button>Create</button></div>' in html


class KeyForm(forms.Form):
    """A field of every kind."""

    name = forms.CharField(help_text="Shown in usage.")
    scope = forms.ChoiceField(
        choices=[("all", "All"), ("some", "Only <these>")],
        widget=forms.RadioSelect(attrs={"class": "segments"}),
    )
    endpoints = forms.MultipleChoiceField(
        choices=[("chat", "Chat")], widget=forms.CheckboxSelectMultiple, required=False
    )
    active = forms.BooleanField(
        required=False, widget=forms.CheckboxInput(attrs={"role": "switch"})
    )
    token = forms.CharField(widget=forms.HiddenInput, required=False)

    def clean(self) -> None:
        raise forms.ValidationError("Nothing <new> was chosen.")


CLOSED = (
    '{% dialog "create" title="Create key" submit="Create" form=form %}{{ form }}{% enddialog %}'
)


def test_a_dialog_is_closed_until_its_address_asks_for_it() -> None:
    at = RequestFactory()

    closed = draw(CLOSED, form=KeyForm(), request=at.get("/keys/"))
    asked = draw(CLOSED, form=KeyForm(), request=at.get("/keys/?dialog=create"))
    other = draw(CLOSED, form=KeyForm(), request=at.get("/keys/?dialog=delete"))

    assert '<dialog id="create" aria-labelledby="create-title">' in closed
    assert '<dialog id="create" aria-labelledby="create-title" open>' in asked
    assert " open>" not in other


def test_a_dialog_whose_form_was_wrong_comes_back_open() -> None:
    html = draw(CLOSED, form=KeyForm({"name": ""}))

    assert '<dialog id="create" aria-labelledby="create-title" open>' in html


def test_a_dialog_posts_with_its_token_and_ends_with_its_one_primary_button() -> None:
    html = draw(CLOSED, form=KeyForm(), csrf_token="t0ken")

    assert '<form method="post">' in html
    assert 'name="csrfmiddlewaretoken" value="t0ken"' in html
    assert html.count('class="primary') == 1
    assert '<button class="primary">Create</button>' in html


def test_a_dialog_to_read_has_no_form() -> None:
    html = draw('{% dialog "secret" title="Your key" done="I have stored it" %}x{% enddialog %}')

    assert "<form" not in html
    assert 'command="close">I have stored it</button>' in html


# --- Forms ------------------------------------------------------------------------------------


def test_a_field_ties_its_help_to_its_input() -> None:
    html = str(KeyForm()["name"].as_field_group())

    assert '<label for="id_name">Name</label>' in html
    assert 'aria-describedby="id_name_helptext"' in html
    assert '<small id="id_name_helptext">Shown in usage.</small>' in html
    assert "aria-invalid" not in html


def test_a_wrong_field_says_so_and_ties_the_error_to_its_input() -> None:
    html = str(KeyForm({"name": ""})["name"].as_field_group())

    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_name_helptext id_name_error"' in html
    assert '<small class="error" id="id_name_error">This field is required.</small>' in html


def test_what_is_wrong_with_the_whole_form_stands_above_it_escaped() -> None:
    html = str(KeyForm({"name": "web"}))

    assert html.index('data-tone="bad"') < html.index("id_name")
    assert "Nothing &lt;new&gt; was chosen." in html


def test_a_radio_group_can_be_one_control_of_segments() -> None:
    html = str(KeyForm()["scope"].as_field_group())

    assert "<legend>Scope</legend>" in html
    assert '<div id="id_scope" class="segments">' in html
    assert html.count('class="segments"') == 1
    assert "Only &lt;these&gt;" in html


def test_many_checkboxes_are_choices() -> None:
    assert 'class="choices"' in str(KeyForm()["endpoints"].as_field_group())


def test_a_switch_stands_inside_its_label() -> None:
    html = str(KeyForm()["active"].as_field_group())

    assert 'role="switch"' in html
    assert html.index('<label for="id_active">') < html.index("<input") < html.index("Active")


def test_a_hidden_field_is_part_of_the_form_without_a_label() -> None:
    html = str(KeyForm())

    assert '<input type="hidden" name="token"' in html
    assert "Token" not in html
