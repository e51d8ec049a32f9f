"""How TGI loads each architecture, which decides what settings it reads.

Source: server/text_generation_server/models/__init__.py, `ModelType` and `get_model`, at tags v3.0.0 to v3.3.7.
"""

# Written for TGI: a flash attention class of its own, which is handed quantize, dtype and kv_cache_dtype.
OWN_CODE = (
    *("llama", "phi", "phi3", "granite", "mistral", "mixtral", "qwen2", "gemma", "gemma2", "gemma3_text", "gemma3"),
    *("cohere", "dbrx", "falcon", "starcoder2", "phimoe", "baichuan", "deepseek_v2", "deepseek_v3", "gpt_neox"),
    *("gpt2", "gptj", "gpt_bigcode", "qwen2_vl", "qwen2_5_vl", "idefics2", "llava_next", "paligemma"),
)
# Own code too, but `get_model` hands no kv_cache_dtype on.
OWN_CODE_WITHOUT_KV_DTYPE = ("mllama", "idefics3")
# The old padded classes, without flash attention or a settable cache.
PADDED = ("bloom", "mpt", "opt", "t5", "mamba", "idefics")
# Nothing of the above: transformers' own code, with TGI's attention put in (`TransformersFlashCausalLM`), since 3.1.0.
# Of its architectures, those are named that the locked transformers 4.51.0 of 3.2.3 and later knows.
BY_TRANSFORMERS = ("qwen3", "qwen3_moe", "olmo2", "glm", "glm4", "stablelm")
LLAMA4 = ("llama4",)
KNOWN_ARCHITECTURES = (*OWN_CODE, *OWN_CODE_WITHOUT_KV_DTYPE, *PADDED, *BY_TRANSFORMERS, *LLAMA4)
