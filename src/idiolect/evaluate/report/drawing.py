"""Conversion of a matplotlib figure to SVG inside the page; only this module and the plots' functions use matplotlib.

    plots (what is drawn) → drawn → SVG → report

Colours are placeholders that become the page's CSS variables, so that one drawing works in light and dark mode. Text
stays text, in the page's font. Every id gets the plot's name as prefix, so that plots do not collide. The same input
gives the same bytes: the user's matplotlib settings are ignored, and there are no dates. Names are never read as
mathematics.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from idiolect.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
OWN, ANOTHER = "#0a0b05", "#0a0b06"
SERIES = ("#0a0b07", "#0a0b08", "#0a0b09", "#0a0b0c", "#0a0b0d", "#0a0b0e", "#0a0b0f")
"""Placeholders for colours, which style.css defines."""
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", OWN: "own", ANOTHER: "another"} | {
    colour: f"series-{n}" for n, colour in enumerate(SERIES, 1)
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 12,
    "axes.unicode_minus": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.labelsize": 12,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def drawn(draw: Callable[[Figure], None], name: str, *, label: str, width: int, height: int) -> str:
    """Return one plot as an `<svg>` element.

    Args:
        draw: draws the plot.
        name: name of the plot, unique in the page; letters and "-".
        label: description of the plot, for people who cannot see it.
        width, height: size in CSS pixels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("the report's plots need matplotlib: pip install 'idiolect[evaluate]'") from error
    written = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")  # the page's fonts have more glyphs
        matplotlib.rcdefaults()
        settings: Any = matplotlib.rcParams
        settings.update(_SETTINGS | {"svg.hashsalt": name})
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        draw(figure)
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}" style="--width: {width}px">'
    return opening + _inlined(written.getvalue(), name)


NARROW = 360
"""Width of a drawing for a phone, in CSS pixels: it is shown at about its own size on a screen of 400."""


def drawn_twice(
    draw: Callable[[Figure, bool], None], name: str, *, label: str, wide: tuple[int, int], height: int
) -> tuple[str, str]:
    """Return one plot as two `<svg>` elements: for a wide screen, and for a phone.

    Args:
        draw: draws the plot; its second argument is whether the drawing is the narrow one.
        name, label: see `drawn`.
        wide: size of the wide one in CSS pixels.
        height: height of the narrow one in CSS pixels.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    first = drawn(lambda figure: draw(figure, False), name, label=label, width=wide[0], height=wide[1])
    return first, drawn(lambda figure: draw(figure, True), f"{name}-narrow", label=label, width=NARROW, height=height)


def wrapped(text: str, narrow: bool) -> str:
    """Return a label of an axis, on several lines if the drawing is narrow."""
    return textwrap.fill(text, 46) if narrow else text


_TAG = re.compile(r"<[^!?][^>]*>")


def _inlined(svg: str, name: str) -> str:
    """Return the content of a file's `<svg>` element, adapted for the page."""
    inner = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inner = re.sub(r"<style.*?</style>|<!--.*?-->", "", inner, flags=re.DOTALL)
    return _TAG.sub(lambda tag: _adapted(tag[0], name), inner).strip()


def _adapted(tag: str, name: str) -> str:
    """Return a tag with the page's colours and font, and with unique ids."""
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r" transform=\"rotate\(-?0 [^\"]*\"", "", tag)
    tag = re.sub(r"#0a0b0[0-9a-f]", lambda found: f"var(--{_VARIABLES[found[0]]})", tag)
    tag = re.sub(r"\b(?:xlink:)?href=\"#", f'href="#{name}-', tag).replace("url(#", f"url(#{name}-")
    tag = re.sub(r"^<g id=\"[^\"]*\"", "<g", tag)  # nothing refers to groups
    return re.sub(r"\n(?=[LCQMzZ\"])", " ", re.sub(r"\bid=\"", f'id="{name}-', tag))


def plain_axes(axes: Axes, *, grid: str = "x") -> None:
    """Remove the frame except for the axis with a scale, and draw fine grid lines for it."""
    axes.spines["left" if grid == "x" else "bottom"].set_visible(grid != "x")
    axes.tick_params(axis="y" if grid == "x" else "x", length=0 if grid == "x" else 3.5)
    axes.grid(visible=True, axis="x" if grid == "x" else "y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places as near as possible to those wanted, at least `gap` apart, and within the limits if possible."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, int]] = []  # centre and number of labels that stand close together
    for i in order:
        centre, size = wanted[i], 1
        while blocks and centre - size * gap / 2 < blocks[-1][0] + blocks[-1][1] * gap / 2:
            other, more = blocks.pop()
            centre, size = (centre * size + other * more) / (size + more), size + more
        blocks.append((centre, size))
    places = [centre + (k - (size - 1) / 2) * gap for centre, size in blocks for k in range(size)]
    count = len(places)
    for k in range(count - 1, -1, -1):
        places[k] = min(places[k], high - (count - 1 - k) * gap)
    for k in range(count):
        places[k] = max(places[k], low + k * gap)
    return [places[order.index(i)] for i in range(count)]


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A text at the right edge, with a line to a point."""

    x: float
    y: float
    text: str
    colour: str


def label_at_right(axes: Axes, labels: Sequence[EndLabel], height: int) -> None:
    """Write texts in a column to the right of the axes, which are about `height` pixels high, without overlap."""
    low, high = axes.get_ylim()
    shares = [(label.y - low) / (high - low) for label in labels]
    places = spread(shares, 15 / height, 0.0, 1.0)
    for label, place in zip(labels, places, strict=True):
        axes.annotate(
            label.text,
            xy=(label.x, label.y),
            xytext=(1.03, place),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=11,
            arrowprops={
                "arrowstyle": "-",
                "color": label.colour,
                "linewidth": 0.8,
                "linestyle": (0, (1, 2)),
                "alpha": 0.7,
                "patchA": None,
                "shrinkA": 3,
                "shrinkB": 0,
                "relpos": (0.0, 0.5),
            },
        )
