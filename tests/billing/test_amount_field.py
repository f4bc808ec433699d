"""Amounts of US dollars as people write them: what is taken, and what is said of the rest."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from accounts.forms.fields import AmountField


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("25", "25"),
        (" 25.5 ", "25.5"),
        ("1,250.50", "1250.50"),
        ("$1,250.50", "1250.50"),
        ("$1250", "1250"),
        ("0", "0"),
        ("-0", "0"),
        ("007", "7"),
        ("5.000", "5"),
        ("10,000,000,000", "10000000000"),
    ],
)
def test_an_amount_may_be_written_as_pages_show_it(typed: str, amount: str) -> None:
    assert AmountField().clean(typed) == Decimal(amount)


@pytest.mark.parametrize(
    "typed",
    [
        "lots",
        "1e5",
        "1E-1",
        "NaN",
        "Infinity",
        "1_000",
        "1,5",
        "1,00",
        "1.000,50",
        "1 000",
        "\u0661\u0662",  # Digits, and not of ours.
        "\uff11\uff12",
        "+5",
        "5$",
        "$",
        ".",
        "--5",
        "0x10",
    ],
)
def test_what_is_no_amount_is_named(typed: str) -> None:
    assert refused(typed) == f"“{typed}” is not an amount. Enter one like 25 or 1,250.50."


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Enter an amount like 25 or 1,250.50."),
        ("  ", "Enter an amount like 25 or 1,250.50."),
        ("-5", "-5 is less than $0.00."),
        ("\N{MINUS SIGN}$5", "\N{MINUS SIGN}$5 is less than $0.00."),
        ("$1,250.505", "$1,250.505 is finer than a cent."),
        ("10,000,000,000.01", "10,000,000,000.01 is too much."),
        ("9" * 9_999, f"{'9' * 30}… is too much."),
        ("0." + "0" * 9_999 + "1", f"0.{'0' * 28}… is finer than a cent."),
    ],
)
def test_an_amount_that_cannot_be_is_named_with_the_reason(typed: str, sentence: str) -> None:
    assert refused(typed) == sentence


def test_an_amount_that_is_not_asked_for_may_be_left_out() -> None:
    assert AmountField(required=False).clean("") is None


def refused(typed: str) -> str:
    with pytest.raises(ValidationError) as error:
        AmountField().clean(typed)
    [sentence] = error.value.messages
    return sentence
