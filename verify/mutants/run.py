#!/usr/bin/python3
"""Makes small changes at random places of core/, and shows which of them the tests see.

  run.py [N] [--seed S]      tries N mutants (default 50), chosen by seed S (default 1)
  run.py --only ID ...       tries these mutants
  run.py --list              prints every possible mutant: identifier, line, change

Each mutant is one change, in a copy of the tree. A place is chosen uniformly over the statements of
core/, then one of the place's changes. Equal seeds on equal trees choose the same mutants. Each
mutant goes through the stages below, the cheapest first, until one stage fails. A stage that does
not end in its time has failed. Each mutant gets one line:

  killed        a stage failed; the line says which one, and after how many seconds
  equivalent    the objects of the release library do not change
  unbuildable   the compiler's warnings see the change
  survived      no stage failed
  explained     the mutant stands in survivors.txt, and is not tried again

The unchanged sources go through all stages first. The status is 0 only if more than 90 % of the
mutants that can be killed are killed, and every survivor is explained.

HAK_MUTANTS_JOBS   mutants that are tried at once; default: the number of processors
"""

import argparse
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
import places  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
WANTED_PERCENT = 90
MEMORY = 4 << 30  # bytes; a mutant that takes all memory fails
NO_CODE = ("style", "libc")  # groups that do not run core/: they read its text, or replace it
TIMES_MOST = 20  # a mutant may take so many times as long as the unchanged sources
UNCHANGED_SECONDS = 7200

taken = {}  # seconds that the unchanged sources took, by program or test file


@contextmanager
def timed(name):
    began = time.monotonic()
    yield
    taken.setdefault(name, time.monotonic() - began)  # set by the unchanged sources, which go first


def seconds_most(name, least):
    """The seconds after which a program counts as endless, however slow or busy the machine is."""
    return max(least, TIMES_MOST * taken[name]) if name in taken else UNCHANGED_SECONDS


@dataclass(frozen=True)
class Program:
    """A stage: one program of one variant."""

    name: str
    variant: str
    program: str
    arguments: tuple = ()
    environment: tuple = ()
    seconds = 90  # the least limit
    folder: str = "tests/"

    @property
    def built(self):
        return (f"out/{self.variant}/{self.folder}{self.program}",)

    def run(self, copy):
        """Runs the program; returns in a few words what failed, or None."""
        command = [copy / self.built[0], *self.arguments]
        with timed(self.name):
            status, output = run_limited(command, copy, dict(self.environment), seconds_most(self.name, self.seconds))
        if status is None:
            return f"{self.name}: does not end, or takes all memory"
        if b"nothing is audited" in output:
            return f"{self.name}: runs without the audit"
        return f"{self.name}: {first_words(output, status)}" if status != 0 else None


@dataclass(frozen=True)
class Group:
    """A stage: one group of `test quick`."""

    name: str
    variant = "release"
    seconds = 180  # the least limit

    @property
    def built(self):
        """The goals that its tests need: the programs of its folder; for the group `build`,
        everything."""
        sources = (ROOT / "verify/tests" / self.name).glob("*.c*")
        return ("all" if self.name == "build" else "lib", *sorted(f"out/release/tests/{path.stem}" for path in sources))

    def run(self, copy):
        for file in sorted((copy / "verify/tests" / self.name).glob("*.bats")):
            most = seconds_most(file.name, self.seconds)
            environment = {"HAK_ROOT": copy, "HAK_OUT": copy / "out/release", "HAK_VARIANT": "release",
                           "HAK_TEST_QUICK": "1", "HAK_TEST_SECONDS": str(int(most)), "BATS_TEST_TIMEOUT": str(int(most))}
            command = ["bats", "--tap", file]
            with timed(file.name):
                status, output = run_limited(command, copy, environment, most, b"\nnot ok ")
            if status is None:
                return f"{file.name}: does not end, or takes all memory"
            if status != 0:
                failed = re.search(rb"^not ok \d+ (.*)", output, re.M)
                return f"{file.name}: {failed.group(1).decode() if failed else 'does not run'}"
        return None


def quick_groups():
    """The groups of `test quick` that run core/; the groups that build much come last."""
    slow = re.search(r"^slow_groups=\((.*)\)", (ROOT / "ci/test.sh").read_text(), re.M).group(1).split()
    groups = {path.name for path in (ROOT / "verify/tests").iterdir() if path.is_dir()} - {*slow, *NO_CODE}
    return sorted(groups, key=lambda name: (name == "build", name == "golden", name))


STAGES = [
    Program("release", "release", "seeded_driver_internal"),
    Program("audit2", "audit", "seeded_driver_internal", environment=(("HAKMEM_AUDIT_LEVEL", "2"),)),
    Group("errors"),
    Program("stress-audit", "audit", "stress_internal", ("2", "8"), (("HAKMEM_AUDIT_LEVEL", "1"),)),
    Program("stress-debug", "debug", "stress_internal", ("2", "7")),
    *(Group(name) for name in quick_groups() if name != "errors"),
]
# Only for mutants of memory orders: this processor may not need an order that the language demands.
TSAN_OPTIONS = (("TSAN_OPTIONS", "halt_on_error=1:exitcode=66"),)
ORDER_STAGES = [
    Program("tsan-stress", "tsan", "stress_internal", ("20", "11"), TSAN_OPTIONS),
    Program("tsan", "tsan", "seeded_driver_internal", ("1", "mixed", "exits", "remote", "ring"), TSAN_OPTIONS),
    Program("explore", "explore", "explore", ("--first", "--preemptions", "1"), folder=""),
]


sessions = set()  # sessions of the commands that run now


def first_words(output, status):
    found = re.search(rb"^(?:hakmem: |seeded driver: |FAIL|\S+: )(?!check: ).*|^.*(?:WARNING: ThreadSanitizer).*", output, re.M)
    if found:
        return re.sub(r"0x[0-9a-f]+", "0x#", found.group(0).decode(errors="replace"))[:90]
    return f"signal {-status}" if status < 0 else f"status {status}"


def no_core_files():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def resident(leader):
    """The resident bytes of all processes of a session.

    A limit on their memory would not do: the audit's books and a sanitizer's shadow are large reservations."""
    pages = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()  # from the field `state` on: proc(5)
        except OSError:
            continue  # the process is gone
        if int(fields[3]) == leader:
            pages += int(fields[21])
    return pages * resource.getpagesize()


def run_limited(command, folder, environment, seconds, until=None):
    """Runs a command in a session of its own, without core files; returns (status, output).

    The status is None if the command did not end in time, or took too much memory. With `until`,
    the command is ended, with status 1, as soon as this text is in its output."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, cwd=folder, env=clean_environment(environment), stdin=subprocess.DEVNULL,
                              stdout=output, stderr=output, start_new_session=True,
                              preexec_fn=no_core_files) as process:
            sessions.add(process.pid)
            end = time.monotonic() + seconds
            status = None
            while status is None and time.monotonic() < end and resident(process.pid) < MEMORY:
                try:
                    status = process.wait(0.5)
                except subprocess.TimeoutExpired:
                    if until is not None and until in read_all(output):
                        status = 1
            kill_session(process.pid)
        return status, read_all(output)


def read_all(file):
    return os.pread(file.fileno(), 1 << 20, 0)


def kill_session(leader):
    """Kills everything that the command left behind."""
    sessions.discard(leader)
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end_at_once(work):
    """Makes SIGTERM and SIGINT end this program, all commands and the folder `work`."""

    def end(number, _frame):
        for leader in list(sessions):
            kill_session(leader)
        shutil.rmtree(work, ignore_errors=True)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def clean_environment(more):
    keep = {name: value for name, value in os.environ.items()
            if not name.startswith(("HAK", "BATS", "MAKE", "LD_PRELOAD")) and name != "MFLAGS"}
    return keep | {name: str(value) for name, value in more.items()}


def make(folder, variant, *targets):
    """Builds the targets; returns the compiler's message, or None if all is built."""
    done = subprocess.run(["make", "-s", f"VARIANT={variant}", *targets], cwd=folder, env=clean_environment({}),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    error = re.search(r"error: (.*)", done.stderr)
    return error.group(1) if error else done.stderr.strip()[-90:]


def objects(folder):
    """A digest of each object of the release library, without debug information."""
    digests = {}
    for path in sorted((folder / "out/release/obj/core").glob("*.o")):
        stripped = path.with_suffix(".stripped")
        subprocess.run(["objcopy", "--strip-debug", path, stripped], check=True)
        digests[path.name] = hashlib.sha256(stripped.read_bytes()).digest()
        stripped.unlink()
    return digests


def explained():
    """The rows of survivors.txt, as {identifier: (kind, reason)}."""
    rows = {}
    for line in (Path(__file__).parent / "survivors.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            identifier, kind, _, reason = (field.strip() for field in line.split(" | ", 3))
            if kind not in ("equivalent", "harmless") or not reason:
                raise SystemExit(f"mutants: survivors.txt: {identifier}: neither equivalent nor harmless, or no reason")
            rows[identifier] = kind, reason
    return rows


def choose(mutations, count, seed):
    """Chooses `count` mutations: one of each statement, in random order; then a second one of
    each, and so on."""
    chance = random.Random(seed)
    statements = {}
    for mutation in mutations:
        statements.setdefault((mutation.file, mutation.statement), []).append(mutation)
    order = list(statements.values())
    chance.shuffle(order)
    for changes in order:
        chance.shuffle(changes)
    rounds = max(map(len, order), default=0)
    return [changes[at] for at in range(rounds) for changes in order if at < len(changes)][:count]


@dataclass
class Result:
    mutation: places.Mutation
    verdict: str
    words: str = ""
    seconds: float = 0.0

    def line(self):
        place = f"{self.mutation.file.removeprefix('core/')}:{self.mutation.line}"
        return (f"{self.verdict:<11} {self.seconds:6.1f}  {place:<17} {self.mutation.id:<45} {self.mutation.text}"
                + (f"\n{'':21}{self.words}" if self.words else ""))


class Run:
    def __init__(self, stages, work, jobs, try_explained):
        self.stages = stages
        self.try_explained = try_explained
        self.work = work
        self.jobs = jobs
        self.base = work / "base"
        self.known = explained()

    def prepare(self, with_orders):
        """Makes and builds a copy of the tree, of which each mutant gets a copy; tries all stages
        on it."""
        shutil.copytree(ROOT, self.base, symlinks=True, ignore=shutil.ignore_patterns("out", ".git", "__pycache__"))
        targets = {("release", "lib")}
        for stage in self.stages + (ORDER_STAGES if with_orders else []):
            targets |= {(stage.variant, target) for target in stage.built}
        for variant, target in sorted(targets):
            error = make(self.base, variant, f"-j{self.jobs}", target)
            if error:
                raise SystemExit(f"mutants: {target} of {variant} does not build: {error}")
        self.objects = objects(self.base)
        failed = self.fails(self.base, self.stages)
        if failed:
            raise SystemExit(f"mutants: the unchanged sources fail: {failed}")

    @staticmethod
    def fails(copy, stages):
        """The message of the first stage that fails; None if none fails."""
        for stage in stages:
            error = make(copy, stage.variant, *stage.built)
            failed = f"{stage.name}: does not build: {error}" if error else stage.run(copy)
            if failed:
                return failed
        return None

    def judge(self, copy, mutation):
        error = make(copy, "release", "lib")
        if error:
            return "unbuildable", error
        if objects(copy) == self.objects:
            if mutation.kind != "order":
                return "equivalent", ""
            failed = self.fails(copy, ORDER_STAGES)
        else:
            failed = self.fails(copy, self.stages)
        return ("killed", failed) if failed else ("survived", "")

    def one(self, mutation):
        start = time.monotonic()
        reason = ": ".join(self.known.get(mutation.id, ()))
        if reason and not self.try_explained:
            return self.said(Result(mutation, "explained", reason))
        copy = Path(tempfile.mkdtemp(dir=self.work))
        try:
            subprocess.run(["cp", "-a", f"{self.base}/.", copy], check=True)
            path = copy / mutation.file
            path.write_text(mutation.apply(path.read_text(encoding="latin-1")), encoding="latin-1")
            verdict, words = self.judge(copy, mutation)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        if verdict == "survived" and reason:
            verdict, words = "explained", reason
        return self.said(Result(mutation, verdict, words, time.monotonic() - start))

    @staticmethod
    def said(result):
        print(result.line(), flush=True)
        return result

    def all(self, mutations):
        with ThreadPoolExecutor(self.jobs) as pool:
            return list(pool.map(self.one, mutations))


def summary(results, known):
    """Prints the figures; returns True if they are good enough."""
    count = {verdict: 0 for verdict in ("killed", "survived", "explained", "equivalent", "unbuildable")}
    for result in results:
        count[result.verdict] += 1
    harmless = sum(1 for result in results
                   if result.verdict == "explained" and known[result.mutation.id][0] == "harmless")
    counted = count["killed"] + count["survived"] + harmless
    percent = 100 * count["killed"] / counted if counted else 100.0
    equivalent = count["equivalent"] + count["explained"] - harmless
    print(f"mutants: {len(results)}: killed {count['killed']}, survived {count['survived']}, harmless {harmless}, "
          f"equivalent {equivalent}, unbuildable {count['unbuildable']}: {percent:.1f} % of {counted} killed")
    return percent > WANTED_PERCENT and count["survived"] == 0


def arguments():
    parser = argparse.ArgumentParser(prog="build.sh mutants")
    parser.add_argument("count", nargs="?", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="ID", help="these mutants")
    parser.add_argument("--stages", help=f"only these, comma-separated: {', '.join(stage.name for stage in STAGES)}")
    parser.add_argument("--list", action="store_true", help="every mutant there is")
    return parser.parse_args()


def main():
    options = arguments()
    mutations = places.find(ROOT)
    if options.list:
        for mutation in mutations:
            print(f"{mutation.id} {mutation.file}:{mutation.line} {mutation.text}")
        return 0
    wanted_stages = options.stages.split(",") if options.stages else [stage.name for stage in STAGES]
    stages = [stage for stage in STAGES if stage.name in wanted_stages]
    if len(stages) != len(set(wanted_stages)):
        raise SystemExit(f"mutants: no such stage among {options.stages}")
    if options.only:
        by_id = {mutation.id: mutation for mutation in mutations}
        missing = [identifier for identifier in options.only if identifier not in by_id]
        if missing:
            raise SystemExit(f"mutants: no mutant '{missing[0]}'; see --list")
        chosen = [by_id[identifier] for identifier in options.only]
    else:
        chosen = choose(mutations, options.count, options.seed)
    jobs = int(os.environ.get("HAK_MUTANTS_JOBS") or len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory(prefix="hak-mutants.") as work:
        end_at_once(work)
        run = Run(stages, Path(work), jobs, bool(options.only))
        run.prepare(any(mutation.kind == "order" for mutation in chosen))
        print(f"mutants: {len(chosen)} of {len(mutations)}, seed {options.seed}, {jobs} at once", flush=True)
        results = run.all(chosen)
    print("\n" + "\n".join(result.line() for result in sorted(results, key=lambda r: (r.verdict, r.mutation.id))) + "\n")
    return 0 if summary(results, run.known) else 1


if __name__ == "__main__":
    sys.exit(main())
