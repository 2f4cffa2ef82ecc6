"""What the image embedding knows: a linear probe and nearest neighbours on what the header says."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from inference.captions import Caption

NEIGHBOURS: Final = 5

# What is asked of the embedding, as words.
QUESTIONS: Final[Mapping[str, Callable[[Caption], str | None]]] = {
    "contrast": lambda caption: caption.contrast,
    "plane": lambda caption: caption.plane,
    "field_strength": lambda caption: _rounded(caption.MagneticFieldStrength_t),
    "vendor": lambda caption: caption.Manufacturer,
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Accuracy over samples, and over classes (balanced), of two classifiers that see embeddings alone."""

    train: int
    test: int
    classes: int
    majority: float  # accuracy of always saying the commonest class
    linear: float
    linear_balanced: float
    neighbours: float
    neighbours_balanced: float


Train = Float[np.ndarray, "n d"]
Test = Float[np.ndarray, "m d"]


def probe(
    train: Train, train_captions: Sequence[Caption], test: Test, test_captions: Sequence[Caption]
) -> dict[str, Probe | None]:
    """One probe for every question; None where fewer than two classes can be learnt and tested."""
    return {
        name: _probe(train, [ask(caption) for caption in train_captions], test, [ask(one) for one in test_captions])
        for name, ask in QUESTIONS.items()
    }


def _probe(train: Train, train_said: Sequence[str | None], test: Test, test_said: Sequence[str | None]) -> Probe | None:
    """Samples whose caption does not say, or says what training never saw, are left out."""
    known = {said for said in train_said if said is not None}
    learnt = np.array([said is not None for said in train_said])
    asked = np.array([said in known for said in test_said])
    x, y = train[learnt], np.array([said for said in train_said if said is not None])
    x_test, y_test = test[asked], np.array([said for said in test_said if said in known])
    if len(known) < 2 or len(set(y_test.tolist())) < 2:
        return None
    linear = LogisticRegression(C=4.0, max_iter=2000).fit(x, y).predict(x_test)
    nearest = KNeighborsClassifier(min(NEIGHBOURS, len(x)), metric="cosine", algorithm="brute").fit(x, y)
    neighbours = nearest.predict(x_test)
    return Probe(
        train=len(y),
        test=len(y_test),
        classes=len(known),
        majority=Counter(y_test.tolist())[Counter(y.tolist()).most_common(1)[0][0]] / len(y_test),
        linear=float((linear == y_test).mean()),
        linear_balanced=float(balanced_accuracy_score(y_test, linear)),
        neighbours=float((neighbours == y_test).mean()),
        neighbours_balanced=float(balanced_accuracy_score(y_test, neighbours)),
    )


def _rounded(field_strength_t: float | None) -> str | None:
    """1.494 and 1.5 T are one field strength."""
    return None if field_strength_t is None else f"{round(2 * field_strength_t) / 2:g}"
