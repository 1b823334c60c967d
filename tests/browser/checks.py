"""What must hold of every page and state: axe-core's rules, the keyboard, the accessibility tree, narrow screens, weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.citizen import DESKTOP, NARROW, PHONE, ZOOMED, Citizen

TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
"""https://github.com/dequelabs/axe-core/blob/develop/doc/API.md#axe-core-tags"""
SUNNY: Final = "label, legend, button"
"""What must be read in bright sun."""
_TIMERS: Final = """() => { if (matchMedia('(scripting: none)').matches)
  window.setTimeout = (what, after) => { if (!after || after < 50) Promise.resolve().then(what); return 0; }; }"""
"""Where the person has scripts off, timers never fire, ours neither; axe-core waits for some."""
_RUN: Final = """([options, sunny]) => axe.run(document, {...options, elementRef: true}).then(found => {
  for (const kind of ['violations', 'incomplete']) for (const one of found[kind]) {
    if (one.id === 'color-contrast-enhanced') one.nodes = one.nodes.filter(node => sunny && node.element.closest(sunny));
    for (const node of one.nodes) {
      delete node.element;
      for (const part of [...node.any, ...node.all, ...node.none]) delete part.relatedNodes;
    }
  }
  return { violations: found.violations, incomplete: found.incomplete, version: found.testEngine.version };
})"""


@cache
def _axe_core() -> str:
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


def axe(page: Page, *, sunny: str = "") -> None:
    """No rule of WCAG 2.2 A and AA is broken as far as axe-core can tell, and what ``sunny`` selects has a contrast of 7:1.

    Raises AssertionError with every finding.
    """
    rules = {"target-size": {"enabled": True}, "color-contrast-enhanced": {"enabled": bool(sunny)}}
    _hold(page, {"runOnly": {"type": "tag", "values": TAGS}, "rules": rules}, sunny)


def contrast(page: Page) -> None:
    """Text against its ground: 4.5:1. Raises AssertionError."""
    _hold(page, {"runOnly": {"type": "rule", "values": ["color-contrast"]}})


def _hold(page: Page, options: Mapping[str, Any], sunny: str = "") -> None:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_TIMERS)
        page.evaluate(_axe_core())
    found = page.evaluate(_RUN, [{**options, "resultTypes": ["violations", "incomplete"], "preload": False}, sunny])
    unsure = [{**one, "nodes": [n for n in one["nodes"] if not _settled(n)]} for one in found["incomplete"]]
    said = [_readable(one) for one in found["violations"] if one["nodes"]]
    said += [f"cannot tell: {_readable(one)}" for one in unsure if one["nodes"]]
    assert not said, f"{page.url.partition('?')[0]}: axe-core {found['version']} finds\n" + "\n".join(said)


def _settled(node: Mapping[str, Any]) -> bool:
    """Whether axe-core only doubts that a sign is text: a dot between two links, a mark beside its word (tests/survey/test_web.py holds
    the colours of marks); or what colour lies behind a word in a drawing (ink or quiet ink on paper, and the tables say the same)."""
    if str(node["html"]).startswith("<text "):
        return True
    doubts = "shortTextContent", "nonBmp"
    return all((part["data"] or {}).get("messageKey") in doubts for kind in ("any", "all", "none") for part in node[kind])


def _readable(finding: Mapping[str, Any]) -> str:
    lines = [f"{finding['id']} ({finding['impact']}): {finding['help']}"]
    for node in finding["nodes"]:
        why = "; ".join(part["message"] for kind in ("any", "all", "none") for part in node[kind])
        lines.append(f"  {' '.join(map(str, node['target']))}  {node['html'][:120]}\n    {why}")
    return "\n".join(lines)


def tree(page: Page) -> str:
    """What a screen reader is told, as indented lines of role and name."""
    return page.locator("body").aria_snapshot()


# --- keyboard

_STOP: Final = """() => {
  const e = document.activeElement;
  if (!e || e === document.body || e === document.documentElement) return null;
  const box = e.getBoundingClientRect(), parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const ground = n => { for (; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor);
    if (c.length === 3 || c[3] > 0.5) return c; } return [255, 255, 255]; };
  let ring = 0;
  for (let n = e, up = 0; n && up < 3; n = n.parentElement, up++) {
    const s = getComputedStyle(n);
    if (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2) {
      const a = light(parse(s.outlineColor)), b = light(ground(n.parentElement));
      ring = Math.max(ring, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    }
  }
  const x = box.left + Math.min(box.width, innerWidth) / 2, y = box.top + Math.min(box.height, innerHeight - box.top) / 2;
  const top = document.elementFromPoint(x, y);
  return { index: [...document.querySelectorAll('*')].indexOf(e), ring, area: box.width * box.height,
    // a text field of many lines may reach below: a browser brings the line in sight that is written in
    inside: box.left >= -4 && box.right <= innerWidth + 4 && (box.height > innerHeight ||
      (box.top >= -4 && (e.tagName === "TEXTAREA" ? box.top + 40 : box.bottom) <= innerHeight + 4)),
    covered: !(top && (e.contains(top) || top.contains(e))), top: box.top + scrollY, left: box.left, ahead: e.tabIndex > 0,
    box: [box.left, box.top, box.right, box.bottom].map(Math.round).join(' '),
    html: e.outerHTML.slice(0, 100) };
}"""
"""Four pixels are forgiven: what can be touched may be larger than what is drawn."""
_REACHABLE: Final = """() => {
  const groups = new Set();
  return [...document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary,[tabindex]')].filter(e => {
    if (e.disabled || e.tabIndex < 0 || !e.checkVisibility()) return false;
    if (e.type !== 'radio') return true;
    const fresh = !groups.has(e.name); groups.add(e.name); return fresh;
  }).map(e => e.outerHTML.slice(0, 100));
}"""
_MOST: Final = 200


@dataclass(frozen=True)
class Stop:
    """Where the focus was: role and name as a screen reader says them."""

    said: str
    html: str
    faults: tuple[str, ...]


def keyboard_walk(page: Page) -> list[Stop]:
    """Tab once around: every control is reached, in reading order, seen, named, and its focus ring stands out 3:1.

    Raises AssertionError with every fault. The stops, the first on the page first.
    """
    found = _around(page)
    first = min(range(len(found)), key=lambda n: found[n]["index"], default=0)
    found = found[first:] + found[:first]
    page.evaluate("() => document.activeElement.blur()")
    stops = [Stop(one["said"], one["html"], tuple(_faults(one))) for one in found]
    said = [f"{stop.html}: {fault}" for stop in stops for fault in stop.faults]
    said += [f"{after['html']} comes after {before['html']}" for before, after in pairwise(found) if _back(before, after)]
    missed = len(page.evaluate(_REACHABLE)) - len(found)
    if missed:
        said.append(f"{missed} of these are not reached by Tab: {page.evaluate(_REACHABLE)}")
    assert not said, f"{page.url.partition('?')[0]}: by keyboard\n" + "\n".join(said)
    return stops


def _around(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = None
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        at = page.evaluate(_STOP)
        stayed, before = at is not None and at["index"] == before, at and at["index"]
        if at is None or stayed:  # a date has several parts
            continue
        if found and at["index"] == found[0]["index"]:
            return found
        at["said"] = page.locator(":focus").aria_snapshot().splitlines()[0].removeprefix("- ").rstrip(":")
        found.append(at)
    raise AssertionError(f"{page.url.partition('?')[0]}: after {_MOST} times Tab the focus did not come back; last {found[-1:]}")


def _faults(at: Mapping[str, Any]) -> Iterator[str]:
    if '"' not in at["said"] and not at["said"].startswith("text: "):  # what opens details has no role of its own
        yield f"has no name ({at['said']})"
    if at["area"] < 1 or not at["inside"]:
        yield f"is not in sight when it has the focus ({at['box']})"
    elif at["covered"]:
        yield "is covered when it has the focus"
    if at["ahead"]:
        yield "has a tabindex that puts it before others"
    if at["ring"] < 3:
        yield f"its focus ring has a contrast of {at['ring']:.1f}:1"


def _back(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the focus went against reading order; half a line is forgiven."""
    if after["index"] < before["index"]:
        return True
    return bool(after["top"] < before["top"] - 12 or (abs(after["top"] - before["top"]) <= 12 and after["left"] < before["left"]))


# --- narrow screens

_SIDEWAYS: Final = """() => {
  const root = document.documentElement, found = [];
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} px wide`);
  for (const e of document.body.querySelectorAll('*')) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > root.clientWidth + 1) found.push(`reaches ${Math.round(box.right)} px: ${e.outerHTML.slice(0, 100)}`);
    if (box.right > 0 && e.scrollWidth > e.clientWidth + 1 && e.clientWidth && ['hidden', 'clip'].includes(getComputedStyle(e).overflowX))
      found.push(`is cut off: ${e.outerHTML.slice(0, 100)}`);
  }
  return found;
}"""
_SPACED: Final = """() => { for (const e of document.body.querySelectorAll('*')) {
  e.style.setProperty('line-height', '1.5', 'important'); e.style.setProperty('letter-spacing', '0.12em', 'important');
  e.style.setProperty('word-spacing', '0.16em', 'important'); } }"""
_UNSPACED: Final = """() => { for (const e of document.body.querySelectorAll('*'))
  for (const p of ['line-height', 'letter-spacing', 'word-spacing']) e.style.removeProperty(p); }"""


def not_sideways(page: Page) -> None:
    """Nothing has to be scrolled sideways and nothing is cut off. Raises AssertionError naming what sticks out."""
    found = page.evaluate(_SIDEWAYS)
    size = page.viewport_size or {"width": 0}
    assert not found, f"{page.url.partition('?')[0]} at {size['width']} px:\n" + "\n".join(found)


def spaced(page: Page) -> None:
    """The same with the reader's own spacing (WCAG 1.4.12)."""
    page.evaluate(_SPACED)
    not_sideways(page)
    page.evaluate(_UNSPACED)


# --- targets

CONTROL: Final = 56
LINK: Final = 44
"""Pixels that a citizen's controls are high."""
_SMALL: Final = """([least, which]) => {
  const found = [];
  for (const e of document.querySelectorAll(which)) {
    const target = e.closest('label') || e, box = target.getBoundingClientRect();
    if (!box.width || e.closest('[aria-hidden=true]') || e.classList.contains('skip')) continue;
    const own = e.tagName === 'A' && getComputedStyle(e).display === 'inline'
      && [...e.parentElement.childNodes].some(n => n.nodeType === 3 && n.textContent.trim().length > 3);
    const [wide, high] = [Math.round(box.width), Math.round(box.height)];
    if (!own && high < least) found.push(`${wide} × ${high} px: ${e.outerHTML.slice(0, 100)}`);
  }
  return found;
}"""


def small_targets(page: Page, least: int, which: str = "a[href],button,input:not([type=hidden]),select,textarea,summary") -> list[str]:
    """What is lower than ``least`` px and no link within a sentence; the row around a choice counts."""
    return list(page.evaluate(_SMALL, [least, which]))


# --- weight


@dataclass(frozen=True)
class Weight:
    """Of a page since the citizen opened it."""

    bytes: int
    """Bodies and headers as they came over the wire."""
    requests: int


def weight(citizen: Citizen) -> Weight:
    """What opening the page cost, followed redirects included. ``data:`` is none."""
    asked = [r for r in citizen.requests if r.url.startswith("http")]
    for request in asked:
        request.response()
    sizes = [r.sizes() for r in asked if r.failure is None]
    return Weight(sum(s["responseBodySize"] + s["responseHeadersSize"] for s in sizes), len(asked))


# --- all of it


def look(citizen: Citizen, name: str, *, pictures: Sequence[str] = ()) -> list[Stop]:
    """Everything above about the page as it stands, and its pictures on phone and desktop; more in ``pictures``: dark, forced.

    ``name`` names the state in the pictures. The stops of the keyboard walk.
    """
    page = citizen.page
    label = f"{name}-{citizen.lang}"
    citizen.sized(PHONE)
    axe(page, sunny=SUNNY)
    assert not (small := small_targets(page, CONTROL, "button:not(.turn),input:not([type=hidden]),select,textarea")), "\n".join(small)
    assert not (small := small_targets(page, LINK, ".turn")), "\n".join(small)
    if citizen.shots is not None:
        (citizen.shots / f"{label}.txt").write_text(tree(page), "utf-8")
    citizen.shot(f"{label}-phone")
    stops = keyboard_walk(page)
    for screen in (NARROW, ZOOMED):
        citizen.sized(screen)
        not_sideways(page)
    spaced(page)
    citizen.sized(DESKTOP)
    not_sideways(page)
    citizen.shot(f"{label}-desktop")
    citizen.sized(PHONE)
    page.emulate_media(color_scheme="dark")
    contrast(page)
    if "dark" in pictures:
        citizen.shot(f"{label}-dark")
    page.emulate_media(color_scheme="light", forced_colors="active")
    if "forced" in pictures:
        citizen.shot(f"{label}-forced")
    page.emulate_media(forced_colors="none")
    return stops


# --- what a choice looks like

_CHOICE: Final = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const f = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const ratio = (a, b) => { const [x, y] = [light(parse(a)), light(parse(b))]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const ground = n => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor, p = parse(c);
    if (p.length === 3 || p[3] > 0.5) return c; } return 'rgb(255, 255, 255)'; };
  return [...document.querySelectorAll('.row input')].flatMap(e => {
    const own = getComputedStyle(e), mark = getComputedStyle(e, '::before'), about = ground(e.parentElement), found = [];
    if (own.appearance !== 'none') return [`${e.value}: the browser's own`];
    if (ratio(own.borderTopColor, about) < 7) found.push(`${e.value}: its edge ${ratio(own.borderTopColor, about).toFixed(1)}:1`);
    const drawn = e.type === 'radio' ? mark.backgroundColor : mark.borderRightColor;
    const shown = ratio(drawn, own.backgroundColor);
    if (e.checked && shown < 7) found.push(`${e.value}: its mark ${shown.toFixed(1)}:1`);
    return found;
  });
}"""


def choices_stand_out(page: Page) -> None:
    """Edge and mark of every choice have a contrast of 7:1, light and dark; with forced colours they are the browser's own.

    Raises AssertionError.
    """
    for media in ("light", "dark"):
        page.emulate_media(color_scheme=media)
        found = page.evaluate(_CHOICE)
        assert not found, f"{media}: {found}"
    page.emulate_media(color_scheme="light", forced_colors="active")
    assert all(said.endswith("the browser's own") for said in page.evaluate(_CHOICE))
    page.emulate_media(forced_colors="none")
