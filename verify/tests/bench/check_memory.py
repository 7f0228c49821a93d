"""check_memory.py RESULT.json: does memory keep its budgets in a result of build.sh bench? Says each row that does not.

Peaks are relative to mimalloc's in the same run. Threads that run together move theirs by a tenth from run to run."""
import json
import math
import sys

MEAN_MOST = 0.90  # measured: 0.86 to 0.87
ROW_MOST = 1.25  # measured: 1.12
# measured: 1.3 to 1.7; each thread has a slab of each class
ROWS_MOST = {"all_to_all 4 threads": 2.0}
MAPPINGS_MOST = 1000

rows = json.load(open(sys.argv[1]))["rows"]
failed = len(rows) == 0
ratios = []
for row in rows:
    hakmem, peer = row["allocators"]["hakmem"], row["allocators"]["mimalloc"]
    ratio, most = hakmem["peak_kib"] / peer["peak_kib"], ROWS_MOST.get(row["name"], ROW_MOST)
    ratios.append(ratio)
    if ratio > most:
        failed = True
        print(f"{row['name']}: peak {ratio:.2f} of mimalloc's, at most {most}")
    if not 0 < hakmem["mappings"] < MAPPINGS_MOST:
        failed = True
        print(f"{row['name']}: {hakmem['mappings']} mappings, at most {MAPPINGS_MOST}")
mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf
if mean > MEAN_MOST:
    failed = True
    print(f"geometric mean of peaks: {mean:.3f} of mimalloc's, at most {MEAN_MOST}")
if not failed:
    print(f"ok: {len(rows)} rows, geometric mean of peaks {mean:.3f} of mimalloc's")
sys.exit(failed)
