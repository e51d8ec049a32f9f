"""The Llama 4 text network in PyTorch, as llama.cpp computes it (arch `llama4`).

RMS norms, grouped-query attention with L2-normalised queries and keys on the RoPE layers, a mixture of experts with one
routed expert (sigmoid of its router logit, applied to the expert's input) and one shared expert in every layer, tied
embeddings.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_model.shape import Shape


class RmsNorm(nn.Module):
    """Root-mean-square norm with a learnt scale."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalised over its last dimension."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


def rope_table(shape: Shape, length: int) -> Tensor:
    """Return the rotations e^(i * position * frequency), (length, head_size / 2), complex."""
    exponents = torch.arange(0, shape.head_size, 2, dtype=torch.float32) / shape.head_size
    angles = torch.outer(torch.arange(length, dtype=torch.float32), shape.rope_base**-exponents)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Apply RoPE to x (batch, length, heads, head_size), whose neighbouring numbers form the pairs."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * table[:, None, :]).flatten(-2)


class Attention(nn.Module):
    """Grouped-query attention; RoPE and query-key norm only where the layer has positions."""

    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.shape = shape
        self.has_rope = shape.has_rope(layer)
        self.q = nn.Linear(shape.hidden, shape.heads * shape.head_size, bias=False)
        self.k = nn.Linear(shape.hidden, shape.kv_heads * shape.head_size, bias=False)
        self.v = nn.Linear(shape.hidden, shape.kv_heads * shape.head_size, bias=False)
        self.out = nn.Linear(shape.heads * shape.head_size, shape.hidden, bias=False)

    def forward(self, x: Tensor, table: Tensor, mask: Tensor | None) -> Tensor:
        """Attend; mask (batch, 1, length, length) is true where a token may look, None means causal."""
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.shape.heads, self.shape.head_size)
        k = self.k(x).view(batch, length, self.shape.kv_heads, self.shape.head_size)
        v = self.v(x).view(batch, length, self.shape.kv_heads, self.shape.head_size)
        if self.has_rope:
            size = (self.shape.head_size,)
            q = functional.rms_norm(rotate(q, table), size, eps=self.shape.norm_epsilon)
            k = functional.rms_norm(rotate(k, table), size, eps=self.shape.norm_epsilon)
        group = self.shape.heads // self.shape.kv_heads
        k = k.repeat_interleave(group, dim=2)
        v = v.repeat_interleave(group, dim=2)
        # In f32 also where autocast is on: PyTorch's CPU kernel takes half as long again for bfloat16 here.
        with torch.autocast("cpu", enabled=False):
            q, k, v = (part.float().transpose(1, 2) for part in (q, k, v))
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        joined: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return joined


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, inner, bias=False)
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return down(silu(gate(x)) * up(x))."""
        result: Tensor = self.down(functional.silu(self.gate(x)) * self.up(x))
        return result


class Experts(nn.Module):
    """One routed expert of several for each token, and one that all tokens share."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.router = nn.Linear(shape.hidden, shape.experts, bias=False)
        self.routed = nn.ModuleList(FeedForward(shape.hidden, shape.expert_hidden) for _ in range(shape.experts))
        self.shared = FeedForward(shape.hidden, shape.shared_hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, and how unevenly the experts were used (1 when evenly; a loss to keep small)."""
        flat = x.reshape(-1, x.shape[-1])
        logits = functional.linear(flat.float(), self.router.weight)
        best, choice = logits.max(dim=-1)
        weighted = flat * torch.sigmoid(best)[:, None].to(flat.dtype)
        result = self.shared(flat)
        for number, expert in enumerate(self.routed):
            rows = (choice == number).nonzero()[:, 0]
            result = result.index_add(0, rows, expert(weighted[rows]).to(result.dtype))
        share = functional.one_hot(choice, len(self.routed)).float().mean(dim=0)
        unevenness = len(self.routed) * (share * logits.softmax(dim=-1).mean(dim=0)).sum()
        return result.view_as(x), unevenness


class Layer(nn.Module):
    """Attention and experts, each behind its norm and beside the residual stream."""

    def __init__(self, shape: Shape, layer: int) -> None:
        super().__init__()
        self.attention_norm = RmsNorm(shape.hidden, shape.norm_epsilon)
        self.attention = Attention(shape, layer)
        self.experts_norm = RmsNorm(shape.hidden, shape.norm_epsilon)
        self.experts = Experts(shape)

    def forward(self, x: Tensor, table: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the new residual stream and the experts' unevenness."""
        x = x + self.attention(self.attention_norm(x), table, mask)
        change, unevenness = self.experts(self.experts_norm(x))
        return x + change, unevenness


class Network(nn.Module):
    """The whole model: token ids in, logits out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, number) for number in range(shape.layers))
        self.norm = RmsNorm(shape.hidden, shape.norm_epsilon)
        self.initialise()

    def initialise(self) -> None:
        """Draw the starting weights; what writes into the residual stream starts smaller in deeper networks."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                into_stream = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * self.shape.layers) ** 0.5 if into_stream else 0.02)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the last hidden states (batch, length, hidden) and the mean unevenness of the experts' use."""
        table = rope_table(self.shape, tokens.shape[1])
        x = self.embedding(tokens)
        total = x.new_zeros((), dtype=torch.float32)
        for layer in self.layers:
            x, unevenness = layer(x, table, mask)
            total = total + unevenness
        return self.norm(x), total / len(self.layers)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of the next token for each hidden state."""
        return functional.linear(hidden, self.embedding.weight)
