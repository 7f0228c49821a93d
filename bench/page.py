"""The results as one HTML page that loads nothing: charts as SVG in the page itself, and all figures in tables."""

import html
import io
import math

import matplotlib

matplotlib.use("svg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot, ticker  # noqa: E402

from report import figure, peers_of, speed_over_best  # noqa: E402

# Text stays text, and equal results give equal pages.
pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hakmem", "font.family": "sans-serif", "font.size": 10})

# Told apart without colour too, and one hue for us.
MARKERS = ["D", "o", "s", "^", "v", "P", "X", "*"]
COLOURS = ["#c1272d", "#1b1b1b", "#0072b2", "#009e73", "#e69f00", "#7b3294", "#56b4e9", "#8c510a"]

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222; }
h2 { margin-top: 2em; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; margin: 1em 0; }
th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; } tr.first td { border-top: 2px solid #999; }
.behind { color: #c1272d; font-weight: bold; } .ahead { color: #1a7f37; font-weight: bold; }
code { background: #f3f3f3; padding: 0 3px; }
"""


def svg_of(picture):
    """The chart as an element of the page: without the prolog that only a file of its own has."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    picture.savefig(stream, format="svg", bbox_inches="tight", metadata=nothing)
    pyplot.close(picture)
    text = stream.getvalue()
    return text[text.index("<svg"):]


def relative_time(row, name):
    """(median, least, most) of the time that this allocator needs, HAKMEM's median being 1."""
    of, ours = row["allocators"][name], row["allocators"]["hakmem"]["median"]
    if row["unit"] == "s":
        return of["median"] / ours, of["min"] / ours, of["max"] / ours
    return ours / of["median"], ours / of["max"], ours / of["min"]


def ticks(least, most):
    """Powers of two, every second or third one where they are many; also some between 1/2 and 2 where they are few."""
    octaves = math.log2(most / least)
    step = math.ceil(octaves / 7)
    powers = [2.0 ** (step * number) for number in range(-12, 13)]
    return powers + [0.7, 1.4] if octaves < 4 else powers


def logarithmic(axis, title):
    axis.set_xscale("log", base=2)
    least, most = axis.get_xlim()
    least, most = min(least, 0.65), max(most, 1.5)
    axis.set_xlim(least, most)
    axis.xaxis.set_major_locator(ticker.FixedLocator(ticks(least, most)))
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    axis.axvline(1, color=COLOURS[0], linewidth=1)
    axis.grid(True, axis="both", color="#e4e4e4", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.set_title(title, fontsize=11)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.tick_params(length=0)


def chart(rows):
    """Time and peak memory side by side, a line for each row: who is right of 1 needs more than HAKMEM."""
    names = list(rows[0]["allocators"])
    picture, (times, peaks) = pyplot.subplots(1, 2, sharey=True, figsize=(11.5, 1.4 + 0.36 * len(rows)))
    for number, name in enumerate(names):
        style = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 7,
                 "linestyle": "none", "label": name, "zorder": 5 if number == 0 else 3}
        spread = [relative_time(row, name) for row in rows]
        times.errorbar([middle for middle, _, _ in spread], range(len(rows)), elinewidth=1, **style,
                       xerr=[[middle - least for middle, least, _ in spread],
                             [most - middle for middle, _, most in spread]])
        peaks.plot([row["allocators"][name]["peak_kib"] / row["allocators"]["hakmem"]["peak_kib"] for row in rows],
                   range(len(rows)), **style)
    logarithmic(times, "time, HAKMEM = 1 (median; line: fastest to slowest run)")
    logarithmic(peaks, "peak resident memory, HAKMEM = 1")
    times.set_yticks(range(len(rows)), [row["name"] for row in rows])
    times.set_ylim(len(rows) - 0.5, -0.5)
    handles, labels = times.get_legend_handles_labels()
    picture.legend(handles, labels, loc="lower center", ncol=len(names), frameon=False, bbox_to_anchor=(0.5, -0.01))
    picture.tight_layout(rect=(0, 0.55 / picture.get_figheight(), 1, 1))
    return svg_of(picture)


def cell(value, better_above):
    """A ratio to HAKMEM's favour in one colour, to its disfavour in another; within 2 % in neither."""
    gain = value if better_above else 1 / value
    state = "ahead" if gain > 1.02 else "behind" if gain < 0.98 else ""
    return f'<td class="{state}">{value:.2f}</td>'


def table_of_means(means):
    columns = list(means["all"]["speed"])
    text = ["<table><tr><th>suite</th>" + "".join(f"<th colspan=2>{html.escape(name)}</th>" for name in columns)
            + "</tr>"
            "<tr><th></th>" + "<th>speed</th><th>memory</th>" * len(columns) + "</tr>"]
    for suite, of in means.items():
        text.append(f"<tr><td>{suite} ({of['rows']} rows)</td>" + "".join(
            cell(of["speed"][name], True) + cell(of["peak"][name], False) for name in columns) + "</tr>")
    return "".join(text) + "</table>"


def table_of_rows(rows):
    unit = rows[0]["unit"]
    text = [f"<table><tr><th>row</th><th>allocator</th><th>{'Mops/s' if unit == 'ops/s' else 'seconds'}</th><th>spread"
            "</th><th>HAKMEM ÷ this</th><th>peak MiB</th><th>minor faults</th><th>mappings</th></tr>"]
    for row in rows:
        for name, of in row["allocators"].items():
            first = name == "hakmem"
            title = f"{html.escape(row['name'])}<br><code>{html.escape(' '.join(row['command']))}</code>"
            text.append(
                f"<tr{' class=first' if first else ''}>"
                + (f"<td rowspan={len(row['allocators'])}>{title}</td>" if first else "")
                + f"<td>{html.escape(name)}</td><td>{figure(of['median'], unit)}</td>"
                f"<td>{figure(of['min'], unit)}–{figure(of['max'], unit)}</td>"
                + ("<td></td>" if first else cell(of["hakmem_ratio"], True))
                + f"<td>{of['peak_kib'] / 1024:.1f}</td><td>{of['minor_faults']}</td><td>{of['mappings']}</td></tr>")
    return "".join(text) + "</table>"


def page(results):
    rows = results["rows"]
    machine = results["machine"]
    slower = [row for row in rows if speed_over_best(row) < 1 / 1.05]
    files = results["libraries"]
    libraries = ", ".join(f"{name} ({files[name]})" if name in files else name for name in peers_of(rows[0]))
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>HAKMEM benchmark</title>",
        "<meta name=viewport content='width=device-width'>",
        f"<style>{STYLE}</style><h1>HAKMEM benchmark</h1>",
        f"<p>{html.escape(results['date'])}, {html.escape(machine['cpu'])}, {machine['cores']} cores, kernel "
        f"{html.escape(machine['kernel'])}, {html.escape(machine['libc'])}. {results['rounds']} rounds of "
        f"{results['scale']:g} of the full work, the allocators in turn, the same binary for all by "
        f"<code>LD_PRELOAD</code>, against {html.escape(libraries)}.</p>",
        f"<p><code>{html.escape(' · '.join(line.strip() for line in results['hakmem']))}</code></p>",
        "<h2>Geometric means of HAKMEM relative to the others</h2>",
        "<p>Speed above 1: HAKMEM is faster. Memory below 1: HAKMEM's peak resident size is lower.</p>",
        table_of_means(results["means"]),
        f"<p>Slower than 1.05 × the time of the row's fastest peer: {len(slower)} of {len(rows)} rows"
        + ("".join(f"; {html.escape(row['name'])} ({speed_over_best(row):.2f})" for row in slower)) + ".</p>",
    ]
    if results["failed"]:
        failed = html.escape(", ".join(results["failed"]))
        parts.append(f"<p class=behind>Without figures, for an allocator failed: {failed}.</p>")
    for suite in dict.fromkeys(row["suite"] for row in rows):
        members = [row for row in rows if row["suite"] == suite]
        parts += [f"<h2>{suite}</h2>", chart(members), "<details><summary>figures</summary>",
                  table_of_rows(members), "</details>"]
    return "\n".join(parts) + "\n</html>\n"
