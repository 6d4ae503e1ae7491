"""Makers of tiny models with random weights: real `save_pretrained` folders, made in no time, no network."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

WORDS = (  # whole words of the WordPiece vocabulary; every other word is spelled
    "a the cat kitten dog sat rests on in mat rug this that is was film movie good bad great terrible "
    "love hate quarterly tax filing report and or not very hello world what capital of france paris"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_classifier(
    path: Path, labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE"), *, max_length: int = 128
) -> Path:
    """A DistilBERT text classifier; texts over `max_length` tokens are too long for it."""
    config = DistilBertConfig(
        vocab_size=len(_wordpiece_vocabulary()),
        max_position_embeddings=max_length,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=2,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    return _save(path, DistilBertForSequenceClassification, config, _wordpiece_tokenizer(max_length))


def tiny_encoder(path: Path, *, dimensions: int = 32, max_length: int = 128) -> Path:
    """A BERT encoder whose embeddings have `dimensions` numbers."""
    config = BertConfig(
        vocab_size=len(_wordpiece_vocabulary()),
        max_position_embeddings=max_length,
        hidden_size=dimensions,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    return _save(path, BertModel, config, _wordpiece_tokenizer(max_length))


def tiny_lm(path: Path, *, max_length: int = 512) -> Path:
    """A Llama with a byte-level tokenizer and a chat template: it babbles, but takes and streams any text."""
    tokenizer = _byte_tokenizer(max_length)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=max_length,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _save(path, LlamaForCausalLM, config, tokenizer)


def _save(
    path: Path, architecture: type[PreTrainedModel], config: object, tokenizer: PreTrainedTokenizerFast
) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        architecture(config).eval().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def _wordpiece_vocabulary() -> dict[str, int]:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*special, *characters, *(f"##{character}" for character in characters), *WORDS.split()]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}


def _wordpiece_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    vocabulary = _wordpiece_vocabulary()
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )
