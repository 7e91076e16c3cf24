"""The list of models, and single ones of it."""

import openai
import pytest

from callers import openai_client, says


def test_the_list_is_what_the_client_may_use(client):
    models = {model.id: model for model in client.models.list()}
    assert {"fast", "gpt-5.4-nano", "gpt-4o-mini", "openai/gpt-oss-20b"} <= set(models)
    assert models["fast"].owned_by == "groq"
    assert models["gpt-5.4-nano"].object == "model"


def test_a_list_is_cut_to_the_clients_models():
    with openai_client("mini-only") as client:
        models = {model.id for model in client.models.list()}
    assert {"gpt-4o-mini", "gpt-5.4-mini"} <= models
    assert all(model.endswith("-mini") for model in models)


@pytest.mark.parametrize("model", ["gpt-5.4-nano", "openai/gpt-oss-20b", "fast"])
def test_a_model_is_found_by_its_name_and_answers_to_it(client, model):
    assert client.models.retrieve(model).id == model
    answer = client.chat.completions.create(model=model, messages=says("hi"))
    assert answer.choices[0].message.content == "You said: hi"


def test_every_model_of_the_list_can_be_retrieved(client):
    for model in client.models.list():
        assert client.models.retrieve(model.id).owned_by == model.owned_by


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("nobody/nothing")
    assert raised.value.code == "model_not_found"
