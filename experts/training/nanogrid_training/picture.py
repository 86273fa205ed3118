"""The picture in a card: accuracy, size and time of an expert's sizes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from html import escape

NAME = "curve.svg"
WIDTH, HEIGHT, MARGIN = 640, 360, 60
AREA_PER_MB = 40.0


@dataclass(frozen=True)
class Point:
    name: str
    value: float
    low: float
    high: float
    megabytes: float
    cpu_us: float
    shipped: bool = False

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def draw(points: list[Point], title: str, tokens: int) -> str:
    """An SVG: CPU time to the right, the metric upwards, the size as the area of the dot."""
    left, right = (f(math.log10(point.cpu_us) for point in points) for f in (min, max))
    left, right = left - 0.15, right + 0.35
    low, high = (f(point.value for point in points) for f in (min, max))
    room = max(0.01, (high - low) * 0.15)
    low, high = low - room, min(1.0, high + room)

    def x(cpu_us: float) -> float:
        return MARGIN + (math.log10(cpu_us) - left) / (right - left) * (WIDTH - 2 * MARGIN)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for i in range(5):
        value = low + (high - low) * i / 4
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y(value):.0f}" y2="{y(value):.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y(value) + 4:.0f}" text-anchor="end">{100 * value:.1f}</text>')
    for mark in (mark * 10**power for power in range(5) for mark in (1, 2, 5)):
        if left <= math.log10(mark) <= right:
            parts.append(f'<text x="{x(mark):.0f}" y="{HEIGHT - MARGIN + 18}" text-anchor="middle">{mark:,}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 14}" text-anchor="middle">CPU microseconds at {tokens} tokens</text>')
    parts.append(f'<text x="{MARGIN}" y="{MARGIN - 24}">{escape(title)}, %; the area of a dot is its size</text>')
    for point in points:
        colour = "#d1495b" if point.shipped else "#30638e"
        radius = math.sqrt(AREA_PER_MB * max(point.megabytes, 0.3) / math.pi)
        parts.append(f'<circle cx="{x(point.cpu_us):.1f}" cy="{y(point.value):.1f}" r="{radius:.1f}" fill="{colour}" '
                     'fill-opacity="0.7"/>')
        parts.append(f'<text x="{x(point.cpu_us) + radius + 4:.0f}" y="{y(point.value) + 4:.0f}" fill="{colour}">'
                     f'{escape(point.name)}, {point.megabytes:.1f} MB</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
