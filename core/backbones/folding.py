"""Joint attention that folds n identical context tokens into one, exactly.

Without its third text encoder, Stable Diffusion 3 appends n zero vectors (256 by default) to the prompt. The context
stream has no positions, so equal tokens stay equal through all layers: n equal keys k with equal values u contribute
n exp(q k) u to a softmax, which is one key with log n added to its logit. Folding them keeps every output the same
up to rounding and saves most of the work of a small model.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention


class FoldedJointAttention:
    """diffusers' JointAttnProcessor2_0 for a context of `words` tokens, after which one or more stand in equal parts for `copies`."""

    def __init__(self, copies: int, words: int):
        self.copies, self.words = copies, words

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """`hidden_states` (B, N, D), `encoder_hidden_states` (B, L, D) or None in an image-only layer."""

        def heads(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # (B, heads, tokens, D / heads)

        def maybe(norm, x: torch.Tensor) -> torch.Tensor:
            return x if norm is None else norm(x)

        pictures = hidden_states.shape[1]
        query = maybe(attn.norm_q, heads(attn.to_q(hidden_states)))
        key = maybe(attn.norm_k, heads(attn.to_k(hidden_states)))
        value = heads(attn.to_v(hidden_states))
        bias = None
        if encoder_hidden_states is not None:
            query = torch.cat([query, maybe(attn.norm_added_q, heads(attn.add_q_proj(encoder_hidden_states)))], dim=2)
            key = torch.cat([key, maybe(attn.norm_added_k, heads(attn.add_k_proj(encoder_hidden_states)))], dim=2)
            value = torch.cat([value, heads(attn.add_v_proj(encoder_hidden_states))], dim=2)
            bias = query.new_zeros(1, 1, 1, key.shape[2])
            there = encoder_hidden_states.shape[1] - self.words
            bias[..., -there:] = math.log(self.copies / there)
        mixed = _attention(query, key, value, bias)
        mixed = mixed.transpose(1, 2).flatten(2).to(query.dtype)
        if encoder_hidden_states is None:
            return attn.to_out[1](attn.to_out[0](mixed))
        image, context = mixed[:, :pictures], mixed[:, pictures:]
        image = attn.to_out[1](attn.to_out[0](image))
        return image, context if attn.context_pre_only else attn.to_add_out(context)


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Softmax attention, (B, heads, tokens, D). For few tokens on a CPU plain products beat the fused kernel's backward."""
    if query.device.type != "cpu" or query.shape[2] > 256:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scores = query @ key.mT * query.shape[-1] ** -0.5
    return (scores if bias is None else scores + bias).softmax(dim=-1).to(value.dtype) @ value
