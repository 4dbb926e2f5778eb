"""A small SVG layer: axes with ticks, panels, marks. Deterministic, and colored by CSS variables alone."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.reporting import labels

SHAPES = (
    *("diamond", "circle", "square", "triangle", "wedge", "cross", "pentagon", "star", "plus", "hexagon"),
    *("bowtie", "left", "pillar", "right", "hourglass", "bar"),
)
COLORS = 7
"""Okabe and Ito's palette without black and yellow; c0 is the text's own color."""
DASHES = ("", "6 3", "2 2", "8 3 2 3", "4 2 1 2")
LEFT, RIGHT, TOP, BOTTOM = 50.0, 14.0, 28.0, 42.0

# Okabe-Ito, orange and sky blue darker on white for contrast; told apart by shape and dash as well.
LIGHT = {
    **{"paper": "#ffffff", "ink": "#1b1f24", "soft": "#5b6470", "line": "#d5dae0", "wash": "#f3f5f7"},
    **{"k1": "#0072b2", "k2": "#c4480a", "k3": "#008763", "k4": "#b0578d", "k5": "#b07800", "k6": "#2b8cc4"},
    "k7": "#6b4fa0",
}
DARK = {
    **{"paper": "#15181c", "ink": "#e8eaed", "soft": "#a2abb5", "line": "#363c44", "wash": "#1e2227"},
    **{"k1": "#5aa9e6", "k2": "#f08a4b", "k3": "#35c49a", "k4": "#dd9dc1", "k5": "#e6b33c", "k6": "#7fd0f5"},
    "k7": "#b3a0e6",
}


def variables(colors: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colors.items())


MARKS_CSS = (
    "text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--ink);"
    "font-variant-numeric:tabular-nums}"
    "text.s{fill:var(--soft)}text.t{font-weight:600;font-size:12px}text.h{font-size:10px}"
    ".g{stroke:var(--line);stroke-width:1}.z{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}"
    ".c0{--c:var(--ink)}" + "".join(f".c{i}{{--c:var(--k{i})}}" for i in range(1, COLORS + 1)) + ".cs{--c:var(--soft)}"
    ".m{fill:var(--c);stroke:var(--paper);stroke-width:1}.o{fill:var(--paper);stroke:var(--c);stroke-width:1.6}"
    ".l{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".b{stroke-width:1}"
    ".w{stroke:var(--c);stroke-width:1.4;fill:none}.a{fill:var(--c);fill-opacity:.13;stroke:none}"
    ".halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}"
)
FILE_CSS = (
    f"svg{{{variables(LIGHT)}}}@media (prefers-color-scheme:dark){{svg{{{variables(DARK)}}}}}"
    f".bg{{fill:var(--paper)}}{MARKS_CSS}"
)


@dataclass(frozen=True)
class Panel:
    """A drawing of a fixed size, before it is put on a page."""

    width: float
    height: float
    body: str
    label: str
    """What a screen reader says."""
    key: str = ""
    family: str = ""


def num(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def escape(text: str) -> str:
    return html.escape(labels.visible(text, 160))


@dataclass(frozen=True)
class Axis:
    """A scale from values to [0, 1] with its ticks."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    flip: bool = False

    def at(self, value: float) -> float:
        low, high, v = (
            (math.log10(u) for u in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        share = (v - low) / (high - low)
        return 1 - share if self.flip else share


def linear(label: str, values: Iterable[float], *, pad: float = 0.06, count: int = 5, signed: bool = False) -> Axis:
    """An axis over all finite values, with round ticks."""
    finite = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if high - low < 1e-9 * max(abs(high), 1e-3):
        low, high = low - max(abs(low), 1.0) * 0.05, high + max(abs(high), 1.0) * 0.05
    margin = pad * (high - low)
    low, high = low - margin, high + margin
    step = nice_step((high - low) / count)
    first = math.ceil(low / step - 1e-9)
    places = [first + i for i in range(int(high / step + 1e-9) - first + 1)] if high / step > first else [first]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(label, low, high, tuple((i * step, _tick(i * step, digits, signed)) for i in places))


def nice_step(rough: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1, 2, 5) if m * power >= rough * (1 - 1e-9)), 10 * power)


def _tick(value: float, digits: int, signed: bool) -> str:
    text = f"{value:+.{digits}f}" if signed and abs(value) > 1e-12 else f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def logarithmic(label: str, values: Iterable[float], *, pad: float = 0.06, flip: bool = False) -> Axis:
    """A logarithmic axis with ticks at powers of ten, or at 1, 2 and 5 times them where it spans little."""
    finite = [v for v in values if math.isfinite(v) and v > 0] or [1.0, 10.0]
    low, high = math.log10(min(finite)), math.log10(max(finite))
    margin = pad * (high - low) or 0.3
    low, high = low - margin, high + margin
    steps = (1, 2, 5) if high - low < 2.2 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    places = [m * 10.0**p for p in powers for m in steps if low <= math.log10(m * 10.0**p) <= high]
    return Axis(label, 10**low, 10**high, tuple((v, f"{v:g}") for v in places), log=True, flip=flip)


def at_values(label: str, values: Sequence[float], *, log: bool, flip: bool = False, names: Sequence[str] = ()) -> Axis:
    """An axis whose ticks are the values themselves."""
    base = logarithmic(label, values, flip=flip) if log else linear(label, values, pad=0.08)
    texts = names or [f"{v:g}" for v in values]
    return Axis(label, base.low, base.high, tuple(zip(values, texts, strict=True)), log, flip)


@dataclass(frozen=True)
class Frame:
    """Where the axes of a panel lie."""

    x: Axis
    y: Axis
    width: float = 340
    height: float = 240
    left: float = LEFT
    right: float = RIGHT
    top: float = TOP
    bottom: float = BOTTOM

    def px(self, value: float) -> float:
        return self.left + self.x.at(value) * (self.width - self.left - self.right)

    def py(self, value: float) -> float:
        return self.height - self.bottom - self.y.at(value) * (self.height - self.top - self.bottom)

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
        return [(self.px(x), self.py(y)) for x, y in pairs]

    def panel(self, title: str, marks: Iterable[str], key: str = "", family: str = "") -> Panel:
        """The marks inside their axes."""
        body = [self._grid(), text(self.left, 15, title, "t") if title else "", *marks]
        return Panel(
            self.width, self.height, "".join(body), f"{title}: {self.y.label} against {self.x.label}", key, family
        )

    def _grid(self) -> str:
        right, base = self.width - self.right, self.height - self.bottom
        parts = [line(self.left, self.py(v), right, self.py(v), "g") for v, _ in self.y.ticks]
        parts += [text(self.left - 6, self.py(v) + 3.5, t, "s", "end") for v, t in self.y.ticks]
        parts.append(line(self.left, base, right, base, "g"))
        ticks = sorted((self.px(v), t) for v, t in self.x.ticks)
        parts += [line(place, base, place, base + 4, "g") for place, _ in ticks]
        parts += [text(place, base + 15, label, "s", "middle") for place, label in apart(ticks)]
        middle = (self.left + right) / 2
        parts.append(text(middle, self.height - 7, self.x.label, "s", "middle"))
        y = (self.top + base) / 2
        turned = f'<text class="s" transform="translate(11 {num(y)}) rotate(-90)" text-anchor="middle">'
        return "".join(parts) + turned + escape(self.y.label) + "</text>"


def apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Those whose labels keep their distance from each other, the last and the first before those between."""
    kept: list[tuple[float, str]] = []
    for place, label in [*ticks[-1:], *ticks[:-1]]:
        if all(abs(place - other) > (text_width(label) + text_width(name)) / 2 + 5 for other, name in kept):
            kept.append((place, label))
    return kept


def text_width(content: str, size: float = 11) -> float:
    """About; there is no font to ask."""
    return 0.56 * size * len(content)


def text(x: float, y: float, content: str, css: str = "", anchor: str = "") -> str:
    extra = (f' class="{css}"' if css else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{num(x)}" y="{num(y)}"{extra}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<path class="{css}" d="M{num(x1)} {num(y1)}L{num(x2)} {num(y2)}"/>'


def path(points: Sequence[tuple[float, float]], css: str, dash: str = "") -> str:
    if not points:
        return ""
    d = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in points)
    return f'<path class="{css}" d="{d}"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>"


def area(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], css: str) -> str:
    outline = [*upper, *reversed(lower)]
    return (
        f'<path class="{css}" d="M{"L".join(f"{num(x)} {num(y)}" for x, y in outline)}Z"/>' if upper and lower else ""
    )


def rect(x: float, y: float, width: float, height: float, css: str, extra: str = "") -> str:
    return f'<rect class="{css}" x="{num(x)}" y="{num(y)}" width="{num(width)}" height="{num(height)}"{extra}/>'


def shape(kind: str, x: float, y: float, css: str, r: float = 4.5) -> str:
    """A marker: each family has its own, so that color is never needed."""
    if kind == "circle":
        return f'<circle class="{css}" cx="{num(x)}" cy="{num(y)}" r="{num(r)}"/>'
    if kind == "square":
        return rect(x - 0.88 * r, y - 0.88 * r, 1.76 * r, 1.76 * r, css)
    points = _outline(kind, r)
    return f'<path class="{css}" d="M{"L".join(f"{num(x + dx)} {num(y + dy)}" for dx, dy in points)}Z"/>'


SMALL = 300
"""Panels up to this width stand four in a row on paper."""
BOXES = {
    "bowtie": ((-1.1, -0.9), (0, -0.2), (1.1, -0.9), (1.1, 0.9), (0, 0.2), (-1.1, 0.9)),
    "hourglass": ((-0.9, -1.1), (0.9, -1.1), (0.2, 0), (0.9, 1.1), (-0.9, 1.1), (-0.2, 0)),
    "bar": ((-1.25, -0.5), (1.25, -0.5), (1.25, 0.5), (-1.25, 0.5)),
    "pillar": ((-0.5, -1.25), (0.5, -1.25), (0.5, 1.25), (-0.5, 1.25)),
}
"""Corners of the markers that are no regular polygons, in radii."""


def _outline(kind: str, r: float) -> list[tuple[float, float]]:
    if kind in ("cross", "plus"):
        arm, w = 1.15 * r, 0.38 * r
        plus = [(-w, -arm), (w, -arm), (w, -w), (arm, -w), (arm, w), (w, w), (w, arm), (-w, arm), (-w, w), (-arm, w)]
        plus += [(-arm, -w), (-w, -w)]
        c = math.sqrt(0.5)
        return plus if kind == "plus" else [(c * (x - y), c * (x + y)) for x, y in plus]
    if kind in BOXES:
        return [(r * x, r * y) for x, y in BOXES[kind]]
    corners, turn, inner = {
        "diamond": (4, 0.0, 1.0),
        "triangle": (3, 0.0, 1.0),
        "wedge": (3, math.pi, 1.0),
        "left": (3, -math.pi / 2, 1.0),
        "right": (3, math.pi / 2, 1.0),
        "pentagon": (5, 0.0, 1.0),
        "hexagon": (6, math.pi / 6, 1.0),
        "star": (10, 0.0, 0.45),
    }[kind]
    radii = [1.2 * r * (inner if i % 2 and inner < 1 else 1) for i in range(corners)]
    angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
    return [(q * math.sin(a), -q * math.cos(a)) for q, a in zip(radii, angles, strict=True)]


def mark(body: str, title: str, key: str = "", family: str = "") -> str:
    """A group of marks that belong to one recipe: named on hover, found by the page's script."""
    data = (f' data-r="{key}"' if key else "") + (f' data-f="{html.escape(family)}"' if family else "")
    return f"<g{data}>" + (f"<title>{escape(title)}</title>" if title else "") + body + "</g>"


def standalone(panels: Sequence[Panel], columns: int, legend: Sequence[tuple[str, str]], title: str) -> str:
    """One file of all panels: its own style, background and legend."""
    columns = max(1, min(columns, len(panels)))
    width = max((p.width for p in panels), default=340) * columns
    head, entries = _legend(legend, width)
    body, y = [], head
    for start in range(0, len(panels), columns):
        row = panels[start : start + columns]
        x = 0.0
        for panel in row:
            body.append(f'<g transform="translate({num(x)} {num(y)})">{panel.body}</g>')
            x += max(p.width for p in panels)
        y += max(p.height for p in row)
    size = f'width="{num(width)}" height="{num(y)}" viewBox="0 0 {num(width)} {num(y)}"'
    background = rect(0, 0, width, y, "bg")
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
    return f"{opening}<style>{FILE_CSS}</style>{background}{entries}{''.join(body)}</svg>\n"


def inline(panel: Panel) -> str:
    """A panel for an HTML page, which brings the style."""
    data = (f' data-r="{panel.key}"' if panel.key else "") + (
        f' data-f="{html.escape(panel.family)}"' if panel.family else ""
    )
    size = f'viewBox="0 0 {num(panel.width)} {num(panel.height)}" style="max-width:{num(panel.width * 1.15)}px"'
    small = ' class="small"' if panel.width <= SMALL else ""
    return f'<svg{small} {size} role="img" aria-label="{escape(panel.label)}"{data}>{panel.body}</svg>'


def _legend(entries: Sequence[tuple[str, str]], width: float) -> tuple[float, str]:
    """Height and body of a legend that wraps."""
    if not entries:
        return 0.0, ""
    x, y, parts = 12.0, 18.0, []
    for key, label in entries:
        needed = 34 + text_width(label)
        if x + needed > width and x > 12:
            x, y = 12.0, y + 17
        parts.append(f'<g transform="translate({num(x)} {num(y - 9)})">{key}</g>{text(x + 27, y, label, "s")}')
        x += needed + 8
    return y + 12, "".join(parts)


def key_line(css: str, dash: str = "") -> str:
    """A legend's sample of a line, 22 by 12."""
    return path([(1, 6), (21, 6)], css, dash)


def key_shape(kind: str, css: str) -> str:
    return shape(kind, 11, 6, css)
