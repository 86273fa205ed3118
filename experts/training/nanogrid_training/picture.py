"""The picture in a card: accuracy, size and time of an expert's sizes."""

from __future__ import annotations

import math
import string
from dataclasses import asdict, dataclass
from html import escape

NAME = "curve.svg"
WIDTH, PLOT_HEIGHT, MARGIN, LINE = 640, 340, 60, 18
AREA_PER_MB = 60.0
SHIPPED, OTHER = "#d1495b", "#30638e"


@dataclass(frozen=True)
class Point:
    name: str
    value: float
    low: float
    high: float
    megabytes: float
    cpu_us: float
    version: int | None = None  # that it is shipped as

    def title(self) -> str:
        return f"version {self.version}: {self.name}" if self.version else self.name

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def draw(points: list[Point], title: str, tokens: int) -> str:
    """An SVG: CPU time to the right, the metric upwards, the size as the area of the dot; names stand below, by letter."""
    points = sorted(points, key=lambda point: point.cpu_us)
    left = math.log10(points[0].cpu_us) - 0.15
    right = math.log10(points[-1].cpu_us) + 0.15
    step = _step(max(point.value for point in points) - min(point.value for point in points))
    low = step * math.floor(min(point.value for point in points) / step)
    high = step * math.ceil(max(point.value for point in points) / step + 0.2)

    def x(cpu_us: float) -> float:
        return MARGIN + (math.log10(cpu_us) - left) / (right - left) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return PLOT_HEIGHT - MARGIN - (value - low) / (high - low) * (PLOT_HEIGHT - 2 * MARGIN)

    height = PLOT_HEIGHT + LINE * len(points)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
             _text(MARGIN, MARGIN - 24, f"{title}, %; the area of a dot is its size in MB"),
             _text(WIDTH / 2, PLOT_HEIGHT - 18, f"CPU microseconds at {tokens} tokens", "middle")]
    for i in range(round((high - low) / step) + 1):
        at = low + i * step
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(at):.0f}" y2="{y(at):.0f}" stroke="#ddd"/>')
        parts.append(_text(MARGIN - 6, y(at) + 4, f"{100 * at:.4g}", "end"))
    for mark in (mark * 10**power for power in range(5) for mark in (1, 2, 5)):
        if left <= math.log10(mark) <= right:
            parts.append(_text(x(mark), PLOT_HEIGHT - MARGIN + 18, f"{mark:,}", "middle"))
    for i, (letter, point) in enumerate(zip(string.ascii_uppercase, points)):
        colour = SHIPPED if point.version else OTHER
        radius = math.sqrt(AREA_PER_MB * max(point.megabytes, 0.3) / math.pi)
        parts.append(f'<circle cx="{x(point.cpu_us):.1f}" cy="{y(point.value):.1f}" r="{radius:.1f}" fill="{colour}" '
                     'fill-opacity="0.6"/>')
        parts.append(_text(x(point.cpu_us), y(point.value) - radius - 3, letter, "middle", colour))
        parts.append(_text(MARGIN, PLOT_HEIGHT + LINE * i,
                           f"{letter}: {point.title()}, {point.megabytes:.1f} MB", fill=colour))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _step(span: float) -> float:
    """The distance of the lines: a round share, four to eight of which span the values."""
    return next((step for step in (0.0025, 0.005, 0.01, 0.02, 0.05) if span / step <= 7), 0.1)


def _text(x: float, y: float, text: str, anchor: str = "start", fill: str = "black") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{fill}">{escape(text)}</text>'
