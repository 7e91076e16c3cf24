"""Google's SDK, on its own protocol and on the others'."""

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from callers import (
    BOTH_CALLS,
    CALL_BOTH,
    MODELS,
    PIXEL,
    THOUGHT,
    URL,
    WEATHER_SCHEMA,
    api_key,
    faulty,
    gemini_client,
    on_each,
)

on_every = on_each("generate", "gemini", "openai", "anthropic")

TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER_SCHEMA),
        types.FunctionDeclaration(name="get_time", description="The time."),
    ]
)


def user(*said) -> types.Content:
    parts = [types.Part(text=part) if isinstance(part, str) else part for part in said]
    return types.Content(role="user", parts=parts)


def chunks_of(client, provider, contents, **config) -> list:
    config = types.GenerateContentConfig(**config)
    return list(client.models.generate_content_stream(model=MODELS[provider], contents=contents, config=config))


def answered(client, stream: bool, provider, contents, **config):
    """The parts, the last finish reason and the last usage, whichever way they came."""
    if stream:
        chunks = chunks_of(client, provider, contents, **config)
    else:
        config = types.GenerateContentConfig(**config)
        chunks = [client.models.generate_content(model=MODELS[provider], contents=contents, config=config)]
    candidates = [candidate for chunk in chunks for candidate in chunk.candidates or []]
    parts = [
        part for candidate in candidates if candidate.content for part in candidate.content.parts or []
    ]
    reasons = [candidate.finish_reason for candidate in candidates if candidate.finish_reason]
    assert len(reasons) == 1
    return parts, reasons[0], chunks[-1].usage_metadata


def text_of(parts) -> str:
    return "".join(part.text or "" for part in parts if not part.thought)


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_a_question_gets_its_answer_with_usage(gemini, provider, stream):
    contents = [user("first"), types.Content(role="model", parts=[types.Part(text="one")]), user("hello there")]
    parts, reason, usage = answered(gemini, stream, provider, contents, system_instruction="be brief")
    assert text_of(parts) == "You said: hello there"
    assert reason == types.FinishReason.STOP
    assert usage.prompt_token_count > 0
    assert usage.candidates_token_count == 4
    assert usage.total_token_count == usage.prompt_token_count + 4


@on_every
def test_an_answer_has_an_id_and_its_model(gemini, provider):
    answer = gemini.models.generate_content(model=MODELS[provider], contents="hi")
    assert answer.text == "You said: hi"
    assert answer.response_id
    assert answer.model_version
    assert answer.sdk_http_response.headers["x-gateway-provider"] == provider


@on_every
def test_a_stream_comes_in_pieces(gemini, provider):
    chunks = chunks_of(gemini, provider, "a b c")
    assert len(chunks) > 3
    assert "".join(chunk.text or "" for chunk in chunks) == "You said: a b c"


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_two_tools_are_called_at_once(gemini, provider, stream):
    parts, reason, _ = answered(gemini, stream, provider, CALL_BOTH, tools=[TOOLS])
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.name, call.args or {}) for call in calls] == BOTH_CALLS
    assert reason == types.FinishReason.STOP


@on_every
@pytest.mark.parametrize("only", [None, ["get_weather"]], ids=["any", "named"])
def test_a_tool_that_is_demanded_is_called(gemini, provider, only):
    calling = types.FunctionCallingConfig(mode="ANY", allowed_function_names=only)
    tool_config = types.ToolConfig(function_calling_config=calling)
    parts, _, _ = answered(gemini, False, provider, "hi", tools=[TOOLS], tool_config=tool_config)
    [call] = [part.function_call for part in parts if part.function_call]
    assert (call.name, call.args["city"]) == ("get_weather", "text")


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_tools_answers_go_back_and_are_used(gemini, provider, stream):
    first, _, _ = answered(gemini, False, provider, CALL_BOTH, tools=[TOOLS])
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=part.function_call.id, name=part.function_call.name, response={"result": said}
            )
        )
        for part, said in zip(first, ("21 degrees", "noon"), strict=True)
    ]
    contents = [user(CALL_BOTH), types.Content(role="model", parts=first), user(*results)]
    parts, reason, _ = answered(gemini, stream, provider, contents, tools=[TOOLS])
    assert text_of(parts).startswith("The tool said: ")
    assert "noon" in text_of(parts)
    assert reason == types.FinishReason.STOP


@on_every
def test_the_sdk_runs_the_tool_itself(gemini, provider):
    asked = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "21 degrees"

    answer = gemini.models.generate_content(
        model=MODELS[provider],
        contents='use tool get_weather {"city":"Paris"}',
        config=types.GenerateContentConfig(tools=[get_weather]),
    )
    assert asked == ["Paris"]
    assert "21 degrees" in answer.text


@on_every
def test_an_image_reaches_the_model(gemini, provider):
    image = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    parts, _, _ = answered(gemini, False, provider, [user("what is this", image)])
    assert text_of(parts) == "You said: what is this (images: 1)"


class City(BaseModel):
    name: str
    people: float
    twins: list[str]


@on_every
def test_structured_output_is_parsed(gemini, provider):
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=City)
    answer = gemini.models.generate_content(model=MODELS[provider], contents="a city", config=config)
    assert answer.parsed == City(name="text", people=1.5, twins=["text"])


@on_each("generate", "gemini", "anthropic")
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_come_before_the_text_and_are_counted(gemini, provider, stream):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    parts, _, usage = answered(gemini, stream, provider, "think", thinking_config=thinking, max_output_tokens=4096)
    assert "".join(part.text or "" for part in parts if part.thought) == THOUGHT
    assert text_of(parts) == "You said: think"
    thoughts = [bool(part.thought) for part in parts if part.text]
    assert thoughts == sorted(thoughts, reverse=True)
    assert usage.total_token_count > usage.prompt_token_count + 3


@on_each("generate", "openai")
def test_thinking_that_is_not_shown_is_paid_for(gemini, provider):
    thinking = types.ThinkingConfig(thinking_budget=1024)
    parts, _, usage = answered(gemini, False, provider, "think", thinking_config=thinking, max_output_tokens=4096)
    assert text_of(parts) == "You said: think"
    assert usage.thoughts_token_count > 0


@on_every
def test_an_output_cap_cuts_the_answer(gemini, provider):
    _, reason, usage = answered(gemini, False, provider, "a b c d e f", max_output_tokens=3)
    assert reason == types.FinishReason.MAX_TOKENS
    assert usage.candidates_token_count == 3


@on_every
def test_a_stop_sequence_ends_the_answer(gemini, provider):
    parts, reason, _ = answered(gemini, False, provider, "hello there you", stop_sequences=["there"])
    assert text_of(parts) == "You said: hello "
    assert reason == types.FinishReason.STOP


@on_every
def test_tokens_are_counted_before_they_are_spent(gemini, provider):
    short = gemini.models.count_tokens(model=MODELS[provider], contents="hi")
    long = gemini.models.count_tokens(model=MODELS[provider], contents="hi " * 100)
    assert 0 < short.total_tokens < long.total_tokens


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_exceptions_of_the_sdk(gemini, provider, stream):
    def refused(exception, model):
        with pytest.raises(exception) as raised:
            if stream:
                list(gemini.models.generate_content_stream(model=model, contents="hi"))
            else:
                gemini.models.generate_content(model=model, contents="hi")
        assert raised.value.message
        return raised.value

    missing = refused(errors.ClientError, f"{provider}/does-not-exist")
    assert (missing.code, missing.status) == (404, "NOT_FOUND")
    wrong = refused(errors.ClientError, faulty(provider, "error-400"))
    assert (wrong.code, wrong.status) == (400, "INVALID_ARGUMENT")
    limited = refused(errors.ClientError, faulty(provider, "error-429"))
    assert (limited.code, limited.status) == (429, "RESOURCE_EXHAUSTED")
    assert limited.response.headers["retry-after"] == "1"
    assert refused(errors.ServerError, faulty(provider, "error-500")).code == 502


@pytest.mark.parametrize("key", ["nobody", api_key("switched-off")])
def test_a_wrong_key_is_unauthenticated(key):
    with genai.Client(api_key=key, http_options=types.HttpOptions(base_url=URL)) as gemini:
        with pytest.raises(errors.ClientError) as raised:
            gemini.models.generate_content(model=MODELS["gemini"], contents="hi")
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


@on_every
@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_broken_stream_raises_after_what_had_come(gemini, provider, model):
    text = ""
    with pytest.raises(errors.APIError) as raised:
        for chunk in gemini.models.generate_content_stream(model=faulty(provider, model), contents="count"):
            text += chunk.text or ""
    assert text == "one two "
    assert raised.value.message


@on_every
def test_a_stream_that_is_closed_half_way_gives_its_slot_back(provider):
    with gemini_client("one-at-once") as gemini:
        stream = gemini.models.generate_content_stream(model=f"{provider}/stall", contents="count")
        assert next(stream).candidates
        # This SDK ends the request when its connections are closed.
        stream.close()
    with gemini_client("one-at-once") as gemini:
        assert gemini.models.generate_content(model=MODELS[provider], contents="next").text == "You said: next"
