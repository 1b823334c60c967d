"""The one error of the local stack that is meant for a person."""

from __future__ import annotations


class Refusal(Exception):
    """Something stands in the way. The message is a whole sentence or two: the thing, the cause, the next step.

    ``wrong_use``: the command itself must be written differently (exit code 2); else something around it must change (exit code 1).
    """

    def __init__(self, sentence: str, *, wrong_use: bool = False) -> None:
        super().__init__(sentence)
        self.wrong_use = wrong_use

    @property
    def exit_code(self) -> int:
        return 2 if self.wrong_use else 1
