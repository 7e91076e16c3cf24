"""Errors arrive as the exception that a program written for OpenAI waits for."""

import asyncio

import openai
import pytest

from callers import PREFIX, URL, api_key, async_openai_client, id_and_secret, openai_client, says

MODEL = "gpt-5.4-nano"


def refused(client, exception, model=MODEL, **members):
    with pytest.raises(exception) as raised:
        client.chat.completions.create(**({"model": model, "messages": says("hi")} | members))
    error = raised.value
    assert error.message
    assert error.request_id.startswith("req_")
    return error


@pytest.mark.parametrize(
    "key", ["nobody", f"{PREFIX}-everything:wrong", api_key("switched-off"), id_and_secret("switched-off")]
)
def test_a_wrong_key_is_an_authentication_error(key):
    with openai.OpenAI(base_url=f"{URL}/v1", api_key=key) as client:
        error = refused(client, openai.AuthenticationError)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert error.status_code == 401
    assert error.type == "authentication_error"
    assert error.code == "invalid_api_key"
    assert "Invalid client credentials" in error.message


@pytest.mark.parametrize(
    ("role", "model", "param", "named"),
    [
        ("openai-only", "openai/gpt-oss-20b", None, "groq"),
        ("models-only", MODEL, None, "chat/completions"),
        ("mini-only", MODEL, "model", MODEL),
    ],
)
def test_what_a_client_may_not_use_is_a_permission_error(role, model, param, named):
    with openai_client(role) as client:
        error = refused(client, openai.PermissionDeniedError, model)
    assert (error.status_code, error.type, error.param) == (403, "permission_error", param)
    assert named in error.message


@pytest.mark.parametrize("model", ["gpt-does-not-exist", "nobody/nothing"])
def test_an_unknown_model_is_not_found(client, model):
    error = refused(client, openai.NotFoundError, model)
    assert error.status_code == 404
    assert error.code == "model_not_found"


def test_an_unknown_route_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.post("/nowhere", cast_to=object, body={})
    assert raised.value.type == "invalid_request_error"


@pytest.mark.parametrize("param", ["max_tokens", "max_completion_tokens"])
def test_a_cap_above_the_clients_limit_is_a_bad_request(param):
    with openai_client("capped") as client:
        error = refused(client, openai.BadRequestError, "gpt-4o-mini", **{param: 2001})
        within = client.chat.completions.create(model="gpt-4o-mini", messages=says("hi"), **{param: 2000})
    assert error.status_code == 400
    assert error.type == "invalid_request_error"
    assert error.param == param
    assert "Max tokens limit exceeded. Maximum allowed: 2000" in error.message
    assert within.choices[0].finish_reason == "stop"


def test_a_request_that_the_gateway_cannot_use_is_a_bad_request(client):
    error = refused(client, openai.BadRequestError, "not a name")
    assert error.param == "model"
    error = refused(client, openai.BadRequestError, messages=[])
    assert error.param == "messages"


def test_a_request_that_the_upstream_refuses_keeps_its_words(client):
    error = refused(client, openai.BadRequestError, "error-400")
    assert error.code == "context_length_exceeded"
    assert error.param == "messages"
    assert "maximum context length" in error.message


@pytest.mark.parametrize(
    ("status", "exception"),
    [(409, openai.ConflictError), (422, openai.UnprocessableEntityError)],
)
def test_other_refusals_of_the_upstream_keep_their_status(impatient, status, exception):
    assert refused(impatient, exception, f"error-{status}").status_code == status


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("error-500", 502, "upstream_error"),
        ("error-503", 502, "upstream_error"),
        ("error-418", 502, "upstream_error"),
        ("error-in-200", 502, "upstream_error"),
        ("html", 502, "upstream_error"),
        ("empty", 502, "upstream_error"),
        ("close", 502, "upstream_error"),
        ("never", 504, "upstream_timeout"),
        ("keyless/gpt", 503, "overloaded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_upstream_is_a_server_error(impatient, model, status, code, stream):
    error = refused(impatient, openai.InternalServerError, model, stream=stream)
    assert (error.status_code, error.type, error.code) == (status, "server_error", code)


def test_our_own_keys_refusal_is_a_server_error_that_shows_nothing_of_it(impatient):
    error = refused(impatient, openai.InternalServerError, "refused/gpt-4o-mini")
    assert error.status_code == 502
    assert error.code == "upstream_error"
    assert "sk-" not in error.response.text
    assert "upstream" not in error.response.text.replace("upstream_error", "")


def test_a_key_that_is_not_set_is_named_and_not_tried_again(client):
    """With the SDK's own two retries: the header must keep it from waiting in vain."""
    error = refused(client, openai.InternalServerError, "keyless/gpt-4o-mini")
    assert "UPSTREAM_KEY_MISSING" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    assert error.request.headers["x-stainless-retry-count"] == "0"


def test_a_caller_without_patience_times_out_and_its_slot_is_free():
    with openai_client("one-at-once", timeout=0.3, max_retries=0) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="late", messages=says("hi"))
    with openai_client("one-at-once") as client:
        answer = client.chat.completions.create(model=MODEL, messages=says("hi"))
    assert answer.choices[0].message.content == "You said: hi"


def test_an_async_client_gets_the_same_exceptions():
    async def ask(role, model):
        async with async_openai_client(role, max_retries=0) as client:
            await client.chat.completions.create(model=model, messages=says("hi"))

    for role, model, exception in [
        ("switched-off", MODEL, openai.AuthenticationError),
        ("openai-only", "fast", openai.PermissionDeniedError),
        ("everything", "error-500", openai.InternalServerError),
    ]:
        with pytest.raises(exception):
            asyncio.run(ask(role, model))
