"""Runs the rows' programs under each allocator, and proves that they ran on it."""

import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "out", "release")
PROGRAMS = os.path.join(ROOT, "bench", "programs.sh")

PEERS = {
    "mimalloc": "libmimalloc.so.2",
    "jemalloc": "libjemalloc.so.2",
    "tcmalloc": "libtcmalloc_minimal.so.4",
}

# The time limit of one run, in seconds.
LIMIT = 300


class Failure(Exception):
    """A run that gave no figures."""


def find_peers():
    """The peers that the loader finds, as {name: path}, and the names of the others."""
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found, absent = {}, []
    for name, library in PEERS.items():
        match = re.search(r"^\s*" + re.escape(library) + r" .*=> (/.*)$", cache, re.M)
        if match:
            found[name] = os.path.realpath(match.group(1))
        else:
            absent.append(name)
    return found, absent


def run(command, settings, folder=None):
    """Runs a command with these settings in its environment; returns its stdout and stderr.

    No other library is preloaded."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"} | settings
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                          cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=LIMIT)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failure(f"{' '.join(command)} took longer than {LIMIT} s") from error
            raise
    # The loader only warns of a library that it cannot preload, and runs the program without it.
    if process.returncode != 0 or "cannot be preloaded" in err:
        raise Failure(f"{' '.join(command)} failed (status {process.returncode}):\n{out[-2000:]}{err[-2000:]}")
    return out, err


def figures_of(text, unit):
    """The figures that a program printed about its run."""
    names = {"median": r"Throughput = (\d+) ops/s" if unit == "ops/s" else r"Seconds = ([\d.]+)",
             "peak_kib": r"Peak memory = (\d+) KiB", "minor_faults": r"Minor faults = (\d+)",
             "mappings": r"Mappings = (\d+)", "allocator": r"Allocator = (.*)"}
    figures = {}
    for name, pattern in names.items():
        match = re.search(f"^{pattern}$", text, re.M)
        if not match:
            raise Failure(f"no '{pattern.split(' =')[0]}' in what the program said:\n{text[-2000:]}")
        figures[name] = match.group(1) if name == "allocator" else float(match.group(1))
    if figures["median"] <= 0:
        raise Failure(f"too short to be measured:\n{text[-2000:]}")
    return figures


def demand_allocator(found, settings):
    """Fails unless the program's malloc came from the library in the settings, or else from
    libc."""
    library = settings.get("LD_PRELOAD")
    if library is None:
        if found != "-" and not os.path.basename(found).startswith("libc.so"):
            raise Failure(f"malloc came from {found}, not from libc")
    elif os.path.realpath(found) != os.path.realpath(library):
        raise Failure(f"malloc came from {found}, not from {library}")


def run_bench(row, settings, scale):
    out, _ = run([os.path.join(OUT, row.program + "_system"), *row.command(scale)], settings)
    return figures_of(out, row.unit), None


def run_program(row, settings, scale, inputs):
    """Runs a program of bench/programs.sh; returns its figures and its output."""
    library = settings.get("LD_PRELOAD")
    launcher = os.path.join(OUT, "run_program_system")
    others = {key: value for key, value in settings.items() if key != "LD_PRELOAD"}
    with tempfile.TemporaryDirectory() as folder:
        out, err = run([launcher, os.path.realpath(library) if library else "-", PROGRAMS, "run", row.program,
                        *row.command(scale), inputs], others, folder)
    return figures_of(err, row.unit), out


def prove(allocators):
    """Runs a short program under each allocator: one that cannot be preloaded is found before the
    first row."""
    for name, settings in allocators.items():
        try:
            out, _ = run([os.path.join(OUT, "bench_tiny_hot_system"), "1000"], settings)
            demand_allocator(figures_of(out, "ops/s")["allocator"], settings)
        except Failure as failure:
            raise Failure(f"{name} cannot be measured: {failure}") from failure


def summarise(runs):
    """Median and spread of one allocator's rounds in a row."""
    times = [figures["median"] for figures in runs]
    return {
        "runs": times,
        "median": statistics.median(times),
        "min": min(times),
        "max": max(times),
        **{name: int(statistics.median(figures[name] for figures in runs))
           for name in ("peak_kib", "minor_faults", "mappings")},
    }


def measure(row, allocators, rounds, scale, ran):
    """Measures one row; calls ran(round) after each run.

    The allocators run in turn, so that a slow minute affects all of them."""
    runs = {name: [] for name in allocators}
    outputs = {}
    inputs = tempfile.mkdtemp()
    try:
        if row.suite == "programs":
            run([PROGRAMS, "prepare", row.program, *row.command(scale), inputs], {})
        for number in range(rounds):
            for name, settings in allocators.items():
                try:
                    figures, output = (run_program(row, settings, scale, inputs) if row.suite == "programs"
                                       else run_bench(row, settings, scale))
                    demand_allocator(figures["allocator"], settings)
                except Failure as failure:
                    raise Failure(f"{row.name} on {name}: {failure}") from failure
                runs[name].append(figures)
                outputs[name] = output
                if output != next(iter(outputs.values())):
                    first = next(iter(outputs))
                    raise Failure(f"{row.name} on {name}: other output than on {first}:\n{output[-2000:]}")
                ran(number)
    finally:
        shutil.rmtree(inputs)
    result = {"suite": row.suite, "name": row.name, "unit": row.unit, "command": [row.program, *row.command(scale)],
              "allocators": {name: summarise(figures) for name, figures in runs.items()}}
    if row.grows:
        result |= {"grows": row.grows, "amount": row.amount}
    ours = result["allocators"]["hakmem"]["median"]
    for figures in result["allocators"].values():
        # Above 1: hakmem is faster than this allocator.
        figures["hakmem_ratio"] = ours / figures["median"] if row.unit == "ops/s" else figures["median"] / ours
    return result
