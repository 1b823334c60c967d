"""Fields of public services, as people call them. Codes are the registry's; one that is not here is shown as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "civil": ("hộ tịch, chứng thực", "civil status and certification"),
    "land": ("đất đai", "land"),
    "construction": ("xây dựng", "construction"),
    "business": ("đăng ký kinh doanh", "business registration"),
    "social": ("bảo trợ xã hội", "social protection"),
    "justice": ("tư pháp", "justice"),
    "education": ("giáo dục và đào tạo", "education and training"),
    "health": ("y tế", "health"),
    "transport": ("giao thông vận tải", "transport"),
    "other": ("khác", "other"),
}
"""Code → its names, Vietnamese and English."""


def field_name(code: str, language: Literal["vi", "en"]) -> str:
    """What a field is called in the middle of a sentence."""
    names = NAMES.get(code)
    return code if names is None else names[language == "en"]
