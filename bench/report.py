"""What a run of the benchmark says: a table for each row, geometric means, the tables of docs/performance.md."""

import statistics


def peers_of(row):
    return [name for name in row["allocators"] if name != "hakmem"]


def figure(value, unit):
    return f"{value / 1e6:#.4g}" if unit == "ops/s" else f"{value:.3f}"


def speed_over_best(row):
    """HAKMEM's speed divided by that of the fastest of the others."""
    return min(row["allocators"][peer]["hakmem_ratio"] for peer in peers_of(row))


def peak_over(row, peer):
    return row["allocators"]["hakmem"]["peak_kib"] / row["allocators"][peer]["peak_kib"]


def means(rows):
    """Geometric means of HAKMEM's speed (above 1: faster) and peak memory (below 1: less) relative to each other
    allocator and to the best of each row; of each suite, and of all rows."""
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


def print_markdown(results):
    """The tables of docs/performance.md."""
    rows = results["rows"]
    names = list(rows[0]["allocators"])
    print("| row | " + " | ".join(names) + " | ÷ fastest peer |")
    print("|---" * (len(names) + 2) + "|")
    for row in rows:
        cells = []
        for name in names:
            of, digits = row["allocators"][name], 1
            if row["unit"] == "s":
                cells.append(f"{of['median']:.2f} s ({of['min']:.2f}–{of['max']:.2f})")
                continue
            if of["median"] < 1e6:
                digits = 3
            cells.append(f"{of['median'] / 1e6:.{digits}f} "
                         f"({of['min'] / 1e6:.{digits - 1}f}–{of['max'] / 1e6:.{digits - 1}f})")
        print(f"| {row['name']} | " + " | ".join(cells) + f" | {speed_over_best(row):.2f} |")
    print("\nPeak resident MiB of the rows that use more than 10 MiB with any allocator, page faults (thousand), "
          "kernel mappings:\n")
    print("| row | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for row in rows:
        of = row["allocators"]
        if max(of[name]["peak_kib"] for name in names) > 10 * 1024:
            print(f"| {row['name']} | " + " | ".join(
                f"{of[name]['peak_kib'] / 1024:.1f}, {of[name]['minor_faults'] / 1000:.1f}, {of[name]['mappings']}"
                for name in names) + " |")
    print()
    table = means(rows)
    columns = list(table["all"]["speed"])
    print("| geometric means: speed, peak memory | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for suite, of in table.items():
        print(f"| {suite} | " + " | ".join(f"{of['speed'][name]:.2f}, {of['peak'][name]:.2f}" for name in columns)
              + " |")
