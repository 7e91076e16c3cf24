"""Streams: whole, with usage, left by the client, and broken by the upstream."""

import asyncio
import time

import openai
import pytest
from pydantic import BaseModel

from callers import async_openai_client, openai_client, says

MODEL = "gpt-5.4-nano"


def text_of(chunks) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def test_a_stream_is_the_answer_in_pieces(client):
    chunks = list(client.chat.completions.create(model=MODEL, messages=says("a b c"), stream=True))
    assert text_of(chunks) == "You said: a b c"
    assert len(chunks) > 4
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_that_was_not_asked_for_is_not_in_the_stream(client):
    chunks = list(client.chat.completions.create(model=MODEL, messages=says("hi"), stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_usage_that_was_asked_for_is_the_last_chunk(client):
    options = {"include_usage": True}
    stream = client.chat.completions.create(model=MODEL, messages=says("hi"), stream=True, stream_options=options)
    *others, last = stream
    assert last.choices == []
    assert last.usage.completion_tokens == 3
    assert all(chunk.choices for chunk in others)
    assert text_of(others) == "You said: hi"


def test_two_choices_are_two_streams_in_one(client):
    texts = {0: "", 1: ""}
    for chunk in client.chat.completions.create(model=MODEL, messages=says("hi there"), n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {0: "You said: hi there", 1: "You said: hi there"}


def test_a_stream_says_in_its_head_that_nobody_may_keep_it(client):
    answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi"), stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-request-id"].startswith("req_")
    assert text_of(answer.parse()) == "You said: hi"


def test_pieces_come_when_they_are_made(client):
    """The upstream makes ten words, 50 ms apart; held back and sent in one they would come together."""
    stream = client.chat.completions.create(model="slow", messages=says("count"), stream=True)
    moments = [time.monotonic() for chunk in stream if text_of([chunk])]
    assert len(moments) == 10
    assert moments[-1] - moments[0] > 0.3


def test_reasoning_passes_before_the_answer(client):
    chunks = list(client.chat.completions.create(model="reasoning", messages=says("think"), stream=True))
    pieces = [chunk.choices[0].delta.model_extra.get("reasoning_content") for chunk in chunks]
    assert "".join(piece for piece in pieces if piece) == "Let me think."
    assert text_of(chunks) == "one two three four five six seven eight nine ten"


class Answer(BaseModel):
    city: str
    sunny: bool


def test_the_stream_helper_ends_with_the_parsed_object(client):
    with client.chat.completions.stream(model=MODEL, messages=says("weather"), response_format=Answer) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.parsed == Answer(city="text", sunny=True)


def test_a_stream_without_its_last_line_is_complete_all_the_same(client):
    chunks = list(client.chat.completions.create(model="no-done", messages=says("count"), stream=True))
    assert text_of(chunks) == "one two three four five six seven eight nine ten"
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_broken_stream_raises_after_what_had_come(client, model):
    chunks = []
    with pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(model=model, messages=says("count"), stream=True):
            chunks.append(chunk)
    assert text_of(chunks) == "one two "
    assert raised.value.type == "server_error"
    assert raised.value.message
    assert not isinstance(raised.value, openai.APIConnectionError)


@pytest.mark.parametrize("model", ["html", "empty", "close"])
def test_what_is_no_stream_is_an_error_before_it_begins(impatient, model):
    with pytest.raises(openai.InternalServerError) as raised:
        impatient.chat.completions.create(model=model, messages=says("count"), stream=True)
    assert raised.value.status_code == 502
    assert raised.value.code == "upstream_error"


def test_an_async_stream_is_the_same():
    async def ask():
        async with async_openai_client() as client:
            stream = await client.chat.completions.create(model=MODEL, messages=says("a b"), stream=True)
            return [chunk async for chunk in stream]

    assert text_of(asyncio.run(ask())) == "You said: a b"


def test_a_stream_that_is_closed_half_way_gives_its_slot_back():
    """The upstream says nothing after two words, so only the client's leaving can free the slot."""
    with openai_client("one-at-once") as client:
        stream = client.chat.completions.create(model="stall", messages=says("count"), stream=True)
        assert text_of([next(stream), next(stream)]) == "one "
        stream.close()
        again = client.chat.completions.create(model=MODEL, messages=says("next"))
    assert again.choices[0].message.content == "You said: next"


def test_a_stream_whose_task_is_cancelled_gives_its_slot_back():
    async def ask():
        async with async_openai_client("one-at-once") as client:
            begun = asyncio.Event()

            async def listen():
                async with await client.chat.completions.create(
                    model="stall", messages=says("count"), stream=True
                ) as stream:
                    async for _ in stream:
                        begun.set()

            listening = asyncio.create_task(listen())
            await begun.wait()
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
            return await client.chat.completions.create(model=MODEL, messages=says("next"))

    assert asyncio.run(ask()).choices[0].message.content == "You said: next"
