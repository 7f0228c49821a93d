#!/usr/bin/env bats
# The benchmark: its rows run, its figures measure what they say, and a run that has failed is
# reported.

setup_file() {
    bats_require_minimum_version 1.5.0
    # Runs every row once, on two allocators, with very little work.
    local rows=()
    [ "${HAK_TEST_QUICK:-0}" = 0 ] || rows=(micro prodcons pipeline all_to_all mixed short memory large live)
    export SAID=$BATS_FILE_TMPDIR/said RESULT=$BATS_FILE_TMPDIR/result.json PAGE=$BATS_FILE_TMPDIR/result.html
    "$HAK_ROOT/build.sh" bench --scale 0.002 --rounds 1 --against system "${rows[@]}" >"$SAID" 2>"$SAID.progress" || {
        grep -v '^#' "$SAID.progress" >&2 # prints the rows that failed, without the progress
        return 1
    }
    keep "$SAID" "$RESULT" "$PAGE"
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
}

# keep SAID JSON HTML: moves the files that a run has written; SAID has the output of the run
keep() {
    local base
    base=$HAK_ROOT/$(sed -n 's/^written: \(.*\)\.json and \.html$/\1/p' "$1")
    mv "$base.json" "$2"
    mv "$base.html" "$3"
}

# in_bench CODE: runs Python code with the benchmark's modules
in_bench() {
    PYTHONPATH=$HAK_ROOT/bench PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -c "$1"
}

# stand_in SOURCE: builds peer.so, a library for --peer
stand_in() { gcc -O1 -shared -fPIC -fno-builtin -o peer.so "$1"; }

bench() { run --separate-stderr "$HAK_ROOT/build.sh" bench --scale 0.002 --rounds 1 "$@"; }

@test "every row gives every figure for both allocators" {
    "$HAK_ROOT/bench/compare.py" --list | sed -n 's/^  //p' >listed
    [ "$(wc -l <listed)" -ge 50 ]
    SAID=$SAID RESULT=$RESULT QUICK=${HAK_TEST_QUICK:-0} python3 - <<'PY'
import json, os, re
result = json.load(open(os.environ["RESULT"]))
left_out = re.findall(r"^(.*): only from --scale [\d.]+ on, not measured$", open(os.environ["SAID"]).read(), re.M)
assert "live blocks 10 000 000" in left_out, left_out
listed = [line.rstrip("\n") for line in open("listed")]
assert set(left_out) < set(listed), left_out
listed = [name for name in listed if name not in left_out]
names = [row["name"] for row in result["rows"]]
wanted = listed if os.environ["QUICK"] == "0" else [name for name in listed if name in names]
assert names == wanted and len(names) >= 40, (names, listed)
assert result["failed"] == [] and result["rounds"] == 1 and result["scale"] == 0.002, result
assert {"cpu", "cores", "kernel", "libc"} == set(result["machine"]), result["machine"]
assert any("variant   release" in line for line in result["hakmem"]), result["hakmem"]
for row in result["rows"]:
    assert set(row["allocators"]) == {"hakmem", "system"}, row
    assert row["unit"] == ("s" if row["suite"] == "programs" else "ops/s"), row
    assert ("grows" in row) == ("amount" in row) == (row["suite"] == "scale"), row
    for of in row["allocators"].values():
        assert len(of["runs"]) == 1 and of["runs"][0] == of["median"] == of["min"] == of["max"] > 0, row
        assert of["peak_kib"] > 500 and of["minor_faults"] > 20 and of["hakmem_ratio"] > 0, row
        assert 10 < of["mappings"] < 1000, row
suites = set(row["suite"] for row in result["rows"])
assert set(result["means"]) == suites | {"all"}, result["means"]
for of in result["means"].values():
    assert set(of["speed"]) == set(of["peak"]) == {"system", "best of each row"}, of
PY
}

@test "it first proves that the library is today's" {
    [ "$(sed -n 8p "$SAID")" = "$HAK_ROOT/out/release/libhakmem.so: built from today's sources" ]
    mkdir -p copy/out/release
    cp -r "$HAK_ROOT"/{Makefile,bench,ci,core,verify} copy
    cp -P "$HAK_ROOT"/out/release/{libhakmem.so*,bench_tiny_hot_system} copy/out/release
    run -0 copy/bench/compare.py --against system --scale 0.002 --rounds 1 tiny_hot
    echo '/* changed */' >>copy/core/os.c
    run -1 copy/bench/compare.py --against system --scale 0.002 --rounds 1 tiny_hot
    [[ $output != *Mops* ]]
}

@test "the page loads nothing and has a chart for each suite" {
    python3 "$HAK_ROOT/verify/tests/bench/check_page.py" "$PAGE"
    suites=$("$HAK_ROOT/bench/compare.py" --list | grep -c '^[a-z]')
    [ "${HAK_TEST_QUICK:-0}" = 0 ] || suites=$((suites - 1))
    [ "$(grep -c '^<svg' "$PAGE")" -eq "$suites" ]
    grep -q 'random_mixed ws=8192</text>' "$PAGE"
    grep -q '>live small blocks</text>' "$PAGE"
    grep -q '<th>ns per operation, by live small blocks</th><th>1000</th><th>100000</th><th>largest ÷ smallest</th>' "$PAGE"
    grep -qE '^<p>Throughput of <i>mixed 64 threads</i> divided by that of <i>mixed 2 threads</i>: hakmem <b>[0-9.]+</b>, ' "$PAGE"
}

@test "a page that loads something is seen" {
    for load in '<img src="https://example.org/x.png">' '<script>1</script>' '<p style="background: url(x.png)">' \
        '<style>@import "x.css";</style>' '<link rel=stylesheet href=x.css>' '<svg><image xlink:href="http://example.org/"/></svg>'; do
        { cat "$PAGE"; echo "$load"; } >page.html
        run -1 python3 "$HAK_ROOT/verify/tests/bench/check_page.py" page.html
    done
    echo '<p>nothing</p>' >page.html
    run -1 python3 "$HAK_ROOT/verify/tests/bench/check_page.py" page.html
}

@test "--markdown prints a table for speed, for memory and for the means" {
    run -0 "$HAK_ROOT/bench/compare.py" --markdown "$RESULT"
    [ "${lines[0]}" = "| row | hakmem | system | ÷ fastest peer |" ]
    [[ ${lines[2]} =~ ^\|\ random_mixed\ ws=64\ \|\ [0-9.]+\ \([0-9–.]+\)\ \|\ [0-9.]+\ \([0-9–.]+\)\ \|\ [0-9.]+\ \|$ ]]
    [ "$(grep -c '^| fragmentation |' <<<"$output")" -eq 2 ]
    grep -qE '^\| mixed 64 threads ÷ mixed 2 threads \| [0-9.]+ \| [0-9.]+ \|  \|$' <<<"$output"
    grep -qE '^\| live blocks 1000 \| [0-9.]+ \([0-9.]+–[0-9.]+\) \|' <<<"$output"
    grep -qE '^\| live blocks 100 000 ÷ live blocks 1000 \| [0-9.]+ \| [0-9.]+ \|$' <<<"$output"
    [[ ${lines[-1]} =~ ^\|\ all\ \|\ [0-9.]+,\ [0-9.]+\ \|\ [0-9.]+,\ [0-9.]+\ \|$ ]]
}

@test "another library is a peer" {
    stand_in "$HAK_ROOT/verify/tests/programs/stand_in/forwards.c"
    bench --peer other=peer.so --against system tiny_hot
    [ "$status" -eq 0 ]
    [[ $output == *$'\n  other '* ]]
    keep <(echo "$output") result.json result.html
    run -0 python3 -c 'import json; r = json.load(open("result.json")); print(r["libraries"], *r["rows"][0]["allocators"])'
    [ "$output" = "{'other': 'peer.so'} hakmem system other" ]
}

@test "a peer that cannot be preloaded, or has no malloc, ends it before the first row" {
    bench --peer other=missing.so tiny_hot
    [ "$status" -eq 1 ]
    [ "$stderr" = "--peer other=missing.so: no such file" ]
    echo text >peer.so
    bench --peer other=peer.so tiny_hot
    [ "$status" -eq 1 ]
    [[ $stderr == "other cannot be measured: "*"cannot be preloaded"* ]]
    echo 'int nothing;' >nothing.c
    stand_in nothing.c
    bench --peer other=peer.so tiny_hot
    [ "$status" -eq 1 ]
    [[ $stderr == "other cannot be measured: malloc came from "*"libc.so.6, not from $PWD/peer.so" ]]
    bench --peer jemalloc=peer.so tiny_hot
    [ "$status" -eq 1 ]
    [ "$stderr" = "--peer jemalloc=peer.so: there is a 'jemalloc' already" ]
}

@test "a row on which a peer fails is told, and the others are measured" {
    stand_in "$HAK_ROOT/verify/tests/bench/stand_in/refuses_large.c"
    bench --peer bad=peer.so --against system churn tiny_hot
    echo "$stderr"
    [ "$status" -eq 1 ]
    [[ $stderr == *"failed: churn 64K-32M on bad: "*" failed (status -6)"* ]]
    [[ $stderr == *"failed rows: churn 64K-32M" ]]
    [[ $output == *$'\ntiny_hot 64 '* && $output != *$'\nchurn '* ]]
    keep <(echo "$output") result.json result.html
    grep -q '"failed": \[' result.json
    grep -q '"churn 64K-32M"' result.json
}

@test "no row, no suite of that name" {
    bench no_such_row
    [ "$status" -eq 1 ]
    [ "$stderr" = "no suite and no row begins with 'no_such_row'; --list shows them" ]
}

# turns ARGUMENT: measures a program that notes on which allocator it runs, and prints what a
# benchmark prints
turns() {
    cat >turn_system <<'SH'
#!/bin/bash
echo "${LD_PRELOAD:-system} $*" >>turns
[ "$1" != silent ] || exit 0
printf '%s\n' "Throughput = $((100 * $(wc -l <turns))) ops/s" 'Peak memory = 1000 KiB' 'Minor faults = 7' 'Mappings = 20' \
    "Allocator = ${CLAIM:-${LD_PRELOAD:-/lib/libc.so.6}}"
SH
    chmod +x turn_system
    echo 'int nothing;' >nothing.c
    stand_in nothing.c
    in_bench "
import os, measure, rows
measure.OUT = os.getcwd()
allocators = {'hakmem': {'LD_PRELOAD': os.path.abspath('peer.so')}, 'system': {}}
result = measure.measure(rows.make('micro', 'turn', 'turn $1', 50), allocators, 3, 0.1, lambda number: None)
of = result['allocators']['hakmem']
print(of['runs'], of['median'], of['min'], of['max'], result['allocators']['system']['hakmem_ratio'])"
}

@test "allocators take turns, and the figure is the median" {
    run -0 turns '{}'
    [ "$output" = "[100.0, 300.0, 500.0] 300.0 100.0 500.0 0.75" ]
    [ "$(cat turns)" = "$(for _ in 1 2 3; do printf '%s\n' "$PWD/peer.so 5" 'system 5'; done)" ]
}

@test "a program that says no figure, or ran on another malloc, gives none" {
    run -1 turns silent
    [[ $output == *"Failure: turn on hakmem: no 'Throughput' in what the program said:"* ]]
    CLAIM=/lib/libc.so.6 run -1 turns '{}'
    [[ $output == *"Failure: turn on hakmem: malloc came from /lib/libc.so.6, not from $PWD/peer.so"* ]]
}

@test "a real program must give the same output on all" {
    # shellcheck disable=SC2016 # the script expands it
    printf '#!/bin/bash\nsleep 0.1; [ "$1" = prepare ] || echo "${LD_PRELOAD:+other}"\n' >programs.sh
    chmod +x programs.sh
    stand_in "$HAK_ROOT/verify/tests/programs/stand_in/forwards.c"
    run -1 in_bench "
import os, measure, rows
measure.PROGRAMS = os.path.abspath('programs.sh')
allocators = {'hakmem': {'LD_PRELOAD': os.path.abspath('peer.so')}, 'system': {}}
measure.measure(rows.make('programs', 'made', 'made {}', 100), allocators, 1, 1, lambda number: None)"
    [[ $output == *"Failure: made on system: other output than on hakmem:"* ]]
}

@test "geometric means, and the best of each row" {
    run -0 in_bench "
import report
def row(unit, **figures):
    of = {name: {'median': speed, 'peak_kib': peak, 'hakmem_ratio': ratio} for name, (speed, peak, ratio) in figures.items()}
    return {'suite': 'micro', 'name': 'x', 'unit': unit, 'allocators': of}
means = report.means([row('ops/s', hakmem=(8, 100, 1), a=(4, 200, 2), b=(8, 400, 1)),
                      row('s', hakmem=(1, 100, 1), a=(8, 50, 8), b=(9, 100, 9))])
print(means['all'] == means['micro'], {name: round(value, 6) for name, value in means['all']['speed'].items()},
      {name: round(value, 6) for name, value in means['all']['peak'].items()})"
    [ "$output" = "True {'a': 4.0, 'b': 3.0, 'best of each row': 2.828427} {'a': 1.0, 'b': 0.5, 'best of each row': 1.0}" ]
}

# made_rows: prints Python code that makes rows of a suite of growth, out of order, and the two rows
# that compare many threads with few
made_rows() {
    cat <<'PY'
import json, report, rows
def row(suite, name, a, b, **more):
    return {"suite": suite, "name": name, "unit": "ops/s", "command": [name], "allocators": {
        allocator: {"median": speed, "min": speed / 2, "max": speed * 2, "peak_kib": 20480, "minor_faults": 1000,
                    "mappings": 9, "hakmem_ratio": a / speed} for allocator, speed in (("hakmem", a), ("mimalloc", b))}} | more
made = [row("scale", "many", 5e7, 1e7, grows="blocks", amount=1000), row("scale", "few", 1e8, 1e8, grows="blocks", amount=10),
        row("scale", "middle", 1e8, 5e7, grows="blocks", amount=100),
        row("threads", "mixed 64 threads", 9e6, 4e6), row("threads", "mixed 2 threads", 1e7, 1e7)]
PY
}

@test "growth is the largest amount's time divided by the smallest's, and a crowd is compared with few" {
    run -0 in_bench "$(made_rows)
print(report.growth(report.curves(made)['blocks']), report.crowd(made), report.crowd(made[:4]))
report.print_markdown({'rows': made})"
    [ "${lines[0]}" = "{'hakmem': 2.0, 'mimalloc': 10.0} {'hakmem': 0.9, 'mimalloc': 0.4} {}" ]
    [ "$(sed -n '2,/^Peak/p' <<<"$output")" = "| row | hakmem | mimalloc | ÷ fastest peer |
|---|---|---|---|
| mixed 64 threads | 9.0 (4–18) | 4.0 (2–8) | 2.25 |
| mixed 2 threads | 10.0 (5–20) | 10.0 (5–20) | 1.00 |
| mixed 64 threads ÷ mixed 2 threads | 0.90 | 0.40 |  |

Nanoseconds per operation, median (fastest–slowest round), and the largest amount's divided by the smallest's:

| row | hakmem | mimalloc |
|---|---|---|
| few | 10.0 (5.0–20.0) | 10.0 (5.0–20.0) |
| middle | 10.0 (5.0–20.0) | 20.0 (10.0–40.0) |
| many | 20.0 (10.0–40.0) | 100.0 (50.0–200.0) |
| many ÷ few | 2.00 | 10.00 |

Peak resident MiB of the rows that use more than 10 MiB with any allocator, page faults (thousand), kernel mappings:" ]
}

@test "a row that builds up more than it measures, or needs more memory than there is, is left out and told" {
    run -0 in_bench "
import rows
big = next(row for row in rows.ROWS if row.name == 'heap 10 GiB')
print(rows.left_out(big, 0.2, 100), rows.left_out(big, 1, 11.96), rows.left_out(big, 1, 12), sep='\n')"
    [ "$output" = "only from --scale 1 on
needs 12 GiB of memory, there are 12.0
None" ]
    bench "heap 10 GiB"
    [ "$status" -eq 1 ]
    [ "$stderr" = "heap 10 GiB: only from --scale 1 on, not measured" ]
}

@test "bench_scale holds what it says, and does the same work beside it" {
    local program=$HAK_ROOT/out/release/bench_scale_system what live
    stat() { sed -n "s/^hakmem: $1: //p" "$what"; }
    for what in 'heap 300' 'blocks 200000' 'threads 1000'; do
        # shellcheck disable=SC2086 # two words
        HAKMEM_STATS=1 LD_PRELOAD=$HAK_ROOT/out/release/libhakmem.so "$program" $what 1 >"$what" 2>&1
        # The large blocks need more than the cache keeps; otherwise no span would ever be given
        # back.
        [ "$(stat 'peak of that')" -gt $((128 << 20)) ]
    done
    what='heap 300' && [ "$(stat 'bytes of these' | sed -n 2p)" -gt $((300 << 20)) ]
    what='blocks 200000' && live=$(stat 'live blocks up to 52 KiB')
    [ "$live" -ge 200000 ] && [ "$live" -lt 202000 ]
    what='threads 1000' && [ "$(stat 'thread heaps made')" -ge 200 ]
    live=$(stat 'live blocks up to 52 KiB')
    [ "$live" -ge 4000 ] && [ "$live" -lt 6000 ]
    run -0 sed -n 's/^Time = .* s for //p' 'heap 300' 'blocks 200000' 'threads 1000'
    [ "${#lines[@]}" -eq 3 ]
    [ "${lines[0]}" = "${lines[1]}" ] && [ "${lines[0]}" = "${lines[2]}" ]
}

@test "--chart draws the means relative to mimalloc, says them in words, and is readable on white and on black" {
    run -0 in_bench "$(made_rows)
for of in made: # as many allocators as there are colours
    of['allocators'] |= {name: of['allocators']['mimalloc'] for name in 'abcdef'}
json.dump({'rows': made, 'scale': 0.5, 'rounds': 3, 'date': '2026-01-02T03', 'machine': {'cores': 2}}, open('made.json', 'w'))"
    run -0 "$HAK_ROOT/bench/compare.py" --chart made.json made.svg
    others="mimalloc 1.00, a 1.00, b 1.00, c 1.00, d 1.00, e 1.00, f 1.00"
    [ "$output" = "Throughput relative to mimalloc, geometric means. threads: hakmem 1.50, $others. Peak memory relative to mimalloc, geometric means. threads: hakmem 1.00, $others." ]
    python3 "$HAK_ROOT/verify/tests/bench/check_page.py" made.svg
    SAID=$output python3 "$HAK_ROOT/verify/tests/bench/check_picture.py" made.svg
    grep -q 'geometric means of 2 rows, 3 rounds, 0.5 of the full work; 2 cores, 2026-01-02</text>' made.svg
    sed 's/#7b7b7b/#222222/' made.svg >dark.svg
    SAID=$output run -1 python3 "$HAK_ROOT/verify/tests/bench/check_picture.py" dark.svg
    [[ $output == *"#222222: contrast "* ]]
}

@test "--chart of a result without mimalloc is refused" {
    run -1 --separate-stderr "$HAK_ROOT/bench/compare.py" --chart "$RESULT" out.svg
    [ "$stderr" = "no figures of mimalloc in the suites micro, threads, memory, large, programs" ]
    [ ! -e out.svg ]
}

@test "bench_sizes asks for the sizes that were recorded" {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=record lib >&2
    HAKMEM_RECORD=log LD_PRELOAD=$HAK_ROOT/out/record/libhakmem.so "$HAK_ROOT/out/release/bench_sizes_system" redis 200000 >said
    "$HAK_ROOT/bench/histograms.py" redis log | sed 's/[(),]/ /g' >drawn
    grep '^SIZES(redis,' "$HAK_ROOT/bench/histograms.def" | sed 's/[(),]/ /g' >recorded
    # Of 100 000 draws, the share of a band may differ by five standard deviations, and a little
    # more for the program's own blocks.
    awk 'NR == FNR { share[$3] = $5; next }
        { for (least in share) if (least + 0 >= $3 && least + 0 <= $4) seen[$3] += share[least]
          off = seen[$3] - $5; if (off < 0) off = -off
          if (off > 50 + 5 * sqrt($5 * 10)) { print $0, "drawn", seen[$3]; bad = 1 } rows++ }
        END { exit bad || rows < 30 }' drawn recorded
}
