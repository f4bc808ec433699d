"""What a key may be called."""

import pytest

from api_keys import rules


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("web-production", "web-production"),
        ("  web  production ", "web production"),
        ("Rückfragen 2026 / №7 <b>", "Rückfragen 2026 / №7 <b>"),
        ("🔑", "🔑"),
        ("x" * 80, "x" * 80),
    ],
)
def test_a_name_is_kept_as_typed_but_for_needless_spaces(typed: str, kept: str) -> None:
    assert rules.tidy_name(typed) == kept


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "Enter a name."),
        (" \t\n ", "Enter a name."),
        ("x" * 81, "at most 80 characters; this one has 81"),
        ("x" * 1_000_000, "this one has 1000000"),
        ("a\x00b", "U\\+0000"),
        ("a\nb", "U\\+000A"),
        ("a\x1b[31m", "U\\+001B"),
        ("right\u202eleft", "U\\+202E"),
        ("zero\u200bwidth", "U\\+200B"),
        ("not\u00a0breaking", "U\\+00A0"),
        ("half\ud800", "U\\+D800"),
    ],
)
def test_a_name_that_cannot_be_read_or_typed_is_refused_with_the_reason(
    typed: str, reason: str
) -> None:
    with pytest.raises(rules.KeyNameError, match=reason):
        rules.tidy_name(typed)
