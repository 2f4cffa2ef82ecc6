"""What files, peers and bundles say, fit to be shown on a terminal."""

from typing import Final
from unicodedata import category

# Control characters, which a terminal obeys (ECMA-48); marks that are not seen, of the direction of writing among them;
# bytes of a file name that are no UTF-8.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs"})


def clean(text: str, *, keep: str = "") -> str:
    """`text` with everything that is not seen as an escape, like \\x1b; the characters of `keep` stay."""
    return "".join(
        sign.encode("unicode_escape").decode() if category(sign) in _UNSEEN and sign not in keep else sign
        for sign in text
    )
