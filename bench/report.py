"""Prints the results of a run: a table for each row, means, growth, the tables of
docs/performance.md."""

import statistics


def peers_of(row):
    return [name for name in row["allocators"] if name != "hakmem"]


def figure(value, unit):
    return f"{value / 1e6:#.4g}" if unit == "ops/s" else f"{value:.3f}"


def speed_over_best(row):
    """HAKMEM's speed divided by that of the fastest other allocator."""
    return min(row["allocators"][peer]["hakmem_ratio"] for peer in peers_of(row))


def peak_over(row, peer):
    return row["allocators"]["hakmem"]["peak_kib"] / row["allocators"][peer]["peak_kib"]


def means(rows):
    """Geometric means of HAKMEM's speed (above 1: faster) and peak memory (below 1: less).

    They are relative to each other allocator and to the best one of each row, for each suite and
    for all rows."""
    result = {}
    for suite in [*dict.fromkeys(row["suite"] for row in rows), "all"]:
        members = [row for row in rows if suite in (row["suite"], "all")]
        peers = peers_of(members[0])
        mean = statistics.geometric_mean
        result[suite] = {
            "rows": len(members),
            "speed": {peer: mean(row["allocators"][peer]["hakmem_ratio"] for row in members) for peer in peers}
            | {"best of each row": mean(speed_over_best(row) for row in members)},
            "peak": {peer: mean(peak_over(row, peer) for row in members) for peer in peers}
            | {"best of each row": mean(max(peak_over(row, peer) for peer in peers_of(row)) for row in members)},
        }
    return result


def relative(rows, base):
    """{allocator: (speed, peak memory)}: geometric means over the rows, relative to the allocator
    `base`."""
    def speed(row, name):
        over = row["allocators"][name]["median"] / row["allocators"][base]["median"]
        return over if row["unit"] == "ops/s" else 1 / over

    def peak(row, name):
        return row["allocators"][name]["peak_kib"] / row["allocators"][base]["peak_kib"]

    return {name: tuple(statistics.geometric_mean(of(row, name) for row in rows) for of in (speed, peak))
            for name in rows[0]["allocators"]}


def curves(rows):
    """{what grows: its rows, sorted by amount}, of the rows about growth."""
    result = {}
    for row in rows:
        if "grows" in row:
            result.setdefault(row["grows"], []).append(row)
    return {grows: sorted(members, key=lambda row: row["amount"]) for grows, members in result.items()}


def nanoseconds(row, name):
    """(median, least, most) of the time of one operation, in nanoseconds."""
    of = row["allocators"][name]
    return 1e9 / of["median"], 1e9 / of["max"], 1e9 / of["min"]


def growth(members):
    """{allocator: the time of one operation at the largest amount, divided by that at the
    smallest}."""
    return {name: nanoseconds(members[-1], name)[0] / nanoseconds(members[0], name)[0]
            for name in members[0]["allocators"]}


# Rows with the same work, by many threads and by few.
CROWD, FEW = "mixed 64 threads", "mixed 2 threads"


def crowd(rows):
    """{allocator: the throughput of CROWD divided by that of FEW}; empty unless both rows were
    measured."""
    named = {row["name"]: row["allocators"] for row in rows}
    if CROWD not in named or FEW not in named:
        return {}
    return {name: of["median"] / named[FEW][name]["median"] for name, of in named[CROWD].items()}


def print_row(row):
    unit = row["unit"]
    print(f"\n{row['name']}    ({' '.join(row['command'])})")
    print(f"  {'':10} {'Mops/s' if unit == 'ops/s' else 'seconds':>8} {'spread':>15} {'hakmem ÷ this':>13} "
          f"{'peak MiB':>9} {'faults':>9} {'mappings':>8}")
    for allocator, of in row["allocators"].items():
        spread = f"{figure(of['min'], unit)}–{figure(of['max'], unit)}"
        print(f"  {allocator:10} {figure(of['median'], unit):>8} {spread:>15} {of['hakmem_ratio']:13.2f} "
              f"{of['peak_kib'] / 1024:9.1f} {of['minor_faults']:9} {of['mappings']:8}", flush=True)


def print_means(all_means):
    print("\nGeometric means of HAKMEM relative to the others: speed (above 1: faster), peak memory (below 1: less)")
    for suite, of in all_means.items():
        print(f"  {suite} ({of['rows']} rows)")
        for name in of["speed"]:
            print(f"    {name:16} speed {of['speed'][name]:6.2f}   peak memory {of['peak'][name]:6.2f}")


def print_growth(rows):
    for grows, members in curves(rows).items():
        first, last = members[0]["amount"], members[-1]["amount"]
        print(f"\nNanoseconds per operation, {first} to {last} {grows}")
        for name, factor in growth(members).items():
            line = " ".join(f"{nanoseconds(row, name)[0]:8.2f}" for row in members)
            print(f"  {name:10} {line}   growth {factor:.2f}")
    if crowd(rows):
        print(f"\nThroughput of '{CROWD}' divided by that of '{FEW}'")
        for name, ratio in crowd(rows).items():
            print(f"  {name:10} {ratio:.2f}")


def print_table(head, lines):
    print("| " + " | ".join(head) + " |")
    print("|---" * len(head) + "|")
    for line in lines:
        print("| " + " | ".join(line) + " |")


def markdown_speed(row, name):
    of = row["allocators"][name]
    if row["unit"] == "s":
        return f"{of['median']:.2f} s ({of['min']:.2f}–{of['max']:.2f})"
    digits = 3 if of["median"] < 1e6 else 1
    return (f"{of['median'] / 1e6:.{digits}f} "
            f"({of['min'] / 1e6:.{digits - 1}f}–{of['max'] / 1e6:.{digits - 1}f})")


def markdown_peak(row, name):
    of = row["allocators"][name]
    return f"{of['peak_kib'] / 1024:.1f}, {of['minor_faults'] / 1000:.1f}, {of['mappings']}"


def markdown_growth(members, names):
    """Yields a line for each amount, and one with the last amount divided by the first."""
    for row in members:
        times = [nanoseconds(row, name) for name in names]
        yield [row["name"], *(f"{median:.1f} ({least:.1f}–{most:.1f})" for median, least, most in times)]
    factors = growth(members)
    yield [f"{members[-1]['name']} ÷ {members[0]['name']}", *(f"{factors[name]:.2f}" for name in names)]


def print_markdown(results):
    """Prints the tables of docs/performance.md."""
    rows = results["rows"]
    names = list(rows[0]["allocators"])
    flat = [row for row in rows if "grows" not in row]
    if flat:
        lines = [[row["name"], *(markdown_speed(row, name) for name in names), f"{speed_over_best(row):.2f}"]
                 for row in flat]
        if crowd(flat):
            lines.append([f"{CROWD} ÷ {FEW}", *(f"{ratio:.2f}" for ratio in crowd(flat).values()), ""])
        print_table(["row", *names, "÷ fastest peer"], lines)
    if curves(rows):
        print("\nNanoseconds per operation, median (fastest–slowest round), and the largest amount's divided by the "
              "smallest's:\n")
        print_table(["row", *names],
                    [line for members in curves(rows).values() for line in markdown_growth(members, names)])
    print("\nPeak resident MiB of the rows that use more than 10 MiB with any allocator, page faults (thousand), "
          "kernel mappings:\n")
    print_table(["row", *names], [[row["name"], *(markdown_peak(row, name) for name in names)] for row in rows
                                  if max(row["allocators"][name]["peak_kib"] for name in names) > 10 * 1024])
    print()
    table = means(rows)
    columns = list(table["all"]["speed"])
    print_table(["geometric means: speed, peak memory", *columns],
                [[suite, *(f"{of['speed'][name]:.2f}, {of['peak'][name]:.2f}" for name in columns)]
                 for suite, of in table.items()])
