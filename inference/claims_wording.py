"""What the operator's words claim: SeriesDescription and ProtocolName read with a multilingual lexicon.

The lexicon is data (`inference/rules/lexicon/*.json`): one file per language plus `mr.json` for jargon and vendor
names; each maps concepts such as `contrast:T1` or `agent:no` to phrases of whole words. Text is split into words
first, so `lateral` cannot hold `late` nor `GAP` hold `gap`; the longest phrase wins, so `ohne KM` is read before `KM`.

What denies is composed: every term of `without` and `before` stands before every term marked `:named`, of its own
language and of `mr.json`; those of `mr.json` (`no`, `non`, `pre`) stand before the names of all languages.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from inference import labels

LEXICON: Final = Path(__file__).parent / "rules" / "lexicon"
_LONGEST_TEXT: Final = 256  # a Long String has 64 characters (PS3.5 6.2); files keep to nothing
_GLUE: Final = "glue.json"  # words that may be glued: sagt1, 3dt1
_COMMON: Final = "mr"  # the file of no language
_NAMED: Final = {"agent": ("without", "before"), "fat": ("without",)}  # axis to the lists of words that deny its names
_COMPOSED: Final = frozenset({"without", "before", *(f"{axis}:named" for axis in _NAMED)})  # no concepts of a text

_CAMEL = re.compile(r"(?<=[a-zäöüßéèåø])(?=[A-Z])")
_TOKEN = re.compile(r"[^\W_]+")
# T2* is one word; a minus is a sign only at the edge of a word: `-C`, `C-`, `+/-C`, but not `C-spine` nor `GD - FS`.
_WORD = re.compile(r"t2 ?\*|\+|(?<![a-z0-9])-(?=[^\s_-])|(?<=[^\s_-])-(?![a-z0-9])|[a-z0-9]+")
_TRAILING_SIZE = re.compile(r"[0-9]+mm$")
_B_VALUES = re.compile(
    r"(?<![a-z0-9])b(?:val(?:ue)?s?|[ -]?wert)?[ =_-]*([0-9]+(?:[ _,/+-]+[0-9]+)*)(?![ _-]?map|[a-rt-z0-9])"
)

# Words of a product of a series, e.g. the ADC map of a diffusion series: it names the image, unless a trace follows.
_PRODUCTS = (labels.ADC, labels.DERIVED_MAP, labels.PHASE)
_TIRM: Final[frozenset[str]] = frozenset({labels.STIR, labels.FLUID_ATTENUATED})
_T2_OR_T2_STAR: Final[frozenset[str]] = frozenset({labels.T2, labels.T2_STAR})
_DIFFUSION_OR_PERFUSION: Final[frozenset[str]] = frozenset({labels.DIFFUSION, labels.PERFUSION})
# Names of a technique that settle the contrast whatever weighting is named beside them.
_TECHNIQUES = (labels.SUSCEPTIBILITY, labels.PERFUSION, labels.DIFFUSION, labels.TOF, labels.FLOW_ENCODED)


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptionClaim:
    """What one text says; None and empty where it says nothing."""

    label: str | None = None  # of inference.labels
    allowed: frozenset[str] = frozenset()  # every label the words leave room for
    certain: bool = False  # a contrast is named, not only a sequence that usually has it (VIBE, HASTE, fMRI)
    post_contrast: bool | None = None
    fat_suppressed: bool | None = None
    planes: frozenset[str] = frozenset()  # axial, sagittal, coronal
    b_values_s_mm2: tuple[int, ...] = ()
    concepts: frozenset[str] = frozenset()  # everything found, e.g. "sequence:SE", "localizer", "relaxometry"

    @property
    def localizer(self) -> bool:
        """True if the words call the series a localizer."""
        return "localizer" in self.concepts


@lru_cache(maxsize=4096)
def description_claim(text: str | None) -> DescriptionClaim:
    """Read a Series Description (0008,103E) or Protocol Name (0018,1030), at most 256 characters of it."""
    if not text:
        return DescriptionClaim()
    plain = _plain(text[:_LONGEST_TEXT])
    found = tuple(_concepts(tuple(_words(plain))))
    concepts = frozenset(found)
    b_values = tuple(_b_values(plain))
    allowed = _allowed(found, diffusion_weighted=any(value > 0 for value in b_values))
    label = _label(allowed, concepts)
    return DescriptionClaim(
        label=label,
        allowed=allowed,
        certain=bool(b_values) or any(name.startswith("contrast:") for name in concepts),
        post_contrast=_decided(concepts, "agent"),
        fat_suppressed=True if label == labels.STIR else _decided(concepts, "fat"),
        planes=frozenset(name.removeprefix("plane:") for name in concepts if name.startswith("plane:")) - {"oblique"},
        b_values_s_mm2=b_values,
        concepts=concepts,
    )


def _plain(text: str) -> str:
    """Camel case apart, accents off, case folded: `Sättigung` -> `sattigung`, `PostGd` -> `post gd`.

    A word that the lexicon knows whole stays whole: `SmartBrain`, `VenoBOLD`.
    """
    return _folded(_TOKEN.sub(lambda word: word[0] if _folded(word[0]) in _vocabulary() else _apart(word[0]), text))


def _apart(word: str) -> str:
    return _CAMEL.sub(" ", word)


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def _words(plain: str) -> Iterator[str]:
    for match in _WORD.finditer(plain):
        word = match.group().replace(" ", "")
        if word in _vocabulary():
            yield word
        else:
            yield from _unglued(word) or _unglued(_TRAILING_SIZE.sub("", word)) or (word,)


def _unglued(word: str) -> tuple[str, ...] | None:
    """`sagt1` -> (`sag`, `t1`), only where glued words of the lexicon's list cover all of it."""
    if not word:
        return None
    ends: list[tuple[str, ...] | None] = [(), *[None] * len(word)]
    for end in range(1, len(word) + 1):
        for start in range(max(0, end - 8), end):
            head, piece = ends[start], word[start:end]
            if head is not None and piece in _glue() and (ends[end] is None or len(head) < len(ends[end] or ())):
                ends[end] = (*head, piece)
    return ends[len(word)]


def _concepts(words: tuple[str, ...]) -> Iterator[str]:
    """Concepts in reading order; at each word the longest phrase of the lexicon is taken."""
    lexicon, at = _lexicon(), 0
    while at < len(words):
        for length in range(min(_longest(), len(words) - at), 0, -1):
            phrase = words[at : at + length]
            if phrase in lexicon:
                yield from lexicon[phrase]
                at += length
                break
        else:
            at += 1


def _allowed(found: tuple[str, ...], *, diffusion_weighted: bool) -> frozenset[str]:
    """Labels the words leave room for: a product, else a technique, else preparations and weightings."""
    named = [name.removeprefix("contrast:") for name in found if name.startswith("contrast:")]
    if diffusion_weighted:  # of the series; a map that is named with its b-values is still the map
        named.insert(0, labels.DIFFUSION)
    if "product:fa" in found and labels.DIFFUSION in named:
        named.append(labels.DERIVED_MAP)
    for product in reversed(named):
        if product in _PRODUCTS:
            return frozenset({product})
        if product == labels.DIFFUSION and "product:trace" in found:  # `ADC DWI` is the map, `ADC_TRACEW` the trace
            break
    if {labels.PERFUSION, labels.DIFFUSION} <= set(named):  # IVIM shows perfusion by diffusion
        return _DIFFUSION_OR_PERFUSION
    for technique in _TECHNIQUES:
        if technique in named:
            return frozenset({technique})
    return _weightings(frozenset(named), found)


def _weightings(named: frozenset[str], found: tuple[str, ...]) -> frozenset[str]:
    if labels.STIR in named:
        return frozenset({labels.STIR})
    if labels.FLUID_ATTENUATED in named:  # T1-FLAIR is a T1
        t1 = {labels.T1} & named
        return frozenset(t1 | {labels.FLUID_ATTENUATED}) if not t1 or labels.T2 in named else frozenset(t1)
    if "TIRM" in named:  # Siemens' turbo inversion recovery: with a short TI it is a STIR, with a long one a FLAIR
        return frozenset({labels.T1}) if labels.T1 in named else _TIRM
    strong = named & frozenset(labels.CONTRASTS)
    return strong or frozenset(name.removeprefix("weak:") for name in found if name.startswith("weak:"))


def _label(allowed: frozenset[str], concepts: frozenset[str]) -> str | None:
    if "localizer" in concepts or not allowed:
        return None
    if allowed == _TIRM:
        return labels.STIR
    if allowed == _T2_OR_T2_STAR:
        return labels.T2_STAR
    return next(iter(allowed)) if len(allowed) == 1 else None


def _decided(concepts: frozenset[str], axis: str) -> bool | None:
    """Yes, no, or None where the words say neither or both."""
    yes, no = f"{axis}:yes" in concepts, f"{axis}:no" in concepts
    return None if yes == no else yes


def _b_values(plain: str) -> Iterator[int]:
    """`b1000`, `b=0, 500`, `b50_400_800`; not `B1 map`."""
    for match in _B_VALUES.finditer(plain):
        for number in re.findall("[0-9]+", match.group(1)):
            value = int(number)
            if value == 0 or (20 <= value <= 20_000 and value % 5 == 0):
                yield value


@cache
def _lexicon() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Phrase, as words, to its concepts; languages that share a phrase share its concepts."""
    files = {
        entry.stem: json.loads(entry.read_text(encoding="utf-8"))
        for entry in sorted(LEXICON.glob("*.json"))
        if entry.name != _GLUE
    }
    phrases: dict[tuple[str, ...], dict[str, None]] = {}
    for key, terms in (*(item for file in files.values() for item in file.items()), *_denials(files)):
        concepts = [concept for concept in key.split(" ") if concept not in _COMPOSED]
        for term in terms if concepts else ():
            phrases.setdefault(tuple(term.split(" ")), {}).update(dict.fromkeys(concepts))
    return {phrase: tuple(concepts) for phrase, concepts in phrases.items()}


def _denials(files: Mapping[str, Mapping[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """`agent:no` and `fat:no` with their phrases: `ohne gado`, `avant injection`, `no fat sat`."""
    for language, file in files.items():
        for axis, lists in _NAMED.items():
            names = [
                term
                for other in (files if language == _COMMON else (language, _COMMON))
                for key, terms in files[other].items()
                if f"{axis}:named" in key.split(" ")
                for term in terms
            ]
            yield f"{axis}:no", [f"{word} {name}" for words in lists for word in file[words] for name in names]


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(word for phrase in _lexicon() for word in phrase)


@cache
def _glue() -> frozenset[str]:
    return frozenset(json.loads((LEXICON / _GLUE).read_text(encoding="utf-8"))["glue"])


@cache
def _longest() -> int:
    return max(len(phrase) for phrase in _lexicon())
