"""The words of usage: ranges and counts as a person would write them."""

from datetime import date

import pytest

from usage import rules


@pytest.mark.parametrize(
    ("first", "last", "label"),
    [
        (date(2026, 11, 21), date(2026, 11, 21), "21 Nov 2026"),
        (date(2026, 11, 1), date(2026, 11, 21), "1 to 21 Nov 2026"),
        (date(2026, 10, 28), date(2026, 11, 3), "28 Oct to 3 Nov 2026"),
        (date(2025, 12, 28), date(2026, 1, 3), "28 Dec 2025 to 3 Jan 2026"),
        (date(2025, 11, 1), date(2026, 11, 1), "1 Nov 2025 to 1 Nov 2026"),
    ],
)
def test_a_range_is_named_without_repeating_itself(first: date, last: date, label: str) -> None:
    assert rules.range_label(first, last) == label


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (999_999, "999,999"),
        (1_000_000, "1.00 million"),
        (999_940_000, "999.94 million"),
        (999_999_999, "1.00 billion"),
        (1_867_410_724, "1.87 billion"),
        (4_200_000_000_000_000, "4,200.00 trillion"),
    ],
)
def test_a_count_is_written_to_be_read_at_a_glance(count: int, words: str) -> None:
    assert rules.in_words(count) == words
