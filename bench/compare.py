#!/usr/bin/env python3
"""Measures HAKMEM against the system's malloc, mimalloc, jemalloc and tcmalloc.

Each row is one benchmark program, the same binary for all (NAME_system), run under LD_PRELOAD of each allocator in
turn: A B C D E, A B C D E, ... so that a slow minute of the machine meets all of them. A row's figure is the median
over the rounds; the spread is the slowest and fastest round. Results also go to out/bench/*.json.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "out", "release")
LIBRARY = os.path.join(OUT, "libhakmem.so")
AUDIT = os.path.join(ROOT, "out", "audit", "libhakmem.so")

PEERS = {
    "mimalloc": "libmimalloc.so.2",
    "jemalloc": "libjemalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}

# Name, program, arguments, and the same with less work for --quick.
ROWS = [
    *((f"random_mixed ws={ws}", "bench_random_mixed", ["10000000", str(ws)], ["2000000", str(ws)])
      for ws in (64, 256, 400, 8192)),
    ("random_mixed cold ws=400", "bench_random_mixed", ["100000", "400"], ["100000", "400"]),
    *((f"fixed_size {size}", "bench_fixed_size", ["50000000", str(size), "128"], ["10000000", str(size), "128"])
      for size in (16, 64, 256, 1024)),
    ("tiny_hot 64", "bench_tiny_hot", ["50000000", "64"], ["10000000", "64"]),
    ("pool_tls 8K random", "bench_pool_tls", ["20000000", "256"], ["4000000", "256"]),
    ("pool_tls 8K fill", "bench_pool_tls", ["2000000", "256", "42", "8192", "8192", "1"],
     ["400000", "256", "42", "8192", "8192", "1"]),
    ("mid_large_mt 4 threads", "bench_mid_large_mt", ["4", "4000000"], ["4", "800000"]),
    *((f"larson {threads} threads", "larson", ["2", "8", "1024", "1000", "100", "4141", str(threads)],
       ["1", "8", "1024", "1000", "100", "4141", str(threads)]) for threads in (1, 2, 4)),
    *((f"prodcons {size}", "bench_prodcons", [str(size), "20000000"], [str(size), "4000000"])
      for size in (16, 64, 200, 1000)),
]


def find_peers():
    """The peers that the loader knows, as {name: path}, and the others' names."""
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found, absent = {}, []
    for name, library in PEERS.items():
        match = re.search(r"^\s*" + re.escape(library) + r" .*=> (/.*)$", cache, re.M)
        if match:
            found[name] = os.path.realpath(match.group(1))
        else:
            absent.append(name)
    return found, absent


def run_once(program, arguments, settings):
    """One run: (operations per second, peak KiB). The program measures both itself, inside its own process."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"} | settings
    command = [os.path.join(OUT, program + "_system"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    throughput = re.search(r"^Throughput = (\d+) ops/s$", done.stdout, re.M)
    peak = re.search(r"^Peak memory = (\d+) KiB$", done.stdout, re.M)
    # The loader only warns of a library that it cannot preload, and runs the program without it.
    if done.returncode != 0 or not throughput or not peak or "cannot be preloaded" in done.stderr:
        sys.exit(f"{' '.join(command)} with {settings} failed (status {done.returncode}):\n"
                 f"{done.stdout}{done.stderr}")
    return int(throughput.group(1)), int(peak.group(1))


def measure(row, allocators, rounds, quick):
    name, program, full, less = row
    arguments = less if quick else full
    runs = {allocator: [] for allocator in allocators}
    for number in range(rounds):
        show_progress(f"{name}: round {number + 1} of {rounds}")
        for allocator, settings in allocators.items():
            runs[allocator].append(run_once(program, arguments, settings))
    result = {"name": name, "command": [program, *arguments], "allocators": {}}
    for allocator, figures in runs.items():
        speeds = [speed for speed, _ in figures]
        result["allocators"][allocator] = {
            "ops_per_second": speeds,
            "median": statistics.median(speeds),
            "min": min(speeds),
            "max": max(speeds),
            "peak_kib": int(statistics.median(peak for _, peak in figures)),
        }
    ours = result["allocators"]["hakmem"]["median"]
    for figures in result["allocators"].values():
        figures["hakmem_ratio"] = ours / figures["median"]
    return result


def print_row(result):
    print(f"\n{result['name']}    ({' '.join(result['command'])})")
    print(f"  {'':10} {'median Mops/s':>14} {'spread':>17} {'hakmem/this':>12} {'peak MiB':>9}")
    for allocator, figures in result["allocators"].items():
        spread = f"{figures['min'] / 1e6:.2f}-{figures['max'] / 1e6:.2f}"
        print(f"  {allocator:10} {figures['median'] / 1e6:14.2f} {spread:>17} {figures['hakmem_ratio']:12.2f} "
              f"{figures['peak_kib'] / 1024:9.1f}")
    sys.stdout.flush()


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        match = re.search(r"^model name\s*:\s*(.*)$", cpuinfo.read(), re.M)
    return match.group(1) if match else platform.machine()


def show_progress(text):
    """On a terminal one line that changes, elsewhere a line each time; on stderr, so that stdout is the report."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(f"# {text}", file=sys.stderr, flush=True)


def select(rows, wanted):
    if not wanted:
        return rows
    chosen = [row for row in rows if any(row[0].startswith(name) for name in wanted)]
    for name in wanted:
        if not any(row[0].startswith(name) for row in rows):
            sys.exit(f"no benchmark row begins with '{name}'; --list shows them")
    return chosen


def means_against(rows, peers, figure):
    return ", ".join(
        f"{peer} {statistics.geometric_mean(row['hakmem'][figure] / row[peer][figure] for row in rows.values()):.2f}"
        for peer in peers)


def print_markdown(file):
    """The tables of docs/performance.md, from the results that a run has written."""
    with open(file, encoding="utf-8") as stream:
        results = json.load(stream)
    rows = {row["name"]: row["allocators"] for row in results["rows"]}
    names = list(next(iter(rows.values())))
    peers = [name for name in names if name != "hakmem"]

    print("| row | " + " | ".join(names) + " | ÷ fastest peer |")
    print("|---" * (len(names) + 2) + "|")
    best = {}
    for row, figures in rows.items():
        best[row] = figures["hakmem"]["median"] / max(figures[peer]["median"] for peer in peers)
        cells = []
        for name in names:
            figure = figures[name]
            cells.append(f"{figure['median'] / 1e6:.1f} ({figure['min'] / 1e6:.0f}–{figure['max'] / 1e6:.0f})")
        print(f"| {row} | " + " | ".join(cells) + f" | {best[row]:.2f} |")
    means = means_against(rows, peers, "median")
    print(f"\nGeometric means of HAKMEM's throughput relative to: {means}, "
          f"the fastest peer of each row {statistics.geometric_mean(best.values()):.2f}.\n")

    print("| row | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for row, figures in rows.items():
        if max(figures[name]["peak_kib"] for name in names) > 10 * 1024:
            print(f"| {row} | " + " | ".join(f"{figures[name]['peak_kib'] / 1024:.1f}" for name in names) + " |")
    means = means_against(rows, peers, "peak_kib")
    print(f"\nGeometric means over all rows of HAKMEM's peak relative to: {means}.")


def verify(library):
    """What a library says of itself; figures of a stale one are worse than none."""
    done = subprocess.run([os.path.join(ROOT, "ci", "verify_binary.sh"), library], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    print(done.stdout, end="")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="*", help="rows whose name begins so; default: all")
    parser.add_argument("--quick", action="store_true", help="three rounds of a fifth of the work")
    parser.add_argument("--rounds", type=int, help="runs of each allocator in each row (default 5)")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("--audit", action="store_true", help="measure the audit, levels 1 and 2, against release")
    parser.add_argument("--markdown", metavar="FILE.json", help="print the tables of such a result and end")
    options = parser.parse_args()
    if options.markdown:
        print_markdown(options.markdown)
        return
    if options.list:
        print("\n".join(row[0] for row in ROWS))
        return
    rounds = options.rounds or (3 if options.quick else 5)
    if rounds < 1:
        parser.error("--rounds must be at least 1")
    rows = select(ROWS, options.row)

    verified = verify(LIBRARY)
    peers = {}
    if options.audit:
        verify(AUDIT)
        allocators = {"hakmem": {"LD_PRELOAD": LIBRARY}} | {
            f"audit {level}": {"LD_PRELOAD": AUDIT, "HAKMEM_AUDIT_LEVEL": level} for level in ("1", "2")}
    else:
        peers, absent = find_peers()
        for name in absent:
            print(f"{name}: not installed, not measured")
        allocators = {"hakmem": {"LD_PRELOAD": LIBRARY}, "system": {}} | {
            name: {"LD_PRELOAD": path} for name, path in peers.items()}
    results = []
    for row in rows:
        result = measure(row, allocators, rounds, options.quick)
        show_progress("")
        print_row(result)
        results.append(result)

    folder = os.path.join(ROOT, "out", "bench")
    os.makedirs(folder, exist_ok=True)
    file = os.path.join(folder, time.strftime("%Y%m%d-%H%M%S") + ".json")
    with open(file, "w", encoding="utf-8") as stream:
        json.dump({
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(),
                        "libc": " ".join(platform.libc_ver())},
            "hakmem": verified.splitlines()[1:-1],
            "libraries": {name: os.path.basename(path) for name, path in peers.items()},
            "rounds": rounds,
            "quick": options.quick,
            "rows": results,
        }, stream, indent=1)
    print(f"\nwritten: {os.path.relpath(file, ROOT)}")


if __name__ == "__main__":
    main()
