"""Every form in which an SDK can hold a client's key."""

import openai
import pytest

from callers import URL, api_key, id_and_secret, says

MODEL = "gpt-5.4-nano"


@pytest.mark.parametrize("form", [api_key, id_and_secret])
def test_both_forms_of_a_key_are_the_same_client(form):
    with openai.OpenAI(base_url=f"{URL}/v1", api_key=form("metered")) as client:
        answer = client.chat.completions.with_raw_response.create(model=MODEL, messages=says("hi"))
    assert answer.headers["x-ratelimit-limit-requests"] == "600"


def test_a_program_is_moved_here_by_two_variables(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{URL}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", api_key("everything"))
    with openai.OpenAI() as client:
        answer = client.chat.completions.create(model=MODEL, messages=says("hi"))
    assert answer.choices[0].message.content == "You said: hi"


def test_an_organization_and_a_project_are_no_obstacle():
    with openai.OpenAI(
        base_url=f"{URL}/v1", api_key=api_key("everything"), organization="org-mine", project="proj-mine"
    ) as client:
        assert client.chat.completions.create(model=MODEL, messages=says("hi")).choices


def test_two_different_clients_in_one_request_are_refused():
    with openai.OpenAI(
        base_url=f"{URL}/v1", api_key=api_key("everything"), default_headers={"x-api-key": api_key("capped")}
    ) as client:
        with pytest.raises(openai.BadRequestError):
            client.models.list()
