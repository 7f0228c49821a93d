"""The rows of the benchmark: for each its program, arguments and amount of work."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    suite: str
    name: str
    program: str  # of bench/; in the suite `programs` a name of bench/programs.sh
    arguments: tuple = ()  # "{}" stands for the amount of work
    work: int = 0  # in the full suite; 0: there is no "{}"
    least: int = 1  # the least work that makes sense
    grows: str = ""  # in a suite about growth: what grows from row to row
    amount: int = 0  # in a suite about growth: how much of it there is in this row
    # A run of a smaller scale leaves the row out: its preparation takes longer than its
    # measurement.
    from_scale: float = 0
    memory_gib: int = 0  # memory that it needs, if that is much

    @property
    def unit(self):
        return "s" if self.suite == "programs" else "ops/s"

    def command(self, scale):
        """The program's arguments, with `scale` times the work of the full suite."""
        work = max(self.least, round(self.work * scale))
        return [str(argument).replace("{}", str(work)) for argument in self.arguments]


def make(suite, name, line, work=0, least=1, **more):
    program, *arguments = line.split()
    return Row(suite, name, program, tuple(arguments), work, least, **more)


def growth(grows, kind, *steps):
    """Rows with the same work beside a growing amount; a step is (name, amount, from_scale,
    memory_gib)."""
    return [make("scale", name, f"bench_scale {kind} {amount} {{}}", 200, grows=grows, amount=amount,
                 from_scale=from_scale, memory_gib=memory_gib)
            for name, amount, from_scale, memory_gib in steps]


ROWS = [
    *(make("micro", f"random_mixed ws={ws}", f"bench_random_mixed {{}} {ws}", work)
      for ws, work in ((64, 30_000_000), (256, 30_000_000), (400, 30_000_000), (8192, 30_000_000),
                       (100_000, 15_000_000))),
    make("micro", "random_mixed cold ws=400", "bench_random_mixed 100000 400"),
    *(make("micro", f"fixed_size {size}", f"bench_fixed_size {{}} {size} 128", 50_000_000)
      for size in (16, 64, 256, 1024)),
    make("micro", "tiny_hot 64", "bench_tiny_hot {} 64", 50_000_000),
    make("micro", "calloc", "bench_calls calloc {} 1024", 20_000_000),
    make("micro", "aligned", "bench_calls aligned {} 1024", 10_000_000),
    make("micro", "realloc to 4K", "bench_realloc {} 256 4096", 8_000_000),
    *(make("micro", f"sizes of {program}", f"bench_sizes {program} {{}} 16384", 15_000_000)
      for program in ("cpython", "gcc", "git", "redis", "sqlite3")),

    *(make("threads", f"larson {threads} threads", f"larson {{}} 8 1024 1000 100 4141 {threads}", 2)
      for threads in (1, 2, 4, 16)),
    *(make("threads", f"prodcons {size}", f"bench_prodcons {size} {{}}", work)
      for size, work in ((16, 10_000_000), (64, 10_000_000), (200, 6_000_000), (1000, 6_000_000))),
    *(make("threads", f"pipeline {size}, 4 threads", f"bench_prodcons {size} {{}} 4", 3_000_000)
      for size in (64, 1000)),
    make("threads", "all_to_all 4 threads", "bench_all_to_all 4 {}", 1_500_000),
    make("threads", "all_to_all 16 threads", "bench_all_to_all 16 {}", 400_000),
    make("threads", "mixed 2 threads", "bench_mid_large_mt 2 {} 2048 42 16 1039", 16_000_000),
    make("threads", "mixed 64 threads", "bench_mid_large_mt 64 {} 2048 42 16 1039", 500_000),
    make("threads", "mixed 64 threads, as many blocks", "bench_mid_large_mt 64 {} 64 42 16 1039", 500_000),
    make("threads", "short threads", "bench_short_threads {} 2 200 0", 8000, least=4),
    make("threads", "short threads, blocks outlive them", "bench_short_threads {} 2 200 16", 10_000, least=4),

    make("memory", "sawtooth", "bench_waves 64 {} 95 0", 20, least=2),
    make("memory", "sawtooth of a cold heap", "bench_waves 64 2 100 0"),
    make("memory", "fragmentation", "bench_waves 64 {} 90 1", 12, least=3),
    *(make("memory", f"heap of {program}'s sizes", f"bench_sizes {program} {{}} 400000", 5_000_000)
      for program in ("cpython", "gcc", "redis")),

    make("large", "pool_tls 8K random", "bench_pool_tls {} 256", 40_000_000),
    make("large", "pool_tls 8K fill", "bench_pool_tls {} 256 42 8192 8192 1", 2_000_000),
    make("large", "mid_large_mt 4 threads", "bench_mid_large_mt 4 {}", 4_000_000),
    make("large", "calloc 8K-256K", "bench_calls calloc {} 64 42 8192 262144", 100_000),
    make("large", "realloc to 16M", "bench_realloc {} 8 16777216", 1500),
    make("large", "churn 64K-32M", "bench_large {} 16", 1000),

    *growth("MiB in the heap", "heap", ("heap 10 MiB", 10, 0, 0), ("heap 100 MiB", 100, 0, 0),
            ("heap 1 GiB", 1 << 10, 0.1, 2), ("heap 10 GiB", 10 << 10, 1, 12)),
    *growth("live small blocks", "blocks", ("live blocks 1000", 1000, 0, 0), ("live blocks 100 000", 100_000, 0, 0),
            ("live blocks 1 000 000", 1_000_000, 0.1, 0), ("live blocks 10 000 000", 10_000_000, 1, 2)),
    *growth("threads that lived before", "threads", ("after threads 10", 10, 0, 0), ("after threads 1000", 1000, 0, 0),
            ("after threads 10 000", 10_000, 0.1, 0), ("after threads 100 000", 100_000, 1, 0)),

    *(make("programs", name, f"{name} {{}}", 100)
      for name in ("redis", "sqlite3", "cpython", "gcc", "clang", "node", "z3")),
]

SUITES = list(dict.fromkeys(row.suite for row in ROWS))


def select(wanted):
    """The rows of the wanted suites, and those whose names begin with a wanted word; all if none
    is wanted."""
    def matches(row, word):
        return word == row.suite if word in SUITES else row.name.startswith(word)

    for word in wanted:
        if not any(matches(row, word) for row in ROWS):
            raise LookupError(f"no suite and no row begins with '{word}'; --list shows them")
    return [row for row in ROWS if not wanted or any(matches(row, word) for word in wanted)]


def left_out(row, scale, available_gib):
    """Why a run of this scale leaves the row out; None if it has the row."""
    if scale < row.from_scale:
        return f"only from --scale {row.from_scale:g} on"
    if available_gib < row.memory_gib:
        return f"needs {row.memory_gib} GiB of memory, there are {available_gib:.1f}"
    return None
