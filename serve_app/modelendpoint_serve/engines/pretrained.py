"""What all engines do to load a `save_pretrained` folder with transformers."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from modelendpoint_serve.engines import Weights
from modelendpoint_serve.errors import ModelLoadError
from modelendpoint_serve.precision import device, resolve_dtype, use_threads
from modelendpoint_serve.settings import ModelArgs

# No tokenizer makes fewer than one token out of this many characters of real text: beyond it a length is
# refused without tokenising megabytes first.
CHARACTERS_PER_TOKEN = 32


def load_model(
    auto_class: Any, args: ModelArgs, weights: Weights, unused: tuple[str, ...] = ()
) -> PreTrainedModel:
    """The model, ready to compute. Weights that the file lacks would be random numbers: refused.

    `unused` are prefixes of weights that the task never reads.
    """
    use_threads()
    disable_progress_bar()
    model, info = auto_class.from_pretrained(
        weights.path,
        dtype=resolve_dtype(args.precision),
        trust_remote_code=args.trust_remote_code,
        use_safetensors=None if args.trust_remote_code else True,
        output_loading_info=True,
    )
    lacking = sorted(key for key in info["missing_keys"] if not key.startswith(unused))
    if lacking:
        raise ModelLoadError(
            "WeightsIncomplete",
            f"{args.source.uri} has no weights for {', '.join(lacking[:3])} of {type(model).__name__}.",
            f"Check that the model was trained for {args.task}, or set another task.",
        )
    return model.eval().to(device())
