"""OpenAI's SDK and its chat API, on providers that speak another protocol."""

import base64
import json

import openai
import pytest
from pydantic import BaseModel

from callers import (
    BOTH_CALLS,
    CALL_BOTH,
    MODELS,
    PIXEL,
    THOUGHT,
    WEATHER_SCHEMA,
    faulty,
    on_each,
    openai_client,
    says,
)

crossed = on_each("chat", "anthropic", "gemini")

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA}},
    {"type": "function", "function": {"name": "get_time", "description": "The time."}},
]


@crossed
def test_a_question_gets_its_answer_with_usage(client, provider):
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "developer", "content": "and kind"},
        *says("first"),
        {"role": "assistant", "content": "one"},
        *says("hello there"),
    ]
    answer = client.chat.completions.with_raw_response.create(model=MODELS[provider], messages=messages)
    assert answer.headers["x-gateway-provider"] == provider
    answer = answer.parse()
    assert answer.object == "chat.completion"
    assert answer.id and answer.created
    [choice] = answer.choices
    assert (choice.index, choice.message.role, choice.finish_reason) == (0, "assistant", "stop")
    assert choice.message.content == "You said: hello there"
    assert choice.message.refusal is None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 4


@crossed
@pytest.mark.parametrize("include_usage", [None, False, True])
def test_a_stream_is_the_answer_in_pieces(client, provider, include_usage):
    options = {} if include_usage is None else {"stream_options": {"include_usage": include_usage}}
    chunks = list(
        client.chat.completions.create(model=MODELS[provider], messages=says("a b c"), stream=True, **options)
    )
    if include_usage:
        last = chunks.pop()
        assert last.choices == []
        assert last.usage.completion_tokens == 5
        assert last.usage.total_tokens == last.usage.prompt_tokens + 5
    assert all(len(chunk.choices) == 1 and chunk.usage is None for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: a b c"
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons[-1] == "stop"
    assert not any(reasons[:-1])


@crossed
@pytest.mark.parametrize("stream", [False, True])
def test_two_tools_are_called_at_once(client, provider, stream):
    asked = {"model": MODELS[provider], "messages": says(CALL_BOTH), "tools": TOOLS}
    if stream:
        with client.chat.completions.stream(**asked) as streamed:
            answer = streamed.get_final_completion()
    else:
        answer = client.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == BOTH_CALLS
    assert all(call.id for call in calls)
    assert len({call.id for call in calls}) == 2


@crossed
def test_arguments_come_in_pieces_with_their_calls_index(client, provider):
    calls = {}
    for chunk in client.chat.completions.create(
        model=MODELS[provider], messages=says(CALL_BOTH), tools=TOOLS, stream=True
    ):
        for part in chunk.choices[0].delta.tool_calls or []:
            if part.index not in calls:
                assert part.id and part.function.name and part.type == "function"
                calls[part.index] = ""
            calls[part.index] += part.function.arguments or ""
    assert list(calls) == [0, 1]
    assert [json.loads(calls[index]) for index in calls] == [arguments for _, arguments in BOTH_CALLS]


@crossed
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["required", "named"]
)
def test_a_tool_that_is_demanded_is_called(client, provider, choice):
    answer = client.chat.completions.create(
        model=MODELS[provider], messages=says("hi"), tools=TOOLS, tool_choice=choice
    )
    [call] = answer.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["city"] == "text"


@crossed
def test_a_tool_that_is_forbidden_is_not_called(client, provider):
    answer = client.chat.completions.create(
        model=MODELS[provider], messages=says("call the tool"), tools=TOOLS, tool_choice="none"
    )
    assert answer.choices[0].message.content == "You said: call the tool"


@crossed
@pytest.mark.parametrize("content", ["", None, "as is"])
def test_tools_answers_go_back_and_are_used(client, provider, content):
    messages = says(CALL_BOTH)
    first = client.chat.completions.create(model=MODELS[provider], messages=messages, tools=TOOLS)
    message = first.choices[0].message.model_dump(exclude_none=True)
    if content != "as is":
        message["content"] = content
    # What programs keep of a call without arguments.
    message["tool_calls"][1]["function"]["arguments"] = ""
    messages.append(message)
    for call, said in zip(message["tool_calls"], ("21 degrees", "noon"), strict=True):
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
    second = client.chat.completions.create(model=MODELS[provider], messages=messages, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content.startswith("The tool said: ")
    assert "noon" in second.choices[0].message.content


@crossed
def test_an_image_reaches_the_model(client, provider):
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    content = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(model=MODELS[provider], messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "You said: what is this (images: 1)"


class Step(BaseModel):
    explanation: str
    result: float


class Solution(BaseModel):
    steps: list[Step]
    is_final: bool


@crossed
@pytest.mark.parametrize("stream", [False, True])
def test_structured_output_is_parsed(client, provider, stream):
    asked = {"model": MODELS[provider], "messages": says("solve it"), "response_format": Solution}
    if stream:
        with client.chat.completions.stream(**asked) as streamed:
            answer = streamed.get_final_completion()
    else:
        answer = client.chat.completions.parse(**asked)
    solution = answer.choices[0].message.parsed
    assert isinstance(solution, Solution)
    assert solution.steps[0].result == 1.5


# To be shown what was thought is no member of OpenAI's own chat API; this is the responses API's.
THINKING = {"messages": says("think"), "max_completion_tokens": 4096, "reasoning_effort": "low"}
SUMMARY = {"reasoning": {"summary": "auto"}}


@crossed
def test_reasoning_is_counted(client, provider):
    answer = client.chat.completions.create(**THINKING | {"model": MODELS[provider]})
    assert answer.choices[0].message.content == "You said: think"
    assert answer.usage.completion_tokens > 3


@crossed
def test_reasoning_that_is_asked_for_is_shown(client, provider):
    answer = client.chat.completions.create(**THINKING | {"model": MODELS[provider]}, extra_body=SUMMARY)
    message = answer.choices[0].message
    assert message.content == "You said: think"
    assert message.model_extra["reasoning_content"] == THOUGHT


@crossed
def test_reasoning_is_streamed_before_the_answer(client, provider):
    asked = THINKING | {"model": MODELS[provider]}
    deltas = [
        chunk.choices[0].delta for chunk in client.chat.completions.create(**asked, stream=True, extra_body=SUMMARY)
    ]
    thought = [(delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas]
    text = [delta.content or "" for delta in deltas]
    assert "".join(thought) == THOUGHT
    assert "".join(text) == "You said: think"
    assert max(i for i, piece in enumerate(thought) if piece) < min(i for i, piece in enumerate(text) if piece)


@crossed
@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_an_output_cap_cuts_the_answer_under_either_name(client, provider, cap):
    answer = client.chat.completions.create(model=MODELS[provider], messages=says("a b c d e f"), **{cap: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


@crossed
@pytest.mark.parametrize("stop", ["there", ["nowhere", "there"]], ids=["one", "several"])
def test_a_stop_text_ends_the_answer(client, provider, stop):
    answer = client.chat.completions.create(model=MODELS[provider], messages=says("hello there you"), stop=stop)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == "You said: hello "


@pytest.mark.parametrize(
    ("provider", "member", "value"),
    [
        ("anthropic", "logit_bias", {"50256": -100}),
        ("gemini", "logit_bias", {"50256": -100}),
        ("gemini", "parallel_tool_calls", False),
    ],
)
def test_what_has_no_equal_is_named_and_refused(impatient, provider, member, value):
    asked = {"model": MODELS[provider], "messages": says("hi"), "tools": TOOLS, member: value}
    with pytest.raises(openai.BadRequestError) as raised:
        impatient.chat.completions.create(**asked)
    assert member in raised.value.message


@crossed
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_exceptions_of_the_sdk(impatient, provider, stream):
    def refused(exception, model):
        with pytest.raises(exception) as raised:
            impatient.chat.completions.create(model=model, messages=says("hi"), stream=stream)
        assert raised.value.message
        return raised.value

    assert refused(openai.NotFoundError, f"{provider}/does-not-exist").status_code == 404
    assert refused(openai.BadRequestError, faulty(provider, "error-400")).type == "invalid_request_error"
    limited = refused(openai.RateLimitError, faulty(provider, "error-429"))
    assert limited.type == "rate_limit_error"
    assert limited.response.headers["retry-after"] == "1"
    assert refused(openai.InternalServerError, faulty(provider, "error-500")).status_code == 502


@crossed
def test_a_wrong_key_is_an_authentication_error(provider):
    with openai_client("switched-off", max_retries=0) as client, pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=MODELS[provider], messages=says("hi"))


@crossed
@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_broken_stream_raises_after_what_had_come(client, provider, model):
    text = ""
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(
            model=faulty(provider, model), messages=says("count"), stream=True
        ):
            text += chunk.choices[0].delta.content or ""
    assert text == "one two "
    assert not isinstance(raised.value, openai.APIConnectionError)


@crossed
def test_a_stream_that_is_closed_half_way_gives_its_slot_back(provider):
    with openai_client("one-at-once") as client:
        stream = client.chat.completions.create(model=f"{provider}/stall", messages=says("count"), stream=True)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        stream.close()
        again = client.chat.completions.create(model=MODELS[provider], messages=says("next"))
    assert again.choices[0].message.content == "You said: next"
