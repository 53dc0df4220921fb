"""One folded token against 256 explicit ones in diffusers' own processor: same outputs, same gradients."""

import pytest
import torch
from diffusers.models.attention_processor import Attention, JointAttnProcessor2_0

from core.backbones.folding import FoldedJointAttention

COPIES, TEXT, WIDTH = 256, 5, 32


def joint_attention(context_pre_only: bool = False) -> Attention:
    torch.manual_seed(3)
    return Attention(
        query_dim=WIDTH,
        added_kv_proj_dim=WIDTH,
        dim_head=16,
        heads=2,
        out_dim=WIDTH,
        context_pre_only=context_pre_only,
        bias=True,
        processor=JointAttnProcessor2_0(),
        qk_norm="rms_norm",
        eps=1e-6,
    )


def inputs(pictures: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(image tokens, text tokens, the one token that is repeated)."""
    generator = torch.Generator().manual_seed(4)
    return tuple(torch.randn(2, n, WIDTH, generator=generator).mul(2).requires_grad_() for n in (pictures, TEXT, 1))


def gradients(outputs, leaves) -> list[torch.Tensor]:
    weight = torch.Generator().manual_seed(5)
    return list(torch.autograd.grad(sum((o * torch.randn(o.shape, generator=weight)).sum() for o in outputs), leaves))


# 16 picture tokens take the plain products, 300 the fused kernel
@pytest.mark.parametrize("pictures", [16, 300])
@pytest.mark.parametrize("context_pre_only", [False, True])
def test_folded_token_equals_its_copies(pictures, context_pre_only):
    attention = joint_attention(context_pre_only)
    image, text, zero = inputs(pictures)
    leaves = [
        image,
        text,
        zero,
        attention.to_q.weight,
        attention.add_k_proj.weight,
        attention.add_v_proj.bias,
        attention.norm_added_k.weight,
    ]

    stock_image, stock_text = attention(image, torch.cat([text, zero.expand(-1, COPIES, -1)], dim=1))
    copies = stock_text[:, TEXT:]
    torch.testing.assert_close(copies, copies[:, :1].expand_as(copies), atol=1e-5, rtol=0)  # equal tokens stay equal
    stock = (stock_image, stock_text[:, : TEXT + 1])
    expected = gradients(stock, leaves)

    attention.set_processor(FoldedJointAttention(COPIES, TEXT))
    folded = attention(image, torch.cat([text, zero], dim=1))
    found = gradients(folded, leaves)

    for mine, theirs in zip(folded, stock, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("pictures", [16, 300])
def test_attention_among_picture_tokens_alone(pictures):
    """The second attention of SD 3.5's first layers has no context, so nothing is folded."""
    torch.manual_seed(6)
    attention = Attention(
        query_dim=WIDTH, dim_head=16, heads=2, out_dim=WIDTH, bias=True, processor=JointAttnProcessor2_0(), qk_norm="rms_norm", eps=1e-6
    )
    image = inputs(pictures)[0]
    expected = attention(image)
    attention.set_processor(FoldedJointAttention(COPIES, TEXT))
    torch.testing.assert_close(attention(image), expected, atol=2e-6, rtol=1e-5)


def test_forward_is_the_same_bits_with_and_without_gradient():
    """The ratio is 1 before the first update only if the replay repeats the rollout's rounding."""
    for pictures in (16, 300):
        for arithmetic in (False, True):
            attention = joint_attention()
            attention.set_processor(FoldedJointAttention(COPIES, TEXT))
            image, text, zero = inputs(pictures)
            with torch.autocast("cpu", torch.bfloat16, enabled=arithmetic):
                with torch.no_grad():
                    first = attention(image, torch.cat([text, zero], dim=1))
                second = attention(image, torch.cat([text, zero], dim=1))
            assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
