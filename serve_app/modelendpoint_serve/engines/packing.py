"""Linear layers in oneDNN's own layout: reordered once at load, not again in every forward.

Plain `nn.Linear` on a CPU hands oneDNN its weights row by row, and oneDNN reorders them on each call. That is
most of the fixed cost of a short batch. The answers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

# The number of rows that the layout is made for: a few short texts. Others work as well, if not as fast.
TYPICAL_ROWS = 256
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}


class PackedLinear(nn.Module):
    """`nn.Linear` for inference, by the operators that torch's own compiler emits."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        weight = plain.weight.detach()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)
        self.bias = None if plain.bias is None else plain.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            inputs, self.packed, self.bias, "none", [], ""
        )
        return output


def pack(model: nn.Module, example: Callable[[], torch.Tensor]) -> bool:
    """Packs the linear layers of `model` in place, and says whether it did.

    `example` runs the model once: where packed layers do not run, or answer otherwise, all is put back.
    """
    weights = next(model.parameters())
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if weights.device.type != "cpu" or weights.dtype not in TOLERANCE or not available:
        return False
    before = example()
    plain = list(linear_layers(model))
    try:
        for parent, name, layer in plain:
            setattr(parent, name, PackedLinear(layer))
        torch.testing.assert_close(example(), before, rtol=0, atol=TOLERANCE[weights.dtype])
    except (AssertionError, AttributeError, RuntimeError):
        for parent, name, layer in plain:
            setattr(parent, name, layer)
        return False
    return True


def linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Parent, name and layer of each. Subclasses do more than a product, so they stay."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                yield parent, name, child
