"""What a page says of questions that were, or were not, answered before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TAKEN_BACK: Final = "-"
"""Stands before a question in ``done`` whose answer was taken back: it was answered, and nothing of it stands."""


@dataclass(frozen=True)
class Page:
    """Answers (question id → answer) of a page: ``first`` ones, those ``again`` where one was given, and questions ``gone`` empty that had
    one. ``done``: the questions answered, after it."""

    first: dict[str, Any]
    again: dict[str, Any]
    gone: dict[str, Any]
    done: list[str]


def page(questionnaire: str, answers: Mapping[str, Any], done: Sequence[str]) -> Page:
    """``done``: as the page before left it. Nothing is taken back where nothing stands, so that a box left empty says nothing."""
    now = list(done)
    said = Page({}, {}, {}, now)
    for question, answer in answers.items():
        mark = f"{questionnaire}:{question}"
        stands = mark in now and TAKEN_BACK + mark not in now
        if empty(answer):
            if stands:
                said.gone[question] = answer
                now.append(TAKEN_BACK + mark)
        elif mark in now:
            said.again[question] = answer
            now[:] = [one for one in now if one != TAKEN_BACK + mark]
        else:
            said.first[question] = answer
            now.append(mark)
    return said


def empty(answer: object) -> bool:
    """Whether an answer says that there is none (any more): no option chosen, or no to the one box. Null is "not applicable"."""
    return answer is False or answer == []
