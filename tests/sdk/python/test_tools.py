"""Tools: one call, two at once, streamed, and the whole round."""

import json

import openai
import pytest
from pydantic import BaseModel

from callers import says

MODEL = "gpt-5.4-nano"

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}


def test_a_tool_that_is_demanded_is_called(client):
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = client.chat.completions.create(model=MODEL, messages=says("hi"), tools=[WEATHER], tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    [call] = answer.choices[0].message.tool_calls
    assert call.id.startswith("call_")
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "text", "unit": "c"}


def test_two_tools_are_called_at_once(client):
    answer = client.chat.completions.create(
        model="tools", messages=says("hi"), tools=[WEATHER], parallel_tool_calls=True
    )
    first, second = answer.choices[0].message.tool_calls
    assert first.id != second.id
    assert [json.loads(call.function.arguments) for call in (first, second)] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]


def test_two_tools_are_called_at_once_in_a_stream(client):
    calls = {}
    finish = None
    for chunk in client.chat.completions.create(model="tools", messages=says("hi"), tools=[WEATHER], stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(part.index, {"id": part.id, "name": part.function.name, "arguments": ""})
            call["arguments"] += part.function.arguments or ""
        finish = chunk.choices[0].finish_reason or finish
    assert finish == "tool_calls"
    assert [calls[index]["name"] for index in (0, 1)] == ["get_weather", "get_weather"]
    assert calls[0]["id"] != calls[1]["id"]
    assert [json.loads(calls[index]["arguments"])["city"] for index in (0, 1)] == ["Paris", "Rome"]


class GetWeather(BaseModel):
    city: str
    days: int


def test_the_stream_helper_gives_parsed_arguments(client):
    tool = openai.pydantic_function_tool(GetWeather)
    with client.chat.completions.stream(
        model=MODEL, messages=says("call the tool"), tools=[tool], parallel_tool_calls=False
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
    [event] = done
    assert event.name == "GetWeather"
    assert event.parsed_arguments == GetWeather(city="text", days=1)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tools_answer_goes_back_and_is_used(client, stream):
    messages = says("call the tool")
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    message = first.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 degrees"})
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], stream=stream)
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in second)
    else:
        text = second.choices[0].message.content
    assert text == "The tool said: 21 degrees"
