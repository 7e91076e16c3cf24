"""Answers that are not streamed."""

import asyncio
import base64

import pytest
from pydantic import BaseModel

from callers import async_openai_client, openai_client, says

MODEL = "gpt-5.4-nano"


def test_a_question_gets_its_answer_with_usage(client):
    answer = client.chat.completions.create(model=MODEL, messages=says("hello there"))
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == "You said: hello there"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_every_kind_of_character_comes_back_as_it_went(client):
    text = 'Grüße, 世界 👩‍👩‍👧‍👦 \u202eabc "quoted" \\ back \u0007 \n line'
    answer = client.chat.completions.create(model=MODEL, messages=says(text))
    assert answer.choices[0].message.content == f"You said: {text}"


def test_a_conversation_is_answered_to_its_last_message(client):
    messages = [
        {"role": "developer", "content": "be brief"},
        *says("first"),
        {"role": "assistant", "content": "one"},
        *says("second"),
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == "You said: second"


def test_three_choices_are_three_answers(client):
    answer = client.chat.completions.create(model=MODEL, messages=says("hi"), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"You said: hi"}


@pytest.mark.parametrize("model", [MODEL, "llama-3.1-8b"])
@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_an_output_cap_cuts_the_answer_under_either_name(client, model, cap):
    """The upstream refuses `max_tokens` for the first model, as OpenAI does."""
    answer = client.chat.completions.create(model=model, messages=says("a b c d e f"), **{cap: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_a_caller_without_a_cap_gets_its_clients_limit():
    """The model takes `max_completion_tokens` alone, so the cap that the gateway adds must be that one."""
    with openai_client("capped") as capped:
        answer = capped.chat.completions.create(model=MODEL, messages=says("hi"))
    assert answer.choices[0].finish_reason == "stop"


def test_an_image_reaches_the_model(client):
    pixel = "data:image/png;base64," + base64.b64encode(bytes(64)).decode()
    content = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": pixel, "detail": "low"}},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "You said: what is this (images: 1)"


class Step(BaseModel):
    explanation: str
    result: float


class Solution(BaseModel):
    steps: list[Step]
    is_final: bool


@pytest.mark.parametrize("api", ["chat", "beta.chat"])
def test_structured_output_is_parsed(client, api):
    completions = client.beta.chat.completions if api == "beta.chat" else client.chat.completions
    answer = completions.parse(model=MODEL, messages=says("solve it"), response_format=Solution)
    solution = answer.choices[0].message.parsed
    assert isinstance(solution, Solution)
    assert solution.is_final
    assert solution.steps[0].result == 1.5


def test_a_member_that_the_gateway_does_not_know_is_no_error(client):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=says("hi"),
        seed=7,
        temperature=0.2,
        logit_bias={"50256": -100},
        extra_body={"reasoning_effort": "none", "made_up": {"big": 2**63}},
        extra_headers={"openai-beta": "made-up=v1"},
    )
    assert answer.choices[0].message.content == "You said: hi"


def test_an_alias_is_served_by_its_target(client):
    answer = client.chat.completions.with_raw_response.create(model="fast", messages=says("hi"))
    assert answer.headers["x-gateway-provider"] == "groq"
    assert answer.headers["x-gateway-model"] == "openai/gpt-oss-20b"
    assert answer.parse().model == "openai/gpt-oss-20b"


def test_a_head_names_request_limits_and_upstream():
    with openai_client("metered") as client:
        heads = [
            client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi")).headers for _ in range(2)
        ]
    first, second = heads
    assert first["x-request-id"].startswith("req_")
    assert first["x-request-id"] != second["x-request-id"]
    assert first["x-ratelimit-limit-requests"] == "600"
    assert int(second["x-ratelimit-remaining-requests"]) == int(first["x-ratelimit-remaining-requests"]) - 1
    assert first["x-ratelimit-limit-tokens"] == "5000000"
    assert int(second["x-ratelimit-remaining-tokens"]) < 5_000_000
    assert first["x-ratelimit-reset-requests"].endswith("s")
    assert '"rpm";q=600;w=60' in first["ratelimit-policy"]
    assert first["x-gateway-provider"] == "openai"
    assert first["x-gateway-model"] == MODEL
    assert first["x-gateway-attempts"] == "1"
    assert "upstream;dur=" in first["server-timing"]
    # The upstream's own are not the client's business.
    assert not {"set-cookie", "openai-organization", "openai-project", "cf-ray"} & set(first)


def test_the_request_id_is_where_the_sdk_looks_for_it(client):
    answer = client.chat.completions.create(model=MODEL, messages=says("hi"), extra_headers={"x-request-id": "mine-1"})
    assert answer._request_id.startswith("req_")


def test_twenty_questions_at_once_get_twenty_answers():
    async def ask_all():
        async with async_openai_client() as client:
            questions = [client.chat.completions.create(model=MODEL, messages=says(f"number {i}")) for i in range(20)]
            return await asyncio.gather(*questions)

    answers = asyncio.run(ask_all())
    contents = [answer.choices[0].message.content for answer in answers]
    assert contents == [f"You said: number {i}" for i in range(20)]
