"""The charts of the results, as SVG that loads nothing."""

import html
import io
import math

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot, ticker  # noqa: E402

from report import curves, nanoseconds, relative  # noqa: E402

# Text stays text in the SVG, and equal results give equal pages.
pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hakmem", "font.family": "sans-serif", "font.size": 10})

# Markers tell the allocators apart without colour, and HAKMEM has a hue of its own. The contrast is
# 3 or more with a white page and with a dark one.
MARKERS = ["D", "o", "s", "^", "v", "P", "X", "*"]
INK = "#7b7b7b"
COLOURS = ["#d0373d", "#767676", "#1f7fc0", "#009e73", "#c77c00", "#9a55b8", "#3d92c9", "#a5691f"]


def svg_of(picture):
    """The chart as an SVG element for a page: without the prolog, which only a file of its own
    has."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    picture.savefig(stream, format="svg", bbox_inches="tight", metadata=nothing)
    pyplot.close(picture)
    text = stream.getvalue()
    return text[text.index("<svg"):]


def relative_time(row, name):
    """(median, least, most) of the time that this allocator needs, divided by HAKMEM's median."""
    of, ours = row["allocators"][name], row["allocators"]["hakmem"]["median"]
    if row["unit"] == "s":
        return of["median"] / ours, of["min"] / ours, of["max"] / ours
    return ours / of["median"], ours / of["max"], ours / of["min"]


def ticks(least, most):
    """Powers of two. Of many powers only every second or third one; of few also 0.7 and 1.4
    between them."""
    octaves = math.log2(most / least)
    step = math.ceil(octaves / 7)
    powers = [2.0 ** (step * number) for number in range(-12, 13)]
    return powers + [0.7, 1.4] if octaves < 4 else powers


def grid_only(axis):
    axis.grid(True, axis="both", color=INK, alpha=0.25, linewidth=0.7)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(length=0)


def logarithmic(axis, title, colour=COLOURS[0]):
    """Gives the axis a logarithmic scale of factors; 1 is always in sight, as a line of this
    colour."""
    axis.set_xscale("log", base=2)
    least, most = axis.get_xlim()
    least, most = min(least, 0.65), max(most, 1.5)
    axis.set_xlim(least, most)
    axis.xaxis.set_major_locator(ticker.FixedLocator(ticks(least, most)))
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.axvline(1, color=colour, linewidth=1)
    axis.set_title(title, fontsize=11)


def style_of(number, name, line="none"):
    """How matplotlib draws the allocator with this number; 0 is HAKMEM."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 7,
            "linestyle": line, "label": name, "zorder": 5 if number == 0 else 3}


def errors(spread):
    """matplotlib's distances below and above each median, from (median, least, most)."""
    return [[middle - least for middle, least, _ in spread], [most - middle for middle, _, most in spread]]


def legend(picture, axis, bottom):
    """Draws the legend into the lowest `bottom` inches of the picture; the axes get the rest."""
    handles, labels = axis.get_legend_handles_labels()
    picture.legend(handles, labels, loc="lower center", ncol=len(labels), frameon=False, bbox_to_anchor=(0.5, -0.01))
    picture.tight_layout(rect=(0, bottom / picture.get_figheight(), 1, 1))


def chart(rows):
    """Time and peak memory side by side, a line for each row. Right of 1: the allocator needs more
    than HAKMEM."""
    picture, (times, peaks) = pyplot.subplots(1, 2, sharey=True, figsize=(11.5, 1.4 + 0.36 * len(rows)))
    for number, name in enumerate(rows[0]["allocators"]):
        style = style_of(number, name)
        spread = [relative_time(row, name) for row in rows]
        times.errorbar([middle for middle, _, _ in spread], range(len(rows)), elinewidth=1, xerr=errors(spread),
                       **style)
        peaks.plot([row["allocators"][name]["peak_kib"] / row["allocators"]["hakmem"]["peak_kib"] for row in rows],
                   range(len(rows)), **style)
    logarithmic(times, "time, HAKMEM = 1 (median; line: fastest to slowest run)")
    logarithmic(peaks, "peak resident memory, HAKMEM = 1")
    grid_only(times)
    grid_only(peaks)
    times.set_yticks(range(len(rows)), [row["name"] for row in rows])
    times.set_ylim(len(rows) - 0.5, -0.5)
    legend(picture, times, 0.55)
    return svg_of(picture)


def in_short(amount):
    for unit, factor in (("M", 1_000_000), ("k", 1000)):
        if amount % factor == 0:
            return f"{amount // factor} {unit}"
    return str(amount)


def chart_of_growth(rows):
    """The time of one operation over the amount, a part for each thing that grows. A flat line: no
    growth."""
    parts = curves(rows)
    picture, axes = pyplot.subplots(1, len(parts), sharey=True, squeeze=False, figsize=(11.5, 4.4))
    for axis, (grows, members) in zip(axes[0], parts.items()):
        for number, name in enumerate(members[0]["allocators"]):
            spread = [nanoseconds(row, name) for row in members]
            axis.errorbar([row["amount"] for row in members], [middle for middle, _, _ in spread], elinewidth=1,
                          yerr=errors(spread), **style_of(number, name, "solid"))
        axis.set_xscale("log", base=10)
        amounts = [row["amount"] for row in members]
        axis.set_xticks(amounts, [in_short(amount) for amount in amounts])
        axis.xaxis.set_minor_locator(ticker.NullLocator())
        axis.set_title(grows, fontsize=11)
        grid_only(axis)
    axes[0][0].set_ylabel("ns per operation (median; line: fastest to slowest run)")
    axes[0][0].set_ylim(bottom=0)
    legend(picture, axes[0][0], 0.4)
    return svg_of(picture)


# ---- the picture of README.md --------------------------------------------------------------------

SUMMARY_BASE = "mimalloc"
SUMMARY_SUITES = ("micro", "threads", "memory", "large", "programs")


def summarise(rows):
    """{suite: {allocator: (speed, peak memory)}} relative to SUMMARY_BASE, for each suite that has
    rows."""
    suites = {suite: [row for row in rows if row["suite"] == suite] for suite in SUMMARY_SUITES}
    return {suite: relative(members, SUMMARY_BASE) for suite, members in suites.items() if members}


def in_words(summary):
    """The figures of the picture in words, for readers who cannot see it."""
    text = []
    for what, number in (("Throughput", 0), ("Peak memory", 1)):
        suites = (f"{suite}: " + ", ".join(f"{name} {of[name][number]:.2f}" for name in of)
                  for suite, of in summary.items())
        text.append(f"{what} relative to {SUMMARY_BASE}, geometric means. {'; '.join(suites)}.")
    return " ".join(text)


def source_of(results, rows):
    share = "" if results["scale"] == 1 else f", {results['scale']:g} of the full work"
    return (f"geometric means of {len(rows)} rows, {results['rounds']} rounds{share}; "
            f"{results['machine']['cores']} cores, {results['date'][:10]}")


def draw_summary(summary, source):
    with pyplot.rc_context({"text.color": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK}):
        picture, panels = pyplot.subplots(1, 2, sharey=True, figsize=(9, 1.6 + 0.34 * len(summary)))
        for number, name in enumerate(next(iter(summary.values()))):
            for panel, axis in enumerate(panels):
                axis.plot([of[name][panel] for of in summary.values()], range(len(summary)), **style_of(number, name))
        for axis, title in zip(panels, ("throughput: right is faster", "peak memory: left is less")):
            logarithmic(axis, f"{title}, {SUMMARY_BASE} = 1", INK)
            grid_only(axis)
        panels[0].set_yticks(range(len(summary)), list(summary))
        panels[0].set_ylim(len(summary) - 0.5, -0.5)
        legend(picture, panels[0], 0.6)
        picture.text(0.5, 0.33 / picture.get_figheight(), source, ha="center", fontsize=8.5)
        picture.patch.set_visible(False)  # no background: the page's own shows, white or dark
        for axis in panels:
            axis.patch.set_visible(False)
        return svg_of(picture)


def summary_file(results):
    """The picture, as the text of an SVG file, and the same in words."""
    rows = [row for row in results["rows"] if row["suite"] in SUMMARY_SUITES]
    if not rows or SUMMARY_BASE not in rows[0]["allocators"]:
        raise LookupError(f"no figures of {SUMMARY_BASE} in the suites {', '.join(SUMMARY_SUITES)}")
    summary = summarise(rows)
    words = in_words(summary)
    begin, rest = draw_summary(summary, source_of(results, rows)).split(">", 1)
    return (f'<?xml version="1.0" encoding="utf-8"?>\n{begin} role="img" aria-labelledby="words">'
            f'\n <title id="words">{html.escape(words)}</title>{rest}', words)
