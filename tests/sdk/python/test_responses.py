"""OpenAI's SDK and its responses API: where the provider has it, and where it is translated."""

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
)

on_every = on_each("responses", "openai", "plain", "anthropic", "gemini")

TOOLS = [
    {"type": "function", "name": "get_weather", "parameters": WEATHER_SCHEMA, "strict": False},
    {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}, "strict": False},
]


def answered(client, stream: bool, **members):
    """The whole response, whichever way it came."""
    if not stream:
        return client.responses.create(**members)
    events = list(client.responses.create(**members, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_a_question_gets_its_answer_with_usage(client, provider, stream):
    asked = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": [{"type": "input_text", "text": "hello there"}]},
    ]
    answer = answered(client, stream, model=MODELS[provider], input=asked, instructions="be kind", store=False)
    assert (answer.object, answer.status) == ("response", "completed")
    assert answer.output_text == "You said: hello there"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 4
    assert answer.usage.total_tokens == answer.usage.input_tokens + 4


@on_every
def test_the_stream_helper_sees_every_item_open_and_close(client, provider):
    with client.responses.stream(model=MODELS[provider], input="a b c", store=False) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == "You said: a b c"
    assert kinds.count("response.output_text.delta") > 3
    for opening, closing in [
        ("response.created", "response.completed"),
        ("response.output_item.added", "response.output_item.done"),
        ("response.content_part.added", "response.content_part.done"),
    ]:
        assert kinds.count(opening) == kinds.count(closing) == 1


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_two_tools_are_called_at_once(client, provider, stream):
    answer = answered(client, stream, model=MODELS[provider], input=CALL_BOTH, tools=TOOLS, store=False)
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == BOTH_CALLS
    assert all(call.call_id for call in calls) and calls[0].call_id != calls[1].call_id


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_tools_answers_go_back_and_are_used(client, provider, stream):
    asked = {"model": MODELS[provider], "tools": TOOLS, "store": False}
    first = client.responses.create(**asked, input=CALL_BOTH)
    calls = [item for item in first.output if item.type == "function_call"]
    conversation = [
        {"role": "user", "content": CALL_BOTH},
        *(item.model_dump(exclude_none=True) for item in first.output),
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "21 degrees"},
        {"type": "function_call_output", "call_id": calls[1].call_id, "output": "noon"},
    ]
    second = answered(client, stream, **asked, input=conversation)
    assert second.output_text.startswith("The tool said: ")
    assert "noon" in second.output_text


@on_every
def test_a_tool_that_is_demanded_is_called(client, provider):
    answer = client.responses.create(
        model=MODELS[provider],
        input="hi",
        tools=TOOLS,
        tool_choice={"type": "function", "name": "get_weather"},
        store=False,
    )
    [call] = [item for item in answer.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)["city"]) == ("get_weather", "text")


@on_every
def test_an_image_reaches_the_model(client, provider):
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    image = {"type": "input_image", "image_url": url, "detail": "auto"}
    content = [{"type": "input_text", "text": "what is this"}, image]
    answer = client.responses.create(
        model=MODELS[provider], input=[{"role": "user", "content": content}], store=False
    )
    assert answer.output_text == "You said: what is this (images: 1)"


class City(BaseModel):
    name: str
    people: float
    twins: list[str]


@on_every
def test_structured_output_is_parsed(client, provider):
    answer = client.responses.parse(model=MODELS[provider], input="a city", text_format=City, store=False)
    assert answer.output_parsed == City(name="text", people=1.5, twins=["text"])


@on_each("responses", "openai", "anthropic", "gemini")
@pytest.mark.parametrize("stream", [False, True])
def test_a_summary_of_reasoning_comes_before_the_text(client, provider, stream):
    answer = answered(
        client,
        stream,
        model=MODELS[provider],
        input="think",
        reasoning={"effort": "low", "summary": "auto"},
        max_output_tokens=4096,
        store=False,
    )
    reasoning, message = answer.output
    assert "".join(part.text for part in reasoning.summary) == THOUGHT
    assert message.content[0].text == "You said: think"
    assert answer.usage.output_tokens > 3


@on_each("responses", "plain")
def test_reasoning_that_is_not_shown_is_counted(client, provider):
    answer = client.responses.create(
        model="plain/gpt-5.4-nano", input="think", reasoning={"effort": "low"}, store=False
    )
    assert answer.output_text == "You said: think"
    assert answer.usage.output_tokens_details.reasoning_tokens > 0


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_an_output_cap_cuts_the_answer(client, provider, stream):
    asked = {"model": MODELS[provider], "input": "a b c d e f g h i j k l m n o p q", "store": False}
    answer = answered(client, stream, **asked, max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 16


@on_every
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_exceptions_of_the_sdk(impatient, provider, stream):
    def refused(exception, model):
        with pytest.raises(exception) as raised:
            impatient.responses.create(model=model, input="hi", stream=stream, store=False)
        assert raised.value.message
        return raised.value

    assert refused(openai.NotFoundError, f"{provider}/does-not-exist").status_code == 404
    assert refused(openai.BadRequestError, faulty(provider, "error-400")).type == "invalid_request_error"
    limited = refused(openai.RateLimitError, faulty(provider, "error-429"))
    assert limited.type == "rate_limit_error"
    assert limited.response.headers["retry-after"] == "1"
    assert refused(openai.InternalServerError, faulty(provider, "error-500")).status_code == 502


def test_a_wrong_key_is_an_authentication_error():
    with openai_client("switched-off") as client, pytest.raises(openai.AuthenticationError):
        client.responses.create(model=MODELS["openai"], input="hi")


@on_every
@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_broken_stream_does_not_end_as_if_it_were_whole(client, provider, model):
    """This SDK hands some error events to the program and raises for others; either says what happened."""
    text, kinds = "", []
    try:
        for event in client.responses.create(model=faulty(provider, model), input="count", stream=True, store=False):
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
    except openai.APIError as raised:
        assert not isinstance(raised, openai.APIConnectionError)
        kinds.append("raised")
    assert text == "one two "
    assert kinds[-1] in ("error", "response.failed", "raised")


@on_every
def test_a_stream_that_is_closed_half_way_gives_its_slot_back(provider):
    with openai_client("one-at-once") as client:
        stream = client.responses.create(model=f"{provider}/stall", input="count", stream=True, store=False)
        for event in stream:
            if event.type == "response.output_text.delta":
                break
        stream.close()
        again = client.responses.create(model=MODELS[provider], input="next", store=False)
    assert again.output_text == "You said: next"


def test_a_response_that_the_provider_keeps_is_found_and_deleted(client):
    made = client.responses.create(model=MODELS["openai"], input="hi")
    assert client.responses.retrieve(made.id).output_text == "You said: hi"
    items = client.responses.input_items.list(made.id).data
    assert items[0].role == "user"
    with openai_client("capped") as other, pytest.raises(openai.NotFoundError):
        other.responses.retrieve(made.id)
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_conversation_goes_on_from_a_response_that_is_kept(client):
    first = client.responses.create(model=MODELS["openai"], input="hi")
    second = client.responses.create(model=MODELS["openai"], input="there", previous_response_id=first.id)
    assert second.output_text == "You said: there"


@on_every
def test_a_response_that_nobody_keeps_cannot_be_gone_on_from(impatient, provider):
    with pytest.raises(openai.NotFoundError) as raised:
        impatient.responses.create(model=MODELS[provider], input="hi", previous_response_id="resp_1", store=False)
    assert "resp_1" in raised.value.message


def test_a_response_in_the_background_is_cancelled(client):
    made = client.responses.create(model=MODELS["openai"], input="hi", background=True)
    assert client.responses.cancel(made.id).id == made.id
