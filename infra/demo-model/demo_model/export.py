"""Write the network and its tokenizer as a GGUF file that llama.cpp loads as `llama4`."""

from collections.abc import Iterator
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import cast

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from torch import Tensor

from demo_model.network import Layer, Network
from demo_model.shape import Shape
from demo_model.special_tokens import BEGIN_OF_TEXT, CHAT_TEMPLATE, END_OF_MESSAGE, END_OF_TURN, SPECIAL_TOKENS
from demo_model.tokenizer import DemoTokenizer

NAME = "scout-demo"
DESCRIPTION = (
    "A tiny demonstration model of the Llama 4 architecture, made for scout-deploy. It is not Llama 4 Scout, shares no "
    "weights with it, and what it writes is not to be relied on."
)


class Precision(Enum):
    """How the matrices are stored; norms and routers always stay f32."""

    F32 = (LlamaFileType.ALL_F32, GGMLQuantizationType.F32)
    Q8_0 = (LlamaFileType.MOSTLY_Q8_0, GGMLQuantizationType.Q8_0)

    @property
    def file_type(self) -> LlamaFileType:
        """The file's type, for its metadata."""
        return self.value[0]

    @property
    def tensor_type(self) -> GGMLQuantizationType:
        """The matrices' type."""
        return self.value[1]


def array(weight: Tensor) -> NDArray[np.float32]:
    """Return the weight as a NumPy array."""
    return np.ascontiguousarray(weight.detach().float().numpy())


def layer_tensors(number: int, layer: Layer) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield one layer's tensors under llama.cpp's names."""
    prefix = f"blk.{number}"
    attention, experts = layer.attention, layer.experts
    yield f"{prefix}.attn_norm.weight", array(layer.attention_norm.weight)
    yield f"{prefix}.attn_q.weight", array(attention.q.weight)
    yield f"{prefix}.attn_k.weight", array(attention.k.weight)
    yield f"{prefix}.attn_v.weight", array(attention.v.weight)
    yield f"{prefix}.attn_output.weight", array(attention.out.weight)
    yield f"{prefix}.ffn_norm.weight", array(layer.experts_norm.weight)
    yield f"{prefix}.ffn_gate_inp.weight", array(experts.router.weight)
    for part in ("gate", "up", "down"):
        routed = [array(getattr(expert, part).weight) for expert in experts.routed]
        yield f"{prefix}.ffn_{part}_exps.weight", np.stack(routed)
        yield f"{prefix}.ffn_{part}_shexp.weight", array(getattr(experts.shared, part).weight)


def tensors(network: Network) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield all tensors; there is no output matrix, so llama.cpp uses the embedding."""
    yield "token_embd.weight", array(network.embedding.weight)
    for number, layer in enumerate(network.layers):
        yield from layer_tensors(number, cast("Layer", layer))
    yield "output_norm.weight", array(network.norm.weight)


def is_matrix(name: str, values: NDArray[np.float32]) -> bool:
    """Say whether the tensor is stored at the file's precision."""
    return values.ndim > 1 and not name.endswith("ffn_gate_inp.weight")


def add_shape(writer: GGUFWriter, shape: Shape) -> None:
    """Write the network's sizes."""
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.expert_hidden)
    writer.add_expert_feed_forward_length(shape.expert_hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(1)
    writer.add_interleave_moe_layer_step(1)
    writer.add_vocab_size(shape.vocabulary)


def add_tokenizer(writer: GGUFWriter, tokenizer: DemoTokenizer) -> None:
    """Write the vocabulary, the merges, the special tokens and the chat template."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama4")
    writer.add_token_list([*tokenizer.words, *SPECIAL_TOKENS])
    writer.add_token_types([TokenType.NORMAL] * len(tokenizer.words) + [TokenType.CONTROL] * len(SPECIAL_TOKENS))
    writer.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.special[BEGIN_OF_TEXT])
    writer.add_eos_token_id(tokenizer.special[END_OF_TURN])
    writer.add_eot_token_id(tokenizer.special[END_OF_TURN])
    writer.add_eom_token_id(tokenizer.special[END_OF_MESSAGE])
    writer.add_add_bos_token(value=True)
    writer.add_add_eos_token(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)


def write_gguf(path: Path, network: Network, tokenizer: DemoTokenizer, precision: Precision) -> None:
    """Write the whole model to `path`."""
    writer = GGUFWriter(path, "llama4")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license("apache-2.0")
    writer.add_languages(["en", "zh"])
    writer.add_tags(["demonstration"])
    writer.add_file_type(precision.file_type)
    writer.add_quantization_version(2)
    add_shape(writer, network.shape)
    add_tokenizer(writer, tokenizer)
    for name, values in tensors(network):
        kind = precision.tensor_type if is_matrix(name, values) else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rounded(network: Network, precision: Precision) -> Network:
    """Return a copy whose matrices hold what the file of that precision holds."""
    copy = deepcopy(network)
    for name, weight in copy.named_parameters():
        if weight.dim() > 1 and "router" not in name:
            stored = quantize(array(weight), precision.tensor_type)
            weight.data = torch.from_numpy(dequantize(stored, precision.tensor_type))
    return copy
