"""The CLIP text transformer as a metadata tower, and its tokenizer as the file that a bundle carries."""

import gzip
from pathlib import Path
from typing import Final

import open_clip
from jaxtyping import Float, Int
from open_clip.model import CLIPTextCfg, _build_text_tower
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn

from training.models.spec import MetadataTowerSpec

VOCABULARY_SIZE: Final = 49408  # of the byte-pair encoding that CLIP was published with
_START, _END = "<start_of_text>", "<end_of_text>"


class TextTower(nn.Module):
    """open_clip's text transformer: causal, pooled at the end token (Radford 2021)."""

    def __init__(self, spec: MetadataTowerSpec, embed_dim: int) -> None:
        super().__init__()
        config = CLIPTextCfg(
            context_length=spec.context_length, vocab_size=VOCABULARY_SIZE,
            width=spec.width, heads=spec.heads, layers=spec.layers,
        )  # fmt: skip
        self.transformer = _build_text_tower(embed_dim, config, quick_gelu=spec.quick_gelu)

    def forward(self, tokens: Int[Tensor, "n length"]) -> Float[Tensor, "n d"]:
        return self.transformer(tokens)


def clip_tokenizer() -> Tokenizer:
    """CLIP's tokenizer from the vocabulary that open_clip carries, as a Hugging Face tokenizer.

    Training and reading tokenize with this same object (`tokenizer.json` of the bundle, `inference.tokens`). It equals
    `open_clip.SimpleTokenizer` on text that needs no repair: that one also mends broken Unicode and HTML entities.
    """
    vocabulary, merges = _byte_pairs()
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(_START, special=True), AddedToken(_END, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, vocabulary[_START]), (_END, vocabulary[_END])]
    )
    return tokenizer


def _byte_pairs() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges in CLIP's order: bytes, bytes that end a word, merges, start, end."""
    source = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(source.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    letters = list(open_clip.tokenizer.bytes_to_unicode().values())
    names = [*letters, *(f"{letter}</w>" for letter in letters), *(a + b for a, b in merges), _START, _END]
    return {name: code for code, name in enumerate(names)}, merges
