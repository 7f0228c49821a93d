#!/usr/bin/env bats
# The fuzz targets. Each is built and finds nothing, except the canary, whose bug must be found.
# Other engines (AFL++) and builders (OSS-Fuzz) take the targets unchanged.

load ../on_hakmem

setup() {
    bats_require_minimum_version 1.5.0
    cd "$HAK_ROOT"
    unset CFLAGS CXXFLAGS
}

# fuzzed TARGET: the target passes its regressions and corpus, and finds nothing in some seconds
fuzzed() {
    run ./build.sh fuzz "$1" "${HAK_FUZZ_SECONDS:-5}"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"$1"*" runs in "*"nothing found"* ]]
}

@test "the canary's bug is found from nothing" {
    run ./build.sh fuzz fuzz_canary
    [ "$status" -eq 0 ]
    [[ $output == *"found as it must be: hakmem: audit: broken: "* ]]
}

@test "a finding is told, kept and replays in 10 of 10 runs" {
    folder=$BATS_TEST_TMPDIR/tree
    mkdir -p "$folder/out/fuzz/fuzz" "$folder/fuzz"
    cp fuzz/fuzz.sh "$folder/fuzz"
    : >"$folder/fuzz/fuzz_api.c"
    # The canary in the place of fuzz_api, so that fuzz_api has a finding.
    cp out/fuzz/fuzz/fuzz_canary "$folder/out/fuzz/fuzz/fuzz_api"
    run "$folder/fuzz/fuzz.sh" fuzz_api 60
    [ "$status" -eq 1 ]
    [[ $output == *"fuzz: hakmem: audit: broken: "* ]]
    [[ $output == *" replays in 10 of 10 runs" ]]
    mkdir -p "$folder/fuzz/regressions/fuzz_api"
    cp "$folder"/out/fuzz/findings/fuzz_api-* "$folder/fuzz/regressions/fuzz_api"
    run "$folder/fuzz/fuzz.sh" fuzz_api 60
    [ "$status" -eq 1 ]
    [[ $output == *"a regression is back: hakmem: audit: broken: "* ]]
}

@test "a finding among hundreds of operations shrinks to a few" {
    { printf '\1\0\0\0' && find fuzz/corpus/fuzz_api -type f -exec tail -q -c +5 {} +; } | head -c 3004 >"$BATS_TEST_TMPDIR/long"
    [ "$(stat -c %s "$BATS_TEST_TMPDIR/long")" -eq 3004 ]
    run ./build.sh shrink --target fuzz_canary -o "$BATS_TEST_TMPDIR/short" "$BATS_TEST_TMPDIR/long"
    printf '%s\n' "$output"
    [[ ${lines[-1]} =~ " to "([0-9]+)" operations; 10 of 10 runs fail in the same way: hakmem: audit: broken: " ]]
    [ "${BASH_REMATCH[1]}" -le 12 ]
    run -77 out/fuzz/fuzz/fuzz_canary "$BATS_TEST_TMPDIR/short"
}

@test "fuzz_api" { fuzzed fuzz_api; }
@test "fuzz_threads" { fuzzed fuzz_threads; }
@test "fuzz_refill" { fuzzed fuzz_refill; }
@test "fuzz_remote, on fibers and under ThreadSanitizer" {
    fuzzed fuzz_remote
    [[ $output == *"under ThreadSanitizer, nothing found"* ]]
}
@test "fuzz_remote sees a lost notification, and ThreadSanitizer with it an order that is too weak" {
    for bug in 45_notification_lost 43_next_linked_after_publishing 44_relaxed_collect; do
        tree=$BATS_TEST_TMPDIR/$bug
        mkdir "$tree"
        cp -r Makefile ci core verify bench fuzz "$tree"
        patch -s -d "$tree" -p1 <"verify/seeded/$bug.patch"
    done
    make -s -C "$BATS_TEST_TMPDIR/45_notification_lost" VARIANT=fuzz out/fuzz/fuzz/fuzz_remote
    run ! "$BATS_TEST_TMPDIR/45_notification_lost/out/fuzz/fuzz/fuzz_remote" -max_total_time=1800 -max_len=256 \
        -artifact_prefix="$BATS_TEST_TMPDIR/"
    [[ $output == *"fuzz: slab "* ]]
    # An input with many operations of each kind, in turn: the race must be found on any number of
    # processors, whatever else these do.
    python3 -c '
import random, sys
random.seed(1)
with open(sys.argv[1], "wb") as file:
    file.write(random.randbytes(1800))' "$BATS_TEST_TMPDIR/input"
    for bug in 43_next_linked_after_publishing 44_relaxed_collect; do
        make -s -C "$BATS_TEST_TMPDIR/$bug" VARIANT=fuzztsan out/fuzztsan/fuzz/fuzz_remote
        run ! env TSAN_OPTIONS=halt_on_error=1 "$BATS_TEST_TMPDIR/$bug/out/fuzztsan/fuzz/fuzz_remote" -runs=1 \
            "$BATS_TEST_TMPDIR/input"
        [[ $output == *"WARNING: ThreadSanitizer: data race"* ]]
    done
}

@test "fuzz_oom" { fuzzed fuzz_oom; }
@test "fuzz_large" { fuzzed fuzz_large; }
@test "fuzz_options" { fuzzed fuzz_options; }
@test "fuzz_log" { fuzzed fuzz_log; }
@test "fuzz_real_threads, under AddressSanitizer and ThreadSanitizer" {
    fuzzed fuzz_real_threads
    [[ $output == *"under ThreadSanitizer, nothing found"* ]]
}

@test "an input is written as an operation log" {
    seed=$(find fuzz/corpus/fuzz_api -type f | sort | tail -n 1)
    FUZZ_OPLOG=$BATS_TEST_TMPDIR/log out/fuzz/fuzz/fuzz_api "$seed"
    [ "$(head -c 8 "$BATS_TEST_TMPDIR/log")" = HAKOPLOG ]
}

@test "the checked-in inputs are small, and reach 95 % of core/'s lines" {
    [ "$(find fuzz/corpus fuzz/regressions -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')" -lt 1000000 ]
    run ./build.sh fuzz-coverage "$BATS_TEST_TMPDIR/coverage"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [ -s "$BATS_TEST_TMPDIR/coverage/html/index.html" ]
}

# The flags that OSS-Fuzz sets for SANITIZER=address and the engine libFuzzer.
@test "OSS-Fuzz's build script makes targets with seeds that run" {
    export SRC=$BATS_TEST_TMPDIR/src WORK=$BATS_TEST_TMPDIR/build OUT=$BATS_TEST_TMPDIR/out
    export CC=clang CXX=clang++ SANITIZER=address FUZZING_ENGINE=libfuzzer ARCHITECTURE=x86_64
    export LIB_FUZZING_ENGINE=-fsanitize=fuzzer
    export CFLAGS="-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION \
        -fsanitize=address -fsanitize-address-use-after-scope -fsanitize=fuzzer-no-link"
    export CXXFLAGS=$CFLAGS
    mkdir "$SRC" "$WORK" "$OUT" "$BATS_TEST_TMPDIR/seeds"
    ln -s "$HAK_ROOT" "$SRC/hakmem"
    fuzz/oss-fuzz/build.sh
    [ ! -e "$OUT/fuzz_canary" ]
    for target in fuzz_api fuzz_threads fuzz_refill fuzz_remote fuzz_oom fuzz_large fuzz_options fuzz_log fuzz_real_threads; do
        unzip -q -o "$OUT/${target}_seed_corpus.zip" -d "$BATS_TEST_TMPDIR/seeds/$target"
        (cd "$OUT" && "./$target" -max_total_time=1 "$BATS_TEST_TMPDIR/seeds/$target")
    done
    [ -s "$OUT/fuzz_options.dict" ]
}

@test "AFL++ builds and runs the same targets" {
    command -v afl-clang-fast >/dev/null || skip "needs afl++"
    export AFL_QUIET=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1
    export ASAN_OPTIONS=abort_on_error=1:symbolize=0:detect_leaks=0
    make -s -j"$(nproc)" VARIANT=fuzz OUT="$BATS_TEST_TMPDIR/afl" CC=afl-clang-fast CXX=afl-clang-fast++ WARNINGS=-w \
        VARIANT_FUZZ_CFLAGS= VARIANT_CORE_CFLAGS="-include verify/virtual/sections.h -include verify/virtual/yields.h" fuzzers
    mkdir "$BATS_TEST_TMPDIR/seeds"
    for target in fuzz_api fuzz_canary; do
        printf '\1\0\0\0\0\0\0\0\40\0\3\0\0\0\40\0' >"$BATS_TEST_TMPDIR/seeds/two"
        # The canary runs until its bug is found, the other target for five seconds.
        unset AFL_BENCH_UNTIL_CRASH
        seconds=5
        [ "$target" != fuzz_canary ] || { export AFL_BENCH_UNTIL_CRASH=1 && seconds=1800; }
        afl-fuzz -V "$seconds" -t 20000 -m none -i "$BATS_TEST_TMPDIR/seeds" -o "$BATS_TEST_TMPDIR/$target" -- \
            "$BATS_TEST_TMPDIR/afl/fuzz/$target" >"$BATS_TEST_TMPDIR/$target.log" 2>&1
        grep -E '^(execs_done|saved_crashes)' "$BATS_TEST_TMPDIR/$target/default/fuzzer_stats"
    done
    grep -qE '^saved_crashes *: 0' "$BATS_TEST_TMPDIR/fuzz_api/default/fuzzer_stats"
    grep -qE '^saved_crashes *: [1-9]' "$BATS_TEST_TMPDIR/fuzz_canary/default/fuzzer_stats"
}
