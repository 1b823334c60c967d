"""Pages from templates, in the reader's language, with one small style sheet inside them; errors as written sentences."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from web import language, numbers, programs

_HERE: Final = Path(__file__).parent
LANGUAGES: Final = ("vi", "en")
DEFAULT: Final = "vi"
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)


class Refused(HTTPException):
    """An HTTPException that knows more than its status. ``said``: language → ``text`` (cause and next step), maybe ``title`` and
    ``again``, a link (``address``, ``text``). Programs get the English text.
    """

    def __init__(self, status: int, said: Mapping[str, Mapping[str, Any]], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, str(said["en"]["text"]), headers)
        self.said = said


def texts(folder: Path, languages: Sequence[str] = LANGUAGES, name: str = "") -> dict[str, dict[str, Any]]:
    """Language → the table of ``folder/LANGUAGE.toml``, or of ``folder/LANGUAGE/name`` where a language is a folder.

    Raises ValueError naming file and key where a language lacks what another says.
    """
    paths = {one: folder / one / name if name else folder / f"{one}.toml" for one in languages}
    read = {one: tomllib.loads(path.read_text("utf-8")) for one, path in paths.items()}
    keys = {one: _keys(table) for one, table in read.items()}
    for one in languages:
        missing = sorted(set().union(*keys.values()) - keys[one])
        if missing:
            raise ValueError(f"{paths[one].name} ({one}): {missing[0]} is missing or empty. Every language says everything.")
    return read


def _keys(table: Mapping[str, Any], before: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in table.items():
        found |= _keys(value, f"{before}{key}.") if isinstance(value, dict) else {before + key} if str(value).strip() else set()
    return found


class Pages:
    """Renders the templates of a site's ``folders`` over those shared by all sites; ``styles`` are inlined, in order."""

    def __init__(
        self, folders: Sequence[Path], styles: Sequence[Path], words: Mapping[str, Mapping[str, Any]], site: Mapping[str, str]
    ) -> None:
        """``words``: language → what the site's templates call ``t``; ``site``: language → the site's name in the page's head."""
        sheets = [_HERE / "static" / "base.css", *styles]
        self.css = _tight("\n".join(path.read_text("utf-8") for path in sheets))
        self.words = words
        self.site = site
        self.errors = texts(_HERE / "texts", tuple(words))
        self._env = Environment(
            loader=FileSystemLoader([*folders, _HERE / "templates"]),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters.update(number=numbers.number, percent=numbers.percent, interval=numbers.interval, day=numbers.day)

    @property
    def style_source(self) -> str:
        """The sheet as a CSP source: its hash."""
        return f"'sha256-{base64.b64encode(hashlib.sha256(self.css.encode()).digest()).decode()}'"

    def language(self, request: Request) -> str:
        """The language of the answer to ``request``."""
        return language.choose(request, self.words, DEFAULT)

    def render(self, template: str, lang: str, **context: Any) -> str:
        """A page as text. Raises jinja2.UndefinedError where a value is missing."""
        # The site wrote the sheet; nothing of a request is in it.
        css = Markup(self.css)  # noqa: S704
        said = {"site": self.site[lang], "t": self.words[lang], "shared": self.errors[lang], "turned": self.turned()}
        return self._env.get_template(template).render(**{"css": css, "lang": lang, **said, **context})

    def turned(self, address: str = "?") -> list[tuple[str, str, str]]:
        """(language, its own name, address) of every language this page speaks; ``address`` ends where ``lang=`` follows."""
        return [(one, str(words["name"]), f"{address}lang={one}") for one, words in self.errors.items()]

    def respond(self, template: str, lang: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any) -> Response:
        """A page as an answer."""
        said = {"Content-Language": lang, "Vary": "Accept-Language", **(headers or {})}
        return HTMLResponse(self.render(template, lang, **context), status, said)

    def error(self, request: Request, error: Exception) -> Response:
        """The answer to an HTTPException: a page; JSON under ``/api/`` and for a program that asks for it; one shape each."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        lang = self.language(request)
        if programs.asks(request):
            return programs.refusal(request, error, status, headers, self._said("en", status)["text"])
        said = self._said(lang, status)
        if isinstance(error, Refused):
            said = said | dict(error.said.get(lang, {}))
        return self.respond("error.html", lang, status, headers, error=said)

    def _said(self, lang: str, status: int) -> dict[str, Any]:
        known = self.errors[lang]["errors"]
        return dict(known.get(str(status)) or known["500"])


def _tight(css: str) -> str:
    return re.sub(r"\s*([{}:;,>])\s*", r"\1", re.sub(r"\s+", " ", _COMMENT.sub("", css))).strip().replace(";}", "}")
