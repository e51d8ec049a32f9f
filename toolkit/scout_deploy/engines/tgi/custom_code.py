"""Checkpoints that bring code of their own (`auto_map` in their config.json), and what TGI does with them.

Nothing here fetches or runs a publisher's code. TGI runs it where it is told to, from the directory of the weights.
"""

from scout_deploy.engines.container_engine import EngineRequest
from scout_deploy.engines.tgi.architectures import KNOWN_ARCHITECTURES

_VARIABLE = "TRUST_REMOTE_CODE"
# launcher/src/main.rs `trust_remote_code`: what clap takes for "no" in a flag's variable.
_NO = ("", "n", "no", "f", "false", "off", "0")
# TGI builds on its own Llama for these weights, and reads a config and a tokenizer that only their publisher has code
# for (server/text_generation_server/models/__init__.py get_model at v3.3.7, BAICHUAN).
_WITH_CODE = ("baichuan",)
# What `get_model` hands to transformers without any code of the publisher's: the causal and the sequence-to-sequence
# models of transformers 4.51.0, models/auto/modeling_auto.py, which TGI 3.2.3 to 3.3.7 lock and which has more than
# those before it.
_OF_TRANSFORMERS = (
    *("aria_text", "bamba", "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt"),
    *("blenderbot", "blenderbot-small", "bloom", "camembert", "code_llama", "codegen", "cohere", "cohere2"),
    *("cpmant", "ctrl", "data2vec-text", "dbrx", "deepseek_v3", "diffllama", "electra", "emu3"),
    *("encoder-decoder", "ernie", "falcon", "falcon_mamba", "fsmt", "fuyu", "gemma", "gemma2", "gemma3"),
    *("gemma3_text", "git", "glm", "got_ocr2", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox"),
    *("gpt_neox_japanese", "gptj", "gptsan-japanese", "granite", "granitemoe", "granitemoeshared", "helium"),
    *("jamba", "jetmoe", "led", "llama", "llama4", "llama4_text", "longt5", "m2m_100", "mamba", "mamba2"),
    *("marian", "mbart", "mega", "megatron-bert", "mistral", "mixtral", "mllama", "moshi", "mpt", "mt5"),
    *("musicgen", "musicgen_melody", "mvp", "nemotron", "nllb-moe", "olmo", "olmo2", "olmoe", "open-llama"),
    *("openai-gpt", "opt", "pegasus", "pegasus_x", "persimmon", "phi", "phi3", "phi4_multimodal", "phimoe"),
    *("plbart", "prophetnet", "qdqbert", "qwen2", "qwen2_audio", "qwen2_moe", "qwen3", "qwen3_moe"),
    *("recurrent_gemma", "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer"),
    *("rwkv", "seamless_m4t", "seamless_m4t_v2", "speech_to_text_2", "stablelm", "starcoder2"),
    *("switch_transformers", "t5", "transfo-xl", "trocr", "umt5", "whisper", "xglm", "xlm", "xlm-prophetnet"),
    *("xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod", "zamba", "zamba2"),
)


def code_problems(request: EngineRequest) -> tuple[str, ...]:
    """Name what keeps a checkpoint from being loaded that needs code of its own."""
    profile, facts = request.profile, request.facts
    if not facts.code:
        return ()
    names = ", ".join(facts.code)
    if _is_told_to_run(profile.engine.environment):
        problem = (
            f"engine/environment/{_VARIABLE}: got a yes, and the checkpoint's own code ({names}) is not fetched with "
            "the weights: read it, put it beside the weights in a directory of yours, and name that in model/path"
        )
        return () if profile.model.path is not None else (problem,)
    if not _needs_it(facts.architecture) or profile.engine.image is not None:
        return ()
    problem = (
        f"model: got {facts.architecture}, which TGI has no code for, nor the transformers in its image; the "
        f"checkpoint brings its own ({names}), which TGI runs only where it is told to trust it: read it, name a "
        f"directory with weights and code in model/path, and set engine/environment/{_VARIABLE} to true"
    )
    return (problem,)


def _is_told_to_run(environment: dict[str, str]) -> bool:
    return environment.get(_VARIABLE, "").lower() not in _NO


def _needs_it(architecture: str | None) -> bool:
    if architecture is None:
        return False
    return architecture in _WITH_CODE or architecture not in (*_OF_TRANSFORMERS, *KNOWN_ARCHITECTURES)
