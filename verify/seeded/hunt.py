#!/usr/bin/python3
"""Measures how long a fuzz target or the explorer takes to find a planted bug from nothing.

  hunt.py [ID ...] [--seeds N] [--seconds S]
      default: every row of hunt.txt, with three seeds, for a minute of processor time each
  hunt.py --try [ID ...]
      every hunter on each bug, with one seed: shows which hunters could stand in hunt.txt

For each bug, the bug's patch is applied to a copy of the tree. The hunter in the bug's row of
hunt.txt then runs once with each seed, on one core. A hunter is a target of fuzz/, which begins
with an empty corpus, or the explorer, on all scenarios or on those that the row names. The first
finding is made as small as possible, and replayed ten times.

A row is as it should be if every seed finds the bug, the median time is within the limit, and the
finding replays in ten of ten runs and is at most twelve operations long. For the explorer, the
length is the number of switches in the schedule.

The unpatched tree goes first: none of the hunters may find anything there within a short time.
--markdown prints the table of docs/verification.md.

HAK_HUNT_JOBS   bugs that are hunted at once; default: the number of processors
"""

import argparse
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ("Makefile", "ci", "core", "verify", "bench", "fuzz")
OPERATIONS_MAX = 12
REPLAYS = 10
TRIED = ("fuzz_api", "fuzz_refill", "fuzz_threads", "fuzz_remote", "fuzz_oom", "fuzz_large", "explore",
         "explore --memory weak")


@dataclass
class Hunt:
    """One bug, its hunter, and what the hunter found."""

    id: str
    hunter: str
    seconds: list = field(default_factory=list)  # one for each seed that found the bug
    said: str = ""  # first words of the first finding
    replays: int = 0
    operations: int = -1  # length of the smallest finding that still fails

    def is_as_it_should(self, seeds, limit):
        return (len(self.seconds) == seeds and statistics.median(self.seconds) <= limit
                and self.replays == REPLAYS and 0 <= self.operations <= OPERATIONS_MAX)

    def row(self, markdown):
        times = f"{statistics.median(self.seconds):.1f}" if self.seconds else "not found"
        spread = f"{min(self.seconds):.1f}–{max(self.seconds):.1f}" if self.seconds else ""
        cells = [self.id, self.hunter, times, spread, f"{self.replays} of {REPLAYS}",
                 str(self.operations) if self.operations >= 0 else "", self.said[:70]]
        if markdown:
            return f"| {' | '.join(cells[:6])} | `{cells[6]}` |"
        return f"{cells[0]:7} {cells[1]:40} {cells[2]:>9} {cells[3]:>11} {cells[4]:>8} {cells[5]:>3}  {cells[6]}"


def rows():
    """The rows of hunt.txt, as {id: hunter}."""
    found = {}
    for line in (HERE / "hunt.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            bug, hunter = (part.strip() for part in line.split("|"))
            found[bug] = hunter
    return found


def run(command, folder, **options):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)


def run_for(command, folder, seconds):
    """Runs a command; returns (status, output, seconds of processor time).

    Each process of the command may use `seconds` of processor time. The time for which it waits for
    a processor does not count."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)))
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return process.returncode, said.read(), used.ru_utime + used.ru_stime


def make(folder, variant, *goals):
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "CC")}
    done = run(["make", "-s", f"VARIANT={variant}", *goals], folder, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(goals)} does not build: {done.stderr[-400:]}")


def goal_of(hunter):
    """The variant of a hunter, and the path of its program in the tree."""
    name = hunter.split()[0]
    return ("explore", "out/explore/explore") if name == "explore" else ("fuzz", f"out/fuzz/fuzz/{name}")


def first_words(text):
    match = re.search(r"^(?:==\d+==)?((?:hakmem|fuzz|explore): .*|.*runtime error: .*|ERROR: .*)$", text, re.M)
    words = match.group(1) if match else "no word"
    return re.sub(r"0x[0-9a-f]+", "0x#", re.sub(r"^(hakmem: )?(audit: broken: )?", "", words))


def fuzz(copy, hunt, seed, seconds):
    """Runs a fuzz target once, from an empty corpus; returns the file that it found, or None."""
    folder = Path(tempfile.mkdtemp(prefix="hunt", dir=copy))
    (folder / "corpus").mkdir()
    status, said, taken = run_for([copy / goal_of(hunt.hunter)[1], f"-seed={seed}", "-max_len=256", "-len_control=100",
                                   "-timeout=200", "-detect_leaks=0", f"-artifact_prefix={folder}/", folder / "corpus"],
                                  folder, seconds)
    found = [file for file in folder.iterdir() if re.match(r"crash|timeout|oom", file.name)]
    if status in (0, -signal.SIGXCPU, -signal.SIGKILL):
        return None
    if not found:  # the target failed before its first input: any input will do
        found = [folder / "header"]
        found[0].write_bytes(bytes(4))
    hunt.seconds.append(taken)
    hunt.said = hunt.said or first_words(said)
    return found[0]


def fuzz_shrink(base, copy, hunt, found):
    done = run([base / "out/release/shrink", "--target", copy / goal_of(hunt.hunter)[1], "-o", f"{found}.shrunk", found],
               copy)
    match = re.search(r"to (\d+) operations; (\d+) of 10 runs", done.stdout)
    if match:
        hunt.operations, hunt.replays = int(match.group(1)), int(match.group(2))
    else:
        hunt.said = f"shrink: {done.stderr.strip()[-100:]}"


def explore(copy, hunt, seed, seconds):
    """Runs one search of the explorer, exhaustive or random.

    Returns the output if there is a finding, else None."""
    arguments = [*hunt.hunter.split()[1:], "--first"]
    if hunt.id == "unpatched":
        arguments += ["--preemptions", "0"]
    if "--random" in arguments or "--pct" in arguments:
        arguments += ["--seed", str(seed)]
    status, said, taken = run_for([copy / "out/explore/explore", *arguments], copy, seconds + 30)
    if status != 1 or ": schedule " not in said or taken > seconds + 30:
        return None
    hunt.seconds.append(taken)
    match = re.search(r"^[\w-]+: (.*)\n[\w-]+: schedule ", said, re.M)
    hunt.said = hunt.said or (first_words(match.group(1)) if match else "no word")
    return said


def explore_replay(copy, hunt, printed):
    """Replays the schedule that the explorer printed, which is small already, and counts its
    switches."""
    match = re.search(r"replay with \S+ (explore .*)$", printed, re.M)
    arguments = match.group(1).split()[1:]
    hunt.operations = 0 if arguments[-1] == "-" else len(arguments[-1].split(","))
    for _ in range(REPLAYS):
        hunt.replays += run([copy / "out/explore/explore", *arguments], copy).returncode not in (0, 2)


def hunt_one(base, hunt, seeds, seconds):
    copy = Path(tempfile.mkdtemp(prefix=f"{hunt.id}-", dir=base.parent))
    try:
        shutil.copytree(base, copy, symlinks=True, dirs_exist_ok=True)
        patch = next(HERE.glob(f"{hunt.id}_*.patch"))
        done = run(["patch", "-s", "-p1", "--no-backup-if-mismatch", "-i", patch], copy)
        if done.returncode != 0:
            hunt.said = "the patch does not apply"
            return hunt
        make(copy, *goal_of(hunt.hunter))
        for seed in range(1, seeds + 1):
            if hunt.hunter.startswith("explore"):
                found = explore(copy, hunt, seed, seconds)
                if found and hunt.operations < 0:
                    explore_replay(copy, hunt, found)
            else:
                found = fuzz(copy, hunt, seed, seconds)
                if found and hunt.operations < 0:
                    fuzz_shrink(base, copy, hunt, found)
    except RuntimeError as error:
        hunt.said = str(error).replace("\n", " ")
    finally:
        shutil.rmtree(copy)
    return hunt


def expect_silence(folder, hunter):
    """Ends the program if a hunter finds anything in the unpatched tree: it would find it in each
    patched tree."""
    hunt = Hunt("unpatched", hunter)
    found = (explore(folder, hunt, 1, 60) if hunter.startswith("explore") else fuzz(folder, hunt, 1, 3))
    if found or hunt.seconds:
        sys.exit(f"hunt: {hunter} finds in the unpatched tree: {hunt.said}")


def base_make(folder, hunts):
    """Makes a copy of the tree, and builds everything in it that the patched copies need."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("corpus", "out"))
        else:
            shutil.copy2(source, folder / name)
    make(folder, "release", "out/release/shrink")
    for variant, program in sorted({goal_of(hunt.hunter) for hunt in hunts}):
        make(folder, variant, f"-j{os.cpu_count()}", program)
    for hunter in sorted({hunt.hunter for hunt in hunts}):
        expect_silence(folder, hunter)


def main():
    parser = argparse.ArgumentParser(prog="./build.sh hunt", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("id", nargs="*", help="bugs; default: all rows of hunt.txt")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each hunter (default 3)")
    parser.add_argument("--seconds", type=int, default=60, help="of a processor that a run may take (default 60)")
    parser.add_argument("--try", dest="attempt", action="store_true", help="every hunter, one seed")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    options = parser.parse_args()
    known = rows()
    ids = [re.sub(r"^([1-9][a-z]?)$", r"0\1", bug) for bug in options.id] or list(known)  # 1 is 01
    for bug in ids:
        if not list(HERE.glob(f"{bug}_*.patch")):
            parser.error(f"no bug '{bug}'; ./build.sh seeded --list names them")
        if bug not in known and not options.attempt:
            parser.error(f"hunt.txt has no row for bug '{bug}'; try it with --try")
    if options.attempt:
        options.seeds = 1
        hunts = [Hunt(bug, hunter) for bug in ids for hunter in TRIED]
    else:
        hunts = [Hunt(bug, known[bug]) for bug in ids]
    if options.markdown:
        print("| bug | found by | median, s | fastest–slowest | replays | shrinks to | what is said |\n|---|---|---|---|---|---|---|")
    bad = 0
    with tempfile.TemporaryDirectory() as work:
        base = Path(work) / "base"
        base.mkdir()
        base_make(base, hunts)
        with ThreadPoolExecutor(int(os.environ.get("HAK_HUNT_JOBS", os.cpu_count()))) as pool:
            for hunt in pool.map(lambda each: hunt_one(base, each, options.seeds, options.seconds), hunts):
                print(hunt.row(options.markdown), flush=True)
                bad += not hunt.is_as_it_should(options.seeds, options.seconds)
    if not options.attempt:
        print(f"hunt: {len(hunts) - bad} of {len(hunts)} bugs found as they should be", file=sys.stderr)
    return 1 if bad and not options.attempt else 0


if __name__ == "__main__":
    sys.exit(main())
