"""Pages from templates, in the reader's language, with one small style sheet inside them; errors as written sentences."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Heard:
    """A language people hear rather than read: ``name``; ``words``: the language of what stands on its pages; ``said``: that it is heard,
    in that language, behind the name."""

    name: str
    words: str
    said: str


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
        self,
        folders: Sequence[Path],
        styles: Sequence[Path],
        words: Mapping[str, Mapping[str, Any]],
        site: Mapping[str, str],
        shared: Mapping[str, Mapping[str, Any]] | None = None,
        heard: Mapping[str, Heard] | None = None,
        around: Callable[[Request, int], Mapping[str, Any]] | None = None,
    ) -> None:
        """``words``: language → what the site's templates call ``t``; ``site``: language → the site's name in the page's head.

        ``shared``: what every site says, in languages that have it elsewhere than here; ``heard``: languages without words of their own.
        ``around``: what else the site's ``error.html`` is told, of a request and its status; ``lang`` and ``headers`` are the answer's.
        """
        sheets = [_HERE / "static" / "base.css", *styles]
        self.css = _tight("\n".join(path.read_text("utf-8") for path in sheets))
        self.heard = heard or {}
        self.written = {one: one for one in words} | {one: h.words for one, h in self.heard.items()}
        """Language → the language of its words on the screen."""
        shared = {**texts(_HERE / "texts", [one for one in words if one not in (shared or {})]), **(shared or {})}
        self.words = {one: words[said] for one, said in self.written.items()}
        self.site = site
        self._around = around
        self.errors = {one: shared[said] for one, said in self.written.items()}
        self._env = Environment(
            loader=FileSystemLoader([*folders, _HERE / "templates"]),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,  # else every page asks the disk for its templates
            lstrip_blocks=True,
        )
        figures: dict[str, Callable[..., str]] = {
            "number": numbers.number, "percent": numbers.percent, "interval": numbers.interval, "day": numbers.day,
        }  # fmt: skip
        self._env.filters.update({name: self._in_words(write) for name, write in figures.items()} | {"clock": numbers.clock})

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
        said = {"t": self.words[lang], "shared": self.errors[lang], "turned": self.turned(), "written": self.written}
        named = self.written[lang] if self.written[lang] in self.site else DEFAULT
        said |= {"site": self.site[named], "site_lang": named}
        return self._env.get_template(template).render(**{"css": css, "lang": lang, **said, **context})

    def _in_words(self, write: Callable[..., str]) -> Callable[..., str]:
        """``write`` as the language of the words on the screen has it."""

        def written(value: Any, *more: Any) -> str:
            return write(value, *(self.written.get(one, one) if isinstance(one, str) else one for one in more))

        return written

    def turned(self, address: str = "?") -> list[tuple[str, str, str]]:
        """(language, its own name, address) of every language this page speaks; ``address`` ends where ``lang=`` follows."""
        return [(one, self._name(one), f"{address}lang={one}") for one in self.words]

    def _name(self, lang: str) -> str:
        heard = self.heard.get(lang)
        return Markup('<span lang="{}">{}</span> {}').format(lang, heard.name, heard.said) if heard else str(self.errors[lang]["name"])

    def respond(self, template: str, lang: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any) -> Response:
        """A page as an answer."""
        said = {"Content-Language": self.written[lang], "Vary": "Accept-Language", **(headers or {})}
        return HTMLResponse(self.render(template, lang, **context), status, said)

    def error(self, request: Request, error: Exception) -> Response:
        """The answer to an HTTPException: a page; JSON under ``/api/`` and for a program that asks for it; one shape each."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        if programs.asks(request):
            return programs.refusal(request, error, status, headers, self._said("en", status)["text"])
        more = dict(self._around(request, status)) if self._around else {}
        lang = str(more.pop("lang", self.language(request)))
        said = self._said(lang, status)
        if isinstance(error, Refused):
            said = said | dict(error.said.get(lang, {}))
        return self.respond("error.html", lang, status, {**headers, **more.pop("headers", {})}, error=said, **more)

    def _said(self, lang: str, status: int) -> dict[str, Any]:
        known = self.errors[lang]["errors"]
        return dict(known.get(str(status)) or known["500"])


def _tight(css: str) -> str:
    return re.sub(r"\s*([{}:;,>])\s*", r"\1", re.sub(r"\s+", " ", _COMMENT.sub("", css))).strip().replace(";}", "}")
