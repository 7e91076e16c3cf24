"""Anthropic's SDK, on its own protocol and on the others'."""

import base64

import anthropic
import pytest
from pydantic import BaseModel

from callers import (
    BOTH_CALLS,
    CALL_BOTH,
    MODELS,
    PIXEL,
    PREFIX,
    THOUGHT,
    URL,
    WEATHER_SCHEMA,
    anthropic_client,
    api_key,
    faulty,
    on_each,
    says,
)

on_every = on_each("messages", "anthropic", "openai", "gemini")

TOOLS = [
    {"name": "get_weather", "description": "The weather of a city.", "input_schema": WEATHER_SCHEMA},
    {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
]
THINKING = {"type": "enabled", "budget_tokens": 1024}


def asked(provider: str, text: str, **members) -> dict:
    return {"model": MODELS[provider], "max_tokens": 1000, "messages": says(text)} | members


def answered(sdk, stream: bool, **members):
    """The whole message, whichever way it came."""
    if not stream:
        return sdk.messages.create(**members)
    with sdk.messages.stream(**members) as streamed:
        return streamed.get_final_message()


def text_of(message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_a_question_gets_its_answer_with_usage(sdk, provider, stream):
    conversation = [*says("first"), {"role": "assistant", "content": "one"}, *says("hello there")]
    answer = answered(sdk, stream, **asked(provider, "", messages=conversation, system="be brief"))
    assert (answer.type, answer.role) == ("message", "assistant")
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.id and answer.model
    [block] = answer.content
    assert (block.type, block.text) == ("text", "You said: hello there")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 4


@on_every
def test_an_answer_names_who_gave_it(sdk, provider):
    answer = sdk.messages.with_raw_response.create(**asked(provider, "hi"))
    assert answer.headers["x-gateway-provider"] == provider
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert answer.parse()._request_id.startswith("req_")


@on_every
@pytest.mark.parametrize(
    ("text", "members"),
    [("a b c", {}), (CALL_BOTH, {"tools": TOOLS}), ("think", {"thinking": THINKING, "max_tokens": 4096})],
    ids=["text", "tools", "thinking"],
)
def test_every_block_of_a_stream_is_opened_and_closed_once(sdk, provider, text, members):
    events = list(sdk.messages.create(**asked(provider, text, **members), stream=True))
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert events[0].message.content == []
    assert events[0].message.stop_reason is None
    opened = []
    is_open = False
    for event in events:
        if event.type == "content_block_start":
            assert not is_open and event.index == len(opened)
            opened.append(event.content_block.type)
            is_open = True
        elif event.type == "content_block_delta":
            assert is_open and event.index == len(opened) - 1
        elif event.type == "content_block_stop":
            assert is_open and event.index == len(opened) - 1
            is_open = False
    assert opened and not is_open


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_two_tools_are_called_at_once(sdk, provider, stream):
    answer = answered(sdk, stream, **asked(provider, CALL_BOTH, tools=TOOLS))
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == BOTH_CALLS
    assert all(call.id for call in calls) and calls[0].id != calls[1].id


@on_every
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}], ids=["any", "named"])
def test_a_tool_that_is_demanded_is_called(sdk, provider, choice):
    answer = sdk.messages.create(**asked(provider, "hi", tools=TOOLS, tool_choice=choice))
    [call] = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, call.input["city"]) == ("get_weather", "text")


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_tools_answers_go_back_and_are_used(sdk, provider, stream):
    first = sdk.messages.create(**asked(provider, CALL_BOTH, tools=TOOLS))
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "21 degrees"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "noon"}]},
    ]
    conversation = [
        *says(CALL_BOTH),
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = answered(sdk, stream, **asked(provider, "", messages=conversation, tools=TOOLS))
    assert second.stop_reason == "end_turn"
    assert text_of(second).startswith("The tool said: ")
    assert "noon" in text_of(second)


@on_every
def test_an_image_reaches_the_model(sdk, provider):
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PIXEL).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what is this"}]
    answer = sdk.messages.create(**asked(provider, "", messages=[{"role": "user", "content": content}]))
    assert text_of(answer) == "You said: what is this (images: 1)"


class City(BaseModel):
    name: str
    people: float
    twins: list[str]


@on_every
def test_structured_output_is_parsed(sdk, provider):
    answer = sdk.messages.parse(**asked(provider, "a city"), output_format=City)
    assert answer.parsed_output == City(name="text", people=1.5, twins=["text"])


@on_each("messages", "anthropic", "gemini")
@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_a_block_before_the_text(sdk, provider, stream):
    answer = answered(sdk, stream, **asked(provider, "think", thinking=THINKING, max_tokens=4096))
    thinking, text = answer.content
    assert (thinking.type, thinking.thinking) == ("thinking", THOUGHT)
    assert (text.type, text.text) == ("text", "You said: think")
    if provider == "anthropic":
        assert thinking.signature


def test_thinking_goes_back_with_its_signature(sdk):
    """The upstream refuses one that is not as it was."""
    first = sdk.messages.create(**asked("anthropic", "think", thinking=THINKING, max_tokens=4096))
    conversation = [*says("think"), {"role": "assistant", "content": first.content}, *says("again")]
    second = sdk.messages.create(
        **asked("anthropic", "", messages=conversation, thinking=THINKING, max_tokens=4096)
    )
    assert text_of(second) == "You said: again"


@on_each("messages", "openai")
def test_thinking_that_is_not_shown_is_paid_for(sdk, provider):
    answer = sdk.messages.create(**asked(provider, "think", thinking=THINKING, max_tokens=4096))
    assert text_of(answer) == "You said: think"
    assert answer.usage.output_tokens > 3


@on_every
def test_an_output_cap_cuts_the_answer(sdk, provider):
    answer = sdk.messages.create(**asked(provider, "a b c d e f", max_tokens=3))
    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 3


@on_every
def test_a_stop_sequence_ends_the_answer(sdk, provider):
    answer = sdk.messages.create(**asked(provider, "hello there you", stop_sequences=["there"]))
    assert text_of(answer) == "You said: hello "
    if provider == "anthropic":
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "there")


@on_every
def test_tokens_are_counted_before_they_are_spent(sdk, provider):
    short = sdk.messages.count_tokens(model=MODELS[provider], messages=says("hi"))
    long = sdk.messages.count_tokens(model=MODELS[provider], messages=says("hi " * 100))
    assert 0 < short.input_tokens < long.input_tokens


def test_beta_flags_reach_the_upstream(sdk):
    answer = sdk.beta.messages.create(**asked("anthropic", "hi"), betas=["context-1m-2025-08-07"])
    assert text_of(answer) == "You said: hi"


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_exceptions_of_the_sdk(provider, stream):
    with anthropic_client(max_retries=0) as sdk:

        def refused(exception, model):
            with pytest.raises(exception) as raised:
                sdk.messages.create(**asked(provider, "hi", model=model), stream=stream)
            error = raised.value
            assert error.body["type"] == "error"
            assert error.body["error"]["message"]
            assert error.request_id.startswith("req_")
            return error

        missing = refused(anthropic.NotFoundError, f"{provider}/does-not-exist")
        assert missing.body["error"]["type"] == "not_found_error"
        wrong = refused(anthropic.BadRequestError, faulty(provider, "error-400"))
        assert wrong.body["error"]["type"] == "invalid_request_error"
        limited = refused(anthropic.RateLimitError, faulty(provider, "error-429"))
        assert limited.body["error"]["type"] == "rate_limit_error"
        assert limited.response.headers["retry-after"] == "1"
        failed = refused(anthropic.InternalServerError, faulty(provider, "error-500"))
        assert (failed.status_code, failed.body["error"]["type"]) == (502, "api_error")


def test_an_overloaded_upstream_says_so_in_its_own_status():
    with anthropic_client(max_retries=0) as sdk, pytest.raises(anthropic.APIStatusError) as raised:
        sdk.messages.create(**asked("anthropic", "hi", model=faulty("anthropic", "error-529")))
    assert raised.value.status_code == 529
    assert raised.value.body["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("key", ["nobody", api_key("switched-off"), f"{PREFIX}-everything:wrong"])
def test_a_wrong_key_is_an_authentication_error(key):
    with anthropic.Anthropic(base_url=URL, api_key=key) as sdk:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            sdk.messages.create(**asked("anthropic", "hi"))
    assert raised.value.body["error"]["type"] == "authentication_error"


def test_a_key_may_come_as_a_bearer_token_too():
    with anthropic.Anthropic(base_url=URL, auth_token=api_key("everything")) as sdk:
        assert text_of(sdk.messages.create(**asked("anthropic", "hi"))) == "You said: hi"


def test_a_request_without_messages_is_a_bad_request(sdk):
    with pytest.raises(anthropic.BadRequestError):
        sdk.messages.create(**asked("anthropic", "", messages=[]))


def test_a_full_minute_is_a_rate_limit_error_that_says_when():
    with anthropic_client("one-message-a-minute", max_retries=0) as sdk:
        sdk.messages.create(**asked("anthropic", "hi"))
        with pytest.raises(anthropic.RateLimitError) as raised:
            sdk.messages.create(**asked("anthropic", "hi"))
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60
    assert raised.value.response.headers["x-ratelimit-limited-by"] == "requests_per_minute"


@on_every
@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_broken_stream_raises_after_what_had_come(sdk, provider, model):
    text = ""
    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in sdk.messages.create(**asked(provider, "count", model=faulty(provider, model)), stream=True):
            if event.type == "content_block_delta":
                text += event.delta.text
    assert text == "one two "
    assert raised.value.body["error"]["message"]


@on_every
def test_a_stream_that_is_closed_half_way_gives_its_slot_back(provider):
    with anthropic_client("one-at-once") as sdk:
        stream = sdk.messages.create(**asked(provider, "count", model=f"{provider}/stall"), stream=True)
        for event in stream:
            if event.type == "content_block_delta":
                break
        stream.close()
        again = sdk.messages.create(**asked(provider, "next"))
    assert text_of(again) == "You said: next"
