"""`POST /generate` as documented: its answer, its parameters, and where they end."""

from typing import Any

import pytest

from contract.api import CHINESE_PROMPT, PROMPT, SHORT, Api, assert_invalid, hard_to_tokenize

DEFAULTS = {"max_length": 512, "temperature": 0.7, "top_p": 0.9, "top_k": 50, "num_return_sequences": 1}
CHATML = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\nWhat grows in a garden?<|im_end|>\n"
    "<|im_start|>assistant\n"
)
# So warm that two equal answers mean that the sequences were not drawn apart.
WARM: dict[str, Any] = {"temperature": 1.5, "top_p": 1, "top_k": 0}


def test_the_answer_has_exactly_the_documented_body(api: Api) -> None:
    answer = api.generate(max_length=SHORT, temperature=0.5, top_p=0.8, top_k=40, num_return_sequences=2)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert list(body) == ["generated_texts", "parameters"]
    assert [type(text) for text in body["generated_texts"]] == [str, str]
    assert body["parameters"] == {
        "prompt": PROMPT,
        "max_length": SHORT,
        "temperature": 0.5,
        "top_p": 0.8,
        "top_k": 40,
        "num_return_sequences": 2,
    }
    assert list(body["parameters"]) == ["prompt", *DEFAULTS]


def test_defaults_are_filled_in(api: Api) -> None:
    answer = api.post(b'{"prompt": "Name a colour."}')

    assert answer.status_code == 200
    assert answer.json()["parameters"] == {"prompt": "Name a colour.", **DEFAULTS}


def test_null_stands_for_a_default(api: Api) -> None:
    answer = api.post(
        b'{"prompt": "Name a colour.", "max_length": null, "temperature": null, "top_p": null, "top_k": null,'
        b' "num_return_sequences": null}'
    )

    assert answer.status_code == 200
    assert answer.json()["parameters"] == {"prompt": "Name a colour.", **DEFAULTS}


def test_a_whole_number_may_be_written_as_a_fraction(api: Api) -> None:
    answer = api.post(b'{"prompt": "Name a colour.", "max_length": 8.0, "top_k": 4e1, "num_return_sequences": 1.0}')

    assert answer.status_code == 200
    assert b'"max_length":8,' in answer.content
    assert b'"top_k":40,' in answer.content
    assert b'"num_return_sequences":1}' in answer.content


def test_the_content_type_is_not_asked_for(api: Api) -> None:
    answer = api.post(b'{"prompt": "Name a colour.", "max_length": 4}', headers={"Content-Type": "text/plain"})

    assert answer.status_code == 200


@pytest.mark.parametrize("prompt", [PROMPT, CHINESE_PROMPT, CHATML, "🌻", " \n", "\u0000", "a\r\n\tb", "{{ 7 * 7 }}"])
def test_a_prompt_is_echoed_as_it_was_sent_and_not_repeated_by_the_text(api: Api, prompt: str) -> None:
    answer = api.generate(prompt=prompt)

    assert answer.status_code == 200
    assert answer.json()["parameters"]["prompt"] == prompt
    (text,) = answer.json()["generated_texts"]
    assert not text.startswith(prompt)


@pytest.mark.parametrize("prompt", [PROMPT, CHINESE_PROMPT, CHATML])
def test_real_text_is_generated(api: Api, prompt: str) -> None:
    (text,) = api.texts(prompt=prompt, max_length=64, temperature=0)

    assert len(text.strip()) >= 2
    assert "\N{REPLACEMENT CHARACTER}" not in text.rstrip("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("temperature", [0, 0.7, 1.5])
def test_a_chat_answer_has_no_markup_in_it(api: Api, temperature: float) -> None:
    (text,) = api.texts(prompt=CHATML, max_length=200, temperature=temperature)

    assert text.strip()
    for markup in ("<|", "|>", "im_start", "im_end", "<start_", "[INST]"):
        assert markup not in text


def test_max_length_is_the_most_tokens_to_generate(api: Api) -> None:
    one, several = (api.texts(max_length=most, temperature=0)[0] for most in (1, SHORT))

    assert len(one) < len(several)
    assert several.startswith(one.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_a_max_length_beyond_the_context_is_cut_to_what_is_left(api: Api) -> None:
    answer = api.generate(max_length=100_000, prompt="Say yes.", temperature=0)

    assert answer.status_code == 200
    assert answer.json()["parameters"]["max_length"] == 100_000


def test_the_largest_max_length_is_no_error(api: Api) -> None:
    assert api.generate(max_length=2**31 - 1, prompt="Say yes.", temperature=0).status_code == 200


@pytest.mark.parametrize("max_length", [0, -1, 2**31, 10**30])
def test_a_max_length_out_of_range_is_refused(api: Api, max_length: int) -> None:
    assert_invalid(api.generate(max_length=max_length), field="max_length")


def test_temperature_0_is_greedy(api: Api) -> None:
    assert api.texts(temperature=0) == api.texts(temperature=0)


def test_temperature_0_gives_equal_sequences(api: Api) -> None:
    first, *others = api.texts(temperature=0, num_return_sequences=3)

    assert others == [first, first]


def test_temperature_0_is_greedy_whatever_top_p_and_top_k_say(api: Api) -> None:
    assert api.texts(temperature=0, top_p=0.1, top_k=3) == api.texts(temperature=0)


def test_temperature_1_samples(api: Api) -> None:
    answers = {api.texts(temperature=1, top_p=1, top_k=0)[0] for _ in range(4)}

    assert len(answers) > 1


@pytest.mark.parametrize("temperature", [5e-324, 1e-10, 0.01, 2, 100, 1.7e308])
def test_every_temperature_from_0_up_is_served(api: Api, temperature: float) -> None:
    assert api.generate(temperature=temperature, max_length=4).status_code == 200


@pytest.mark.parametrize("temperature", [-0.1, -5e-324])
def test_a_negative_temperature_is_refused(api: Api, temperature: float) -> None:
    assert_invalid(api.generate(temperature=temperature), field="temperature")


@pytest.mark.parametrize("top_p", [1, 1.0, 0.999999999999, 0.5, 1e-12, 5e-324])
def test_every_top_p_above_0_up_to_1_is_served(api: Api, top_p: float) -> None:
    assert api.generate(top_p=top_p, max_length=4).status_code == 200


@pytest.mark.parametrize("top_p", [0, -0.5, 1.1, 2])
def test_a_top_p_out_of_range_is_refused(api: Api, top_p: float) -> None:
    assert_invalid(api.generate(top_p=top_p), field="top_p")


@pytest.mark.parametrize("top_k", [0, 1, 2**31 - 1])
def test_every_top_k_from_0_up_is_served(api: Api, top_k: int) -> None:
    assert api.generate(top_k=top_k, max_length=4).status_code == 200


@pytest.mark.parametrize("top_k", [-1, 2**31])
def test_a_top_k_out_of_range_is_refused(api: Api, top_k: int) -> None:
    assert_invalid(api.generate(top_k=top_k), field="top_k")


def test_sampled_sequences_are_different_ones(api: Api) -> None:
    texts = api.texts(num_return_sequences=4, max_length=48, **WARM)

    assert len(set(texts)) == 4


def test_as_many_sequences_are_returned_as_the_profile_allows(api: Api) -> None:
    most = api.status()["limits"]["max_num_return_sequences"]

    assert len(api.texts(num_return_sequences=most, max_length=4)) == most


@pytest.mark.parametrize("count", [0, -1, 2**31])
def test_a_number_of_sequences_out_of_range_is_refused(api: Api, count: int) -> None:
    assert_invalid(api.generate(num_return_sequences=count), field="num_return_sequences")


def test_more_sequences_than_the_profile_allows_name_the_limit(api: Api) -> None:
    most = api.status()["limits"]["max_num_return_sequences"]

    (item,) = assert_invalid(api.generate(num_return_sequences=most + 1), field="num_return_sequences")

    assert str(most) in item["msg"]


def test_a_prompt_that_leaves_no_room_names_its_tokens_and_the_limit(api: Api) -> None:
    limit = api.max_input_tokens

    (item,) = assert_invalid(api.generate(prompt=hard_to_tokenize(8 * limit)), field="prompt")

    numbers = [int(word) for word in item["msg"].replace(";", " ").split() if word.isdigit()]
    assert numbers[-1] == limit
    assert numbers[0] > limit
