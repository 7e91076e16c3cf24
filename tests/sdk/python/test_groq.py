"""Groq's SDK, whose base URL is the gateway's root."""

import json

import groq as sdk
import pytest

from callers import URL, groq_client, id_and_secret, says

MODEL = "openai/gpt-oss-20b"


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
