#!/usr/bin/python3
"""Measures HAKMEM against the system's malloc, mimalloc, jemalloc and tcmalloc.

Each row is one program. The same binary runs under LD_PRELOAD of each allocator in turn:
A B C D E, A B C D E, ... So a slow minute of the machine affects all allocators. The figure of a
row is the median over the rounds. The spread is from the slowest to the fastest round. The results
also go to out/bench/*.json and, with charts, to out/bench/*.html.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the folder holds sources only
# pylint: disable=wrong-import-position
import measure  # noqa: E402
import report  # noqa: E402
from rows import ROWS, SUITES, left_out, select  # noqa: E402

ROOT = measure.ROOT
LIBRARY = os.path.join(ROOT, "out", "release", "libhakmem.so")
AUDIT = os.path.join(ROOT, "out", "audit", "libhakmem.so")


class Progress:
    """Shows the row and round that run now, and about how long the rest will take.

    On a terminal this is one line that changes, elsewhere a line for each round. It goes to stderr,
    so that stdout has only the report."""

    def __init__(self, rows, runs_per_round, rounds):
        self.rows, self.runs_per_round, self.runs_per_row = rows, runs_per_round, runs_per_round * rounds
        self.began, self.row_began = time.monotonic(), time.monotonic()
        self.row, self.runs = 0, 0

    def begin_row(self, number):
        self.row, self.runs, self.row_began = number, 0, time.monotonic()

    def remaining(self):
        """Seconds that are left: this row goes on at its own pace, later rows take the mean of the
        earlier ones."""
        pace = (time.monotonic() - self.row_began) / max(self.runs, 1)
        row = pace * self.runs_per_row
        others = (self.row_began - self.began) / self.row if self.row else row
        return pace * (self.runs_per_row - self.runs) + others * (len(self.rows) - self.row - 1)

    def ran(self, number):
        self.runs += 1
        left = int(self.remaining())
        text = (f"[{self.row + 1}/{len(self.rows)}] {self.rows[self.row].name}: round {number + 1}, "
                f"about {left // 60}:{left % 60:02} left")
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif self.runs % self.runs_per_round == 0:
            print(f"# {text}", file=sys.stderr, flush=True)

    @staticmethod
    def clear():
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def verify(library):
    """Prints and returns what a library says of itself. A stale one ends the program: its figures
    would be worse than none."""
    done = subprocess.run([os.path.join(ROOT, "ci", "verify_binary.sh"), library], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    print(done.stdout, end="")
    return done.stdout


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        match = re.search(r"^model name\s*:\s*(.*)$", cpuinfo.read(), re.M)
    return match.group(1) if match else platform.machine()


def more_peers(given, allocators):
    """The values of --peer, NAME=LIB.so, as {name: path}."""
    peers = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", name):
            sys.exit(f"--peer {text}: must be NAME=LIB.so")
        if name in allocators or name in peers:
            sys.exit(f"--peer {text}: there is a '{name}' already")
        if not os.path.isfile(path):
            sys.exit(f"--peer {text}: no such file")
        peers[name] = os.path.realpath(path)
    return peers


def choose_allocators(options):
    """{name: settings} in the order in which the allocators run, and {name: path} of the others'
    libraries."""
    if options.audit:
        verify(AUDIT)
        return {"hakmem": {"LD_PRELOAD": LIBRARY}} | {
            f"audit {level}": {"LD_PRELOAD": AUDIT, "HAKMEM_AUDIT_LEVEL": level} for level in ("1", "2")}, {}
    peers, absent = measure.find_peers()
    for name in absent:
        print(f"{name}: not installed, not measured")
    peers |= more_peers(options.peer, {"hakmem", "system", *measure.PEERS})
    allocators = {"hakmem": {"LD_PRELOAD": LIBRARY}, "system": {}} | {
        name: {"LD_PRELOAD": path} for name, path in peers.items()}
    if options.against:
        for name in options.against.split(","):
            if name not in allocators:
                sys.exit(f"--against: no allocator '{name}'; there are: {' '.join(allocators)}")
        wanted = {"hakmem", *options.against.split(","), *(text.partition("=")[0] for text in options.peer)}
        allocators = {name: settings for name, settings in allocators.items() if name in wanted}
        if len(allocators) < 2:
            sys.exit("--against: nothing to compare with")
    return allocators, {name: path for name, path in peers.items() if name in allocators}


def parse():
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="*",
                        help=f"suites ({', '.join(SUITES)}) or rows whose name begins so; default: all")
    parser.add_argument("--quick", action="store_true", help="three rounds of a fifth of the work")
    parser.add_argument("--rounds", type=int, help="runs of each allocator in each row (default 5)")
    parser.add_argument("--scale", type=float, help="the work of each run, as a share of the full suite's")
    parser.add_argument("--peer", metavar="NAME=LIB.so", action="append", default=[], help="one more allocator")
    parser.add_argument("--against", metavar="NAME,...", help="only these allocators and those of --peer")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("--audit", action="store_true", help="measure the audit, levels 1 and 2, against release")
    parser.add_argument("--markdown", metavar="FILE.json", help="print the tables of such a result and end")
    parser.add_argument("--chart", metavar=("FILE.json", "OUT.svg"), nargs=2,
                        help="draw such a result's means for README.md, print them in words and end")
    options = parser.parse_args()
    options.rounds = options.rounds if options.rounds is not None else 3 if options.quick else 5
    options.scale = options.scale if options.scale is not None else 0.2 if options.quick else 1.0
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not 0 < options.scale <= 100:
        parser.error("--scale must be above 0 and at most 100")
    return options


def available_gib():
    with open("/proc/meminfo", encoding="utf-8") as meminfo:
        return int(re.search(r"^MemAvailable:\s*(\d+) kB$", meminfo.read(), re.M).group(1)) / (1 << 20)


def select_rows(options):
    """The rows to measure, and for each other wanted row a line that says why it is not
    measured."""
    rows, notes, memory = [], [], available_gib()
    for row in select(options.row):
        reason = left_out(row, options.scale, memory)
        if reason is None:
            rows.append(row)
        else:
            notes.append(f"{row.name}: {reason}, not measured")
    if not rows:
        raise LookupError("\n".join(notes))
    return rows, notes


def measure_rows(rows, allocators, options):
    """Measures the rows; returns the results of those that gave figures, and the names of the
    others."""
    progress = Progress(rows, len(allocators), options.rounds)
    results, failed = [], []
    for number, row in enumerate(rows):
        progress.begin_row(number)
        try:
            result = measure.measure(row, allocators, options.rounds, options.scale, progress.ran)
        except measure.Failure as failure:
            progress.clear()
            print(f"\nfailed: {failure}", file=sys.stderr, flush=True)
            failed.append(row.name)
            continue
        progress.clear()
        report.print_row(result)
        results.append(result)
    return results, failed


def write(results):
    # Imported here, because it is slow and needs a library that --list does not need.
    from page import page  # pylint: disable=import-outside-toplevel

    folder = os.path.join(ROOT, "out", "bench")
    os.makedirs(folder, exist_ok=True)
    base = os.path.join(folder, time.strftime("%Y%m%d-%H%M%S"))
    with open(base + ".json", "w", encoding="utf-8") as stream:
        json.dump(results, stream, indent=1)
    with open(base + ".html", "w", encoding="utf-8") as stream:
        stream.write(page(results))
    print(f"\nwritten: {os.path.relpath(base, ROOT)}.json and .html")


def read(path):
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def write_chart(source, path):
    # Imported here for the same reason as in write().
    from charts import summary_file  # pylint: disable=import-outside-toplevel

    picture, words = summary_file(read(source))
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(picture)
    print(words)


def main():
    options = parse()
    if options.markdown:
        report.print_markdown(read(options.markdown))
        return
    if options.list:
        for suite in SUITES:
            print(f"{suite}:")
            print("\n".join(f"  {row.name}" for row in ROWS if row.suite == suite))
        return
    try:
        if options.chart:
            write_chart(*options.chart)
            return
        rows, notes = select_rows(options)
    except LookupError as error:
        sys.exit(str(error.args[0]))

    if any(row.suite == "programs" for row in rows):
        if subprocess.run([os.path.join(ROOT, "ci", "install.sh"), "programs"], check=False).returncode != 0:
            sys.exit(1)
    verified = verify(LIBRARY)
    allocators, peers = choose_allocators(options)
    print("".join(note + "\n" for note in notes), end="")
    try:
        measure.prove(allocators)
    except measure.Failure as failure:
        sys.exit(str(failure))
    results, failed = measure_rows(rows, allocators, options)
    if results:
        means = report.means(results)
        report.print_means(means)
        report.print_growth(results)
        write({
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(),
                        "libc": " ".join(platform.libc_ver())},
            "hakmem": verified.splitlines()[1:-1],
            "libraries": {name: os.path.basename(path) for name, path in peers.items()},
            "rounds": options.rounds,
            "scale": options.scale,
            "rows": results,
            "failed": failed,
            "means": means,
        })
    if failed:
        sys.exit(f"failed rows: {', '.join(failed)}")


if __name__ == "__main__":
    main()
