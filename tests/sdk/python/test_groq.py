"""Groq's SDK, whose base URL is the gateway's root, on Groq and on providers that speak another protocol."""

import base64
import json

import groq as sdk
import pytest

from callers import (
    BOTH_CALLS,
    CALL_BOTH,
    MODELS,
    PIXEL,
    THOUGHT,
    URL,
    WEATHER_SCHEMA,
    groq_client,
    id_and_secret,
    on_each,
    says,
)

MODEL = "openai/gpt-oss-20b"
MODEL_OF = MODELS | {"groq": MODEL}
on_every = on_each("groq", "groq", "anthropic", "gemini")

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER_SCHEMA}},
    {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}},
]


def test_a_question_gets_its_answer_from_groq(groq):
    answer = groq.chat.completions.with_raw_response.create(model=MODEL, messages=says("hello there"))
    assert answer.headers["x-gateway-provider"] == "groq"
    answer = answer.parse()
    assert answer.choices[0].message.content == "You said: hello there"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_is_the_answer_in_pieces(groq):
    chunks = list(groq.chat.completions.create(model=MODEL, messages=says("a b c"), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: a b c"
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_is_required_is_called(groq, stream):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
    answer = groq.chat.completions.create(
        model=MODEL, messages=says("hi"), tools=[tool], tool_choice="required", stream=stream
    )
    if stream:
        parts = [part for chunk in answer for part in chunk.choices[0].delta.tool_calls or []]
        arguments = "".join(part.function.arguments or "" for part in parts)
    else:
        arguments = answer.choices[0].message.tool_calls[0].function.arguments
    assert json.loads(arguments) == {"city": "text"}


@on_every
def test_two_tools_are_called_at_once(groq, provider):
    answer = groq.chat.completions.create(model=MODEL_OF[provider], messages=says(CALL_BOTH), tools=TOOLS)
    calls = answer.choices[0].message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == BOTH_CALLS
    assert answer.choices[0].finish_reason == "tool_calls"


@on_every
def test_two_tools_are_called_at_once_in_a_stream(groq, provider):
    calls = {}
    for chunk in groq.chat.completions.create(
        model=MODEL_OF[provider], messages=says(CALL_BOTH), tools=TOOLS, stream=True
    ):
        for part in chunk.choices[0].delta.tool_calls or []:
            calls[part.index] = calls.get(part.index, "") + (part.function.arguments or "")
    assert [json.loads(calls[index]) for index in (0, 1)] == [arguments for _, arguments in BOTH_CALLS]


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_tools_answers_go_back_and_are_used(groq, provider, stream):
    asked = {"model": MODEL_OF[provider], "tools": TOOLS}
    first = groq.chat.completions.create(messages=says(CALL_BOTH), **asked).choices[0].message
    messages = [*says(CALL_BOTH), first.model_dump(exclude_none=True)]
    for call, said in zip(first.tool_calls, ("21 degrees", "noon"), strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    second = groq.chat.completions.create(messages=messages, stream=stream, **asked)
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in second)
    else:
        text = second.choices[0].message.content
    assert text.startswith("The tool said: ")
    assert "noon" in text


@on_every
def test_an_image_reaches_the_model(groq, provider):
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    content = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = groq.chat.completions.create(model=MODEL_OF[provider], messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "You said: what is this (images: 1)"


@on_every
def test_structured_output_has_its_schema(groq, provider):
    schema = WEATHER_SCHEMA | {"additionalProperties": False, "required": ["city", "station"]}
    answer = groq.chat.completions.create(
        model=MODEL_OF[provider],
        messages=says("a city"),
        response_format={"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": schema}},
    )
    assert json.loads(answer.choices[0].message.content) == {"city": "text", "station": 1}


@on_every
def test_reasoning_is_shown_or_counted(groq, provider):
    shown = {} if provider == "groq" else {"include_reasoning": True}
    answer = groq.chat.completions.create(
        model=MODEL_OF[provider],
        messages=says("think"),
        reasoning_effort="low",
        max_completion_tokens=4096,
        **shown,
    )
    assert answer.choices[0].message.content == "You said: think"
    if shown:
        assert answer.choices[0].message.model_extra["reasoning_content"] == THOUGHT
    assert answer.usage.completion_tokens > 3


@on_every
def test_a_stream_that_is_closed_half_way_gives_its_slot_back(provider):
    with groq_client("one-at-once") as groq:
        stream = groq.chat.completions.create(model=f"{provider}/stall", messages=says("count"), stream=True)
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        stream.close()
        again = groq.chat.completions.create(model=MODEL_OF[provider], messages=says("next"))
    assert again.choices[0].message.content == "You said: next"


def test_the_models_are_listed_and_found(groq):
    assert MODEL in {model.id for model in groq.models.list().data}
    assert groq.models.retrieve(MODEL).id == MODEL


def test_id_and_secret_are_a_key_too():
    with sdk.Groq(base_url=URL, api_key=id_and_secret("everything")) as client:
        assert client.chat.completions.create(model=MODEL, messages=says("hi")).choices


@pytest.mark.parametrize(
    ("role", "model", "exception", "code"),
    [
        ("switched-off", MODEL, sdk.AuthenticationError, "invalid_api_key"),
        ("openai-only", MODEL, sdk.PermissionDeniedError, None),
        ("everything", "groq/does-not-exist", sdk.NotFoundError, "model_not_found"),
        ("everything", "error-400", sdk.BadRequestError, "context_length_exceeded"),
        ("everything", "error-429", sdk.RateLimitError, "rate_limit_exceeded"),
        ("without-tokens", MODEL, sdk.RateLimitError, "insufficient_quota"),
        ("everything", "error-500", sdk.InternalServerError, "upstream_error"),
    ],
)
def test_errors_are_the_exceptions_of_the_sdk(role, model, exception, code):
    with groq_client(role, max_retries=0) as client, pytest.raises(exception) as raised:
        client.chat.completions.create(model=model, messages=says("hi"))
    assert raised.value.body["error"]["code"] == code


def test_a_broken_stream_raises(groq):
    with pytest.raises(sdk.APIError):
        list(groq.chat.completions.create(model="cut", messages=says("count"), stream=True))
