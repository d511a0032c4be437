"""The real OpenAI client against the running server."""

from __future__ import annotations

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import bundles

QUESTION = "How long until a blocked card is opened again?"
TEXTS = [passage["text"] for passage in bundles.PASSAGES]


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


def ask(client, question=QUESTION, **more):
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]
    return client.chat.completions.create(model="talk", messages=messages, **more)


def test_the_best_passage_is_the_assistants_message_and_all_are_its_sources(client):
    said = ask(client, temperature=0.7)
    (choice,) = said.choices
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.content == TEXTS[0]
    assert [source["title"] for source in choice.message.sources] == ["blocked", "lost"]
    scores = [source["score"] for source in choice.message.sources]
    assert scores == sorted(scores, reverse=True)
    assert (said.model, said.object) == ("talk", "chat.completion")


def test_an_answer_is_a_prediction_that_its_id_finds(client, released):
    raw = client.chat.completions.with_raw_response.create(
        model="talk", messages=[{"role": "user", "content": QUESTION}]
    )
    assert raw.headers["x-prediction-id"] == raw.parse().id


def test_tokens_are_counted_by_the_bundles_own_tokenizer(client):
    usage = ask(client).usage
    assert usage.prompt_tokens == 3 + 10  # "Be kind ." and the question, words and signs
    assert usage.completion_tokens == 14
    assert usage.total_tokens == 27


def test_a_long_passage_ends_where_the_client_says(client):
    said = ask(client, max_completion_tokens=3)
    assert said.choices[0].message.content == "A blocked card"
    assert said.choices[0].finish_reason == "length"
    assert said.usage.completion_tokens == 3


def test_more_choices_are_the_next_passages(client):
    said = ask(client, n=2)
    assert [c.message.content for c in said.choices] == [TEXTS[0], TEXTS[2]]
    with pytest.raises(openai.BadRequestError, match="at most 2"):
        ask(client, n=3)


def test_the_last_words_of_the_user_are_what_is_answered(client):
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": TEXTS[0]},
        {"role": "user", "content": [{"type": "text", "text": "Where is my refund?"}]},
    ]
    said = client.chat.completions.create(model="talk", messages=messages)
    assert said.choices[0].message.content == TEXTS[1]


def test_a_stream_gives_the_same_words_in_parts_and_then_its_usage(client):
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    words = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert len(words) > 1
    assert "".join(words) == whole.choices[0].message.content
    ends = [c.choices[0] for c in chunks if c.choices and c.choices[0].finish_reason]
    assert [end.finish_reason for end in ends] == ["stop"]
    assert ends[0].delta.sources == whole.choices[0].message.sources
    assert chunks[-1].usage == whole.usage
    assert len({c.id for c in chunks}) == 1


def test_a_stream_ends_as_its_readers_expect(server):
    asked = {"model": "talk", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    with server.client.stream("POST", "/v1/chat/completions", json=asked) as reply:
        lines = [line for line in reply.iter_lines() if line]
    assert reply.headers["content-type"] == "text/event-stream"
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"


def test_embeddings_are_the_bundles_vectors_in_either_form(client):
    texts = [*TEXTS, QUESTION]
    packed = client.embeddings.create(model="talk", input=texts)  # the client asks for base64
    plain = client.embeddings.create(model="talk", input=texts, encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
    vectors = [one.embedding for one in packed.data]
    likeness = [sum(a * b for a, b in zip(v, vectors[3], strict=True)) for v in vectors[:3]]
    assert likeness[0] == max(likeness)
    assert packed.usage.prompt_tokens == 14 + 10 + 11 + 10
    assert len(client.embeddings.create(model="talk", input=QUESTION).data) == 1


def test_models_are_the_pipelines_that_are_served(client):
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {"fraud", "shop", "drive", "ask", "fragile", "talk"}
    assert [name for name, model in listed.items() if model.interface == "chat"] == ["talk"]
    assert client.models.retrieve("fraud").release == 3


def test_a_pipeline_that_does_not_speak_says_which_do(client):
    with pytest.raises(openai.NotFoundError, match="no pipeline that answers questions") as chat:
        client.chat.completions.create(model="fraud", messages=[{"role": "user", "content": "x"}])
    assert chat.value.code == "model_not_found"
    assert "Served that do: talk." in chat.value.message
    with pytest.raises(openai.NotFoundError, match=r"gives embeddings. Served that do: talk"):
        client.embeddings.create(model="ask", input="x")
    with pytest.raises(openai.NotFoundError, match=r"No model 'tlak'. Did you mean 'talk'"):
        client.embeddings.create(model="tlak", input="x")


def test_what_a_retriever_cannot_do_is_refused_not_ignored(client):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    with pytest.raises(openai.BadRequestError, match="tools") as refused:
        ask(client, tools=[tool])
    assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="response_format"):
        ask(client, response_format={"type": "json_object"})
    with pytest.raises(openai.BadRequestError, match="Only text"):
        ask(client, [{"type": "image_url", "image_url": {"url": "data:,"}}])
    with pytest.raises(openai.BadRequestError, match="token numbers"):
        client.embeddings.create(model="talk", input=[[1, 2]])
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="talk", input="x", dimensions=3)
    with pytest.raises(openai.BadRequestError, match="no message of role"):
        client.chat.completions.create(model="talk", messages=[{"role": "system", "content": "x"}])
    with pytest.raises(openai.APIStatusError) as long:
        ask(client, "word " * 30_000)
    assert (long.value.status_code, long.value.code) == (413, "context_length_exceeded")


MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "odd"])},
    optional={
        "content": st.none()
        | st.text(max_size=30)
        | st.lists(
            st.dictionaries(
                st.sampled_from(["type", "text"]), st.sampled_from(["text", "x", 1, None])
            ),
            max_size=2,
        )
    },
)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {"model": st.just("talk"), "messages": st.lists(MESSAGE, max_size=3)},
        optional={
            "n": st.integers(-1, 4),
            "max_tokens": st.integers(-1, 50),
            "tools": st.none() | st.lists(st.none(), max_size=1),
        },
    )
)
def test_no_conversation_however_odd_makes_the_server_fail(asgi, content):
    status, _, _ = asgi.post("/v1/chat/completions", content)
    assert status in (200, 400)
