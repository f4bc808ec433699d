"""What bodies mean for money: usage in every shape, wrong requests, prompts with their bound."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.services import BillingItem
from gateway.api import tokens
from gateway.rules import (
    IMAGE_TOKENS,
    MOST_TOKENS,
    TEMPLATE_TOKENS,
    ChatRequest,
    InvalidRequestError,
    prompt_text,
    read_chat_request,
    read_usage,
)

MESSAGES = [{"role": "user", "content": "Good morning"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


def read(**fields: Any) -> ChatRequest:
    body = {"model": "atlas", "messages": MESSAGES} | fields
    return read_chat_request(body, len(orjson.dumps(body)))


def used(**fields: Any) -> dict[BillingItem, int]:
    """Read a usage, and return what there is some of."""
    quantities = read_usage({"prompt_tokens": 10, "completion_tokens": 20} | fields)
    assert quantities is not None
    return {item: quantity for item, quantity in quantities.items() if quantity}


def test_plain_usage_is_prompt_and_completion() -> None:
    assert used() == {BillingItem.PROMPT_TEXT: 10, BillingItem.COMPLETION: 20}


def test_cached_and_image_tokens_are_parts_of_the_prompt() -> None:
    quantities = used(prompt_tokens_details={"cached_tokens": 3, "image_tokens": 5})

    assert quantities == {
        BillingItem.PROMPT_TEXT: 2,
        BillingItem.CACHED_PROMPT_TEXT: 3,
        BillingItem.PROMPT_IMAGE: 5,
        BillingItem.COMPLETION: 20,
    }


def test_reasoning_inside_completion_as_openai_counts_is_told_apart() -> None:
    quantities = used(total_tokens=30, completion_tokens_details={"reasoning_tokens": 15})

    assert quantities[BillingItem.COMPLETION] == 5
    assert quantities[BillingItem.REASONING] == 15


def test_reasoning_beside_completion_as_xai_counts_is_charged_besides() -> None:
    quantities = used(total_tokens=45, completion_tokens_details={"reasoning_tokens": 15})

    assert quantities[BillingItem.COMPLETION] == 20
    assert quantities[BillingItem.REASONING] == 15


def test_reasoning_is_taken_to_be_inside_when_no_total_tells() -> None:
    quantities = used(completion_tokens_details={"reasoning_tokens": 15})

    assert (quantities[BillingItem.COMPLETION], quantities[BillingItem.REASONING]) == (5, 15)


def test_more_reasoning_than_completion_is_no_negative_completion() -> None:
    assert used(completion_tokens_details={"reasoning_tokens": 21}) == {
        BillingItem.PROMPT_TEXT: 10,
        BillingItem.REASONING: 20,
    }


def test_a_zero_is_an_answer_and_not_a_gap() -> None:
    assert read_usage({"prompt_tokens": 0, "completion_tokens": 0}) == dict.fromkeys(BillingItem, 0)


def test_more_cached_than_prompt_is_all_of_the_prompt_and_no_more() -> None:
    quantities = used(prompt_tokens_details={"cached_tokens": 11, "image_tokens": 4})

    assert quantities == {BillingItem.CACHED_PROMPT_TEXT: 10, BillingItem.COMPLETION: 20}


@pytest.mark.parametrize("count", [-1, "7", 7.0, True, None, [7], {}, MOST_TOKENS + 1, 2**63])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_makes_no_sense_makes_no_usage(field: str, count: object) -> None:
    assert read_usage({"prompt_tokens": 10, "completion_tokens": 20} | {field: count}) is None


@pytest.mark.parametrize("usage", [None, 7, "many", [], {}, {"prompt_tokens": 10}])
def test_what_lacks_a_count_is_no_usage(usage: object) -> None:
    assert read_usage(usage) is None


@pytest.mark.parametrize("details", [None, 7, [], {"cached_tokens": "3"}, {"cached_tokens": -3}])
def test_details_that_make_no_sense_are_passed_over(details: object) -> None:
    assert used(prompt_tokens_details=details) == used()


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "prompt_tokens_details",
                "completion_tokens_details",
            ]
        ),
        st.integers(-5, MOST_TOKENS + 5)
        | JSON
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "image_tokens", "reasoning_tokens"]),
            st.integers(-5, 50) | JSON,
        ),
    )
)
def test_whatever_an_upstream_says_nothing_negative_is_charged(usage: dict[str, Any]) -> None:
    quantities = read_usage(usage)

    if quantities is not None:
        assert all(quantity >= 0 for quantity in quantities.values())
        prompt = [
            BillingItem.PROMPT_TEXT,
            BillingItem.CACHED_PROMPT_TEXT,
            BillingItem.PROMPT_IMAGE,
        ]
        assert sum(quantities[item] for item in prompt) == usage["prompt_tokens"]


def test_a_request_says_what_the_gateway_needs_to_know() -> None:
    chat = read(max_tokens=7, n=3, stream=True, stream_options={"include_usage": True})

    assert (chat.model, chat.max_tokens, chat.choices) == ("atlas", 7, 3)
    assert chat.is_stream
    assert chat.wants_usage


def test_a_null_is_the_same_as_nothing() -> None:
    chat = read(max_tokens=None, n=None, stream=None, stream_options=None)

    assert (chat.max_tokens, chat.choices, chat.is_stream) == (None, 1, False)


def test_the_newer_name_of_the_maximum_counts_when_both_are_given() -> None:
    chat = read(max_tokens=7, max_completion_tokens=9)

    assert (chat.max_tokens_field, chat.max_tokens) == ("max_completion_tokens", 9)


@pytest.mark.parametrize("body", [None, 7, "text", [], [{}], True])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidRequestError, match="The body must be a JSON object"):
        read_chat_request(body, 10)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("model", [None, "", 7, [], {}, True]),
        ("messages", [None, [], "Hello", {}, 7, ["Hello"], [None], [[]], [{}, 7]]),
        ("stream", ["true", 1, 0, [], {}]),
        ("stream_options", ["on", 1, [{}], True]),
        ("max_tokens", [0, -1, "7", 1.0, 1.5, True, [], {}, MOST_TOKENS + 1]),
        ("max_completion_tokens", [0, -1, "7", 1.0, True, [], {}, MOST_TOKENS + 1]),
        ("n", [0, -1, "7", 1.5, True, [], 129]),
    ],
)
def test_a_wrong_type_is_refused_with_a_sentence_that_names_the_field(
    field: str, values: list[object]
) -> None:
    for value in values:
        with pytest.raises(InvalidRequestError, match=rf"{field}\b.*\.$"):
            read(**{field: value})


def test_stream_options_without_a_stream_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="stream_options needs stream"):
        read(stream_options={"include_usage": True})


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["model", "messages", "stream", "stream_options", "n", "max_tokens", "tools"]
        ),
        JSON,
    )
)
def test_no_body_gets_another_answer_than_a_request_or_a_sentence(body: dict[str, Any]) -> None:
    with suppress(InvalidRequestError):
        chat = read_chat_request(body, 1000)

        assert chat.choices >= 1
        assert isinstance(prompt_text(chat.body["messages"]), str)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_prompt_never_has_more_tokens_than_it_is_held_for(
    texts: list[str],
    is_in_parts: bool,  # noqa: FBT001
) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": text}] if is_in_parts else text}
        for text in texts
    ]

    chat = read(messages=messages)

    assert tokens.count(prompt_text(messages)) <= chat.prompt_tokens_bound - TEMPLATE_TOKENS


@pytest.mark.parametrize(
    "text",
    [
        "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}",
        "\N{FOX FACE}",
        "\0",
        "<s>",
        "  ",
        "\u0958",
    ],
)
def test_a_prompt_of_the_costliest_characters_is_still_bounded(text: str) -> None:
    messages = [{"role": "user", "content": text * 3000}]

    chat = read(messages=messages)

    assert tokens.count(text * 3000) <= chat.prompt_tokens_bound - TEMPLATE_TOKENS


def test_an_image_is_counted_by_piece_and_not_by_its_bytes() -> None:
    picture = "data:image/png;base64," + "A" * 90_000
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
        {"type": "image_url", "image_url": {"url": "https://example.com/fox.png"}},
    ]

    chat = read(messages=[{"role": "user", "content": parts}])

    assert chat.image_tokens_bound == 2 * IMAGE_TOKENS
    assert chat.prompt_tokens_bound < 1000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "image_url": {"url": "data:" + "word " * 1000}},
        {"type": "text", "text": "data:" + "word " * 1000},
        {"type": "image_url", "image_url": {"url": "https://x/" + "word " * 1000}},
        {"type": "image_url", "image_url": {"url": "data:" + "\N{FOX FACE}" * 2000}},
        {"type": "image_url", "image_url": [{"url": "data:" + "word " * 1000}]},
    ],
)
def test_text_that_poses_as_an_image_counts_as_text(part: dict[str, Any]) -> None:
    chat = read(messages=[{"role": "user", "content": [part]}])

    assert chat.prompt_tokens_bound > 5000
