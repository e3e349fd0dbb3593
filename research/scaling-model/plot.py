"""Draws two policies side by side under one load, as an SVG written by hand.

Two columns, one for each policy, of four charts: arrivals, backlog, workers, latency. Charts of a row share their scale,
so that the eye may compare them. The colours are of Okabe and Ito's palette, which colour-blind people can tell
apart, and of two lines in a chart one is dashed.
"""

import dataclasses
import math
from xml.sax.saxutils import escape

import model

WIDTH = 900
LEFT, RIGHT, GUTTER = 66, 14, 26
TOP, ROW_HEIGHT, CHART_HEIGHT = 84, 148, 96
CHART_WIDTH = (WIDTH - LEFT - RIGHT - GUTTER) / 2
BUCKET_SECONDS = 20
SECONDS_BEFORE = 300  # of the burst, that are shown
SECONDS_AFTER = 2700
# Where a vertical axis may end, times a power of ten, and in how many parts it is divided.
AXIS_ENDS = {1: 5, 1.2: 4, 1.5: 3, 2: 4, 3: 3, 4: 4, 5: 5, 6: 3, 8: 4, 10: 5}

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#595959"
INK, GRID, BURST = "#222222", "#dddddd", "#f3efe2"


@dataclasses.dataclass
class Line:
    name: str
    colour: str
    points: list  # (seconds since the burst's start, value), in order
    dashed: bool = False
    steps: bool = False


def compare_policies(settings, load, seed):
    """The SVG of a run that follows the backlog and one that follows CPU."""
    columns = []
    for policy in ("backlog", "cpu"):
        result = model.simulate(dataclasses.replace(settings, policy=policy), load, seed)
        columns.append((column_title(result), rows_of(result)))
    parts = [heading(settings, load)]
    row_count = len(columns[0][1])
    for row in range(row_count):
        titles = [rows[row][0] for _, rows in columns]
        lines = [rows[row][1] for _, rows in columns]
        scale = axis_of(max(value for chart in lines for line in chart for _, value in line.points))
        for column, chart in enumerate(lines):
            parts.append(draw_chart(column, row, titles[column], chart, scale, load, last=row == row_count - 1))
    parts += [text(left_of(column), TOP - 12, title, "col") for column, (title, _) in enumerate(columns)]
    height = TOP + row_count * ROW_HEIGHT + 10
    return "\n".join([opening(height), *parts, "</svg>"]) + "\n"


# What is drawn


def column_title(result):
    settings = result.settings
    if settings.policy == "backlog":
        return f"It follows the backlog: {settings.backlog_target:g} messages a worker"
    return f"It follows CPU: {settings.cpu_target:g} %"


def rows_of(result):
    """The four charts of a column: a title and its lines."""
    start = result.load.burst_start

    def sampled(value, every=1):
        return [(s.time - start, value(s)) for s in result.samples[::every] if is_shown(s.time - start)]

    return [
        ("Arrivals, jobs a second", [Line("arrivals", GREY, arrivals(result))]),
        ("Backlog, messages", [Line("visible in the queue", BLUE, sampled(lambda s: s.backlog, every=2))]),
        (
            "Workers",
            [
                Line("asked for", ORANGE, changes(sampled(lambda s: s.desired)), dashed=True, steps=True),
                Line("in service", GREEN, changes(sampled(lambda s: s.in_service)), steps=True),
            ],
        ),
        (
            "Latency by time of arrival, s",
            [Line(f"p95 of each {BUCKET_SECONDS} s", BLUE, latencies(result, 95))],
        ),
    ]


def is_shown(seconds):
    return -SECONDS_BEFORE <= seconds <= SECONDS_AFTER


def buckets(result):
    """The latencies of the jobs that arrived in each stretch of time, by its start."""
    found = {}
    for arrived_at, latency in result.jobs:
        since = arrived_at - result.load.burst_start
        if is_shown(since):
            found.setdefault(since // BUCKET_SECONDS * BUCKET_SECONDS, []).append(latency)
    return sorted(found.items())


def arrivals(result):
    return [(at + BUCKET_SECONDS / 2, len(jobs) / BUCKET_SECONDS) for at, jobs in buckets(result)]


def latencies(result, percent):
    return [(at + BUCKET_SECONDS / 2, model.percentile(sorted(jobs), percent)) for at, jobs in buckets(result)]


def changes(points):
    """Without the points that say the same as the one before; the last stays."""
    kept = [point for before, point in zip([None, *points], points, strict=False) if before is None or before[1] != point[1]]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def axis_of(value):
    """Where the axis ends that has room for `value`, and in how many parts it is divided."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return next((end * power, parts) for end, parts in AXIS_ENDS.items() if end * power >= value)


def short(value):
    """An axis label: 200000 is 200k."""
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:,g}"


# How it is drawn


def left_of(column):
    return LEFT + column * (CHART_WIDTH + GUTTER)


def opening(height):
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<style>
text {{ font-family: "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; font-size: 12px; fill: {INK} }}
.head {{ font-size: 16px; font-weight: bold }} .col {{ font-size: 14px; font-weight: bold }}
.axis {{ font-size: 11px; fill: {GREY} }} .end {{ text-anchor: end }} .mid {{ text-anchor: middle }}
path {{ fill: none; stroke-width: 2; stroke-linejoin: round }} line {{ stroke: {GRID} }}
</style>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>"""


def heading(settings, load):
    minutes = load.burst_seconds / 60
    title = f"A burst from {load.base_rate:g} to {load.burst_rate:,g} pictures a second, for {minutes:g} minutes"
    subtitle = (
        f"{settings.minimum} to {settings.maximum} workers of {settings.jobs_per_second():g} jobs/s each; metric every "
        f"{settings.period_seconds:g} s, seen {settings.metric_lag_seconds:g} s later; boot {settings.boot_seconds:g} s"
    )
    return text(LEFT, 22, title, "head") + "\n" + text(LEFT, 41, subtitle, "axis")


def text(x, y, words, kind, colour=None):
    style = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}"{style}>{escape(words)}</text>'


def draw_chart(column, row, title, lines, scale, load, last):
    left, top = left_of(column), TOP + row * ROW_HEIGHT + 22
    bottom = top + CHART_HEIGHT

    def x(seconds):
        return left + (seconds + SECONDS_BEFORE) / (SECONDS_AFTER + SECONDS_BEFORE) * CHART_WIDTH

    def y(value):
        return bottom - value / scale[0] * CHART_HEIGHT

    burst_end = min(load.burst_seconds, SECONDS_AFTER)
    parts = [
        f'<rect x="{x(0):.1f}" y="{top}" width="{x(burst_end) - x(0):.1f}" height="{CHART_HEIGHT}" fill="{BURST}"/>',
        text(left, top - 8, title, "label"),
        legend(left + CHART_WIDTH, top - 8, lines),
    ]
    parts += vertical_axis(left, y, scale, labels=column == 0)
    parts += time_axis(x, bottom, labels=last)
    parts += [f'<path d="{path_of(line, x, y)}" stroke="{line.colour}"{dash(line)}/>' for line in lines]
    return "\n".join(parts)


def legend(right, y, lines):
    """The lines' names, each after a piece of it, from the right; one line needs none."""
    if len(lines) == 1:
        return text(right, y, lines[0].name, "end", lines[0].colour)
    parts = []
    for line in lines:
        parts.append(text(right, y, line.name, "end", line.colour))
        right -= 6.3 * len(line.name) + 6
        parts.append(f'<path d="M{right - 22:.1f} {y - 4:.1f}h22" stroke="{line.colour}"{dash(line)}/>')
        right -= 38
    return "\n".join(parts)


def dash(line):
    return ' stroke-dasharray="6 3"' if line.dashed else ""


def vertical_axis(left, y, scale, labels):
    end, count = scale
    parts = []
    for value in (end * part / count for part in range(count + 1)):
        parts.append(f'<line x1="{left:.1f}" x2="{left + CHART_WIDTH:.1f}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        if labels:
            parts.append(text(left - 7, y(value) + 4, short(value), "axis end"))
    return parts


def time_axis(x, bottom, labels):
    parts = []
    for minutes in range(-SECONDS_BEFORE // 60, SECONDS_AFTER // 60 + 1, 5):
        at = x(minutes * 60)
        parts.append(f'<path d="M{at:.1f} {bottom}v4" style="stroke:{GREY};stroke-width:1"/>')
        if minutes % 10 == 0:
            parts.append(text(at, bottom + 17, f"{minutes}", "axis mid"))
    if labels:
        middle = x((SECONDS_AFTER - SECONDS_BEFORE) / 2)
        parts.append(text(middle, bottom + 33, "minutes since the burst began (shaded while it lasts)", "axis mid"))
    return parts


def path_of(line, x, y):
    (first, value), *others = line.points
    parts = [f"M{x(first):.1f} {y(value):.1f}"]
    for seconds, value in others:
        parts.append(f"H{x(seconds):.1f}V{y(value):.1f}" if line.steps else f"L{x(seconds):.1f} {y(value):.1f}")
    return "".join(parts)
