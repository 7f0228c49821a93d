"""The results as one HTML page that loads nothing: charts as SVG in the page, all figures in
tables."""

import html

from charts import chart, chart_of_growth
from report import CROWD, FEW, crowd, curves, figure, growth, nanoseconds, peers_of, speed_over_best

STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 1180px; margin: 2em auto; padding: 0 1em; color: #222; }
h2 { margin-top: 2em; } svg { width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; margin: 1em 0; }
th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; } tr.first td { border-top: 2px solid #999; }
.behind { color: #c1272d; font-weight: bold; } .ahead { color: #1a7f37; font-weight: bold; }
code { background: #f3f3f3; padding: 0 3px; }
"""


def cell(value, better_above):
    """A cell with a ratio. Its colour says if HAKMEM is better or worse by more than 2 %."""
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


def table_of_growth(rows):
    text = []
    for grows, members in curves(rows).items():
        factors = growth(members)
        text.append(f"<table><tr><th>ns per operation, by {html.escape(grows)}</th>"
                    + "".join(f"<th>{row['amount']}</th>" for row in members) + "<th>largest ÷ smallest</th></tr>")
        text += [f"<tr><td>{html.escape(name)}</td>"
                 + "".join(f"<td>{nanoseconds(row, name)[0]:.2f}</td>" for row in members)
                 + f"<td>{factors[name]:.2f}</td></tr>" for name in factors]
        text.append("</table>")
    return "".join(text)


def crowd_in_words(rows):
    ratios = crowd(rows)
    if not ratios:
        return ""
    of = ", ".join(f"{html.escape(name)} <b>{ratio:.2f}</b>" for name, ratio in ratios.items())
    return f"<p>Throughput of <i>{CROWD}</i> divided by that of <i>{FEW}</i>: {of}.</p>"


def suite_in_page(suite, rows):
    if curves(rows):
        drawn = [chart_of_growth(rows), table_of_growth(rows)]
    else:
        drawn = [chart(rows), crowd_in_words(rows)]
    return [f"<h2>{suite}</h2>", *drawn, "<details><summary>figures</summary>", table_of_rows(rows), "</details>"]


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
        parts += suite_in_page(suite, [row for row in rows if row["suite"] == suite])
    return "\n".join(parts) + "\n</html>\n"
