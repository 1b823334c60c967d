"""Whether a text is, word for word, one of those that are sent back to whoever wrote to the short code.

They are made of fixed words, a few codes and a receipt; none holds a link. Anybody can copy words, so the same words are no proof of who
sent them: what can be said is that we say them, and when.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hailong.domain import receipts
from hailong.domain.links import ALPHABET
from hailong.domain.replies import QUOTED

LONGEST: Final = 600
"""Letters of what is looked at: more than three segments of ours."""
_CODE: Final = rf"[{ALPHABET}]{{{QUOTED},26}} \(\d{{1,2}}/\d{{1,2}}\)"
_PARTS: Final = {"codes": rf"{_CODE}(?:, {_CODE})*", "receipt": rf"(?P<receipt>{receipts.PREFIX}-[-{ALPHABET}]+)"}
_PLACE: Final = re.compile(r"\{(\w+)\}")


class OwnTexts:
    """``words``: language → what pages and messages say; ``brand``: the sender's name in them."""

    def __init__(self, words: Iterable[Mapping[str, Any]], brand: str) -> None:
        said = {_plain(text) for one in words for text in one["sms"].values()}
        self._known = [re.compile(_pattern(text, brand), re.IGNORECASE) for text in sorted(said)]

    def has(self, pasted: str) -> bool:
        """Case and spaces do not matter, every other sign does; a receipt in it must be one."""
        if len(pasted) > LONGEST:
            return False
        text = _plain(pasted)
        found = (known.fullmatch(text) for known in self._known)
        return any(one is not None and _true(one) for one in found)


def _true(found: re.Match[str]) -> bool:
    receipt = found.groupdict().get("receipt")
    return receipt is None or receipts.parse(receipt) is not None


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _pattern(text: str, brand: str) -> str:
    parts = _PLACE.split(text)
    filled = {**_PARTS, "brand": re.escape(brand)}
    return "".join(filled[part] if n % 2 else re.escape(part) for n, part in enumerate(parts))
