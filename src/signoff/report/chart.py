"""A confidence interval drawn against its limit, as SVG that needs neither style sheet nor script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from markupsafe import Markup

from signoff.record import Criterion
from signoff.report.wording import interval, required

_WIDTH: Final = 240
_HEIGHT: Final = 34
_PADDING: Final = 0.12
_LABEL_ROOM: Final = 60  # closer to an edge than this, a centred label would be cut

_SVG: Final = Markup(
    '<svg viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"><title>{title}</title>'
    '<rect x="{x}" y="2" width="{allowed}" height="16" fill="#e3eee6"/>'
    '<path d="M{low} 10H{high}M{low} 6v8M{high} 6v8" stroke="currentColor" stroke-width="2" fill="none"/>'
    "{point}"
    '<path d="{limits}" stroke="#1b1b19" stroke-width="1.5"/>'
    '<text x="{label_x}" y="31" font-size="11" fill="#1b1b19" text-anchor="{anchor}">{label}</text></svg>'
)
_POINT: Final = Markup('<circle cx="{}" cy="10" r="4" fill="currentColor"/>')


def interval_chart(criterion: Criterion) -> Markup:
    """The interval with its point estimate, the limit as a line with its value, and the side that is allowed.

    Empty for a criterion without an interval or with a limit that is not a number.
    """
    limit = criterion.limit
    limits = _numbers(limit if isinstance(limit, list | tuple) else [limit])
    if criterion.interval is None or not limits:
        return Markup("")
    low, high = criterion.interval
    points = _numbers([criterion.measured])
    everything = [low, high, *points, *limits]
    padding = (max(everything) - min(everything)) * _PADDING or 1.0
    start, end = min(everything) - padding, max(everything) + padding

    def across(value: float) -> float:
        return round((value - start) / (end - start) * _WIDTH, 1)

    first, last = across(limits[0]), across(limits[-1])
    allowed = {">=": (first, _WIDTH), ">": (first, _WIDTH), "<=": (0, first), "<": (0, first)}
    left, right = allowed.get(criterion.comparison, (first, last))
    label_x, anchor = _label_place(first)
    return _SVG.format(
        w=_WIDTH,
        h=_HEIGHT,
        title=f"{interval(criterion)}; required {required(criterion, limit)}",
        x=left,
        allowed=round(right - left, 1),
        low=across(low),
        high=across(high),
        point=Markup("").join(_POINT.format(across(point)) for point in points),
        limits="".join(f"M{across(end)} 0v20" for end in limits),
        label_x=label_x,
        anchor=anchor,
        label=required(criterion, limit),
    )


def _label_place(position: float) -> tuple[float, str]:
    if position < _LABEL_ROOM:
        return position, "start"
    if position > _WIDTH - _LABEL_ROOM:
        return position, "end"
    return position, "middle"


def _numbers(values: Iterable[object]) -> list[float]:
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
