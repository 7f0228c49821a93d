#!/usr/bin/env bats
# The sources: format, warnings, layers, scripts.

setup() {
    bats_require_minimum_version 1.5.0
    cd "$HAK_ROOT"
}

sources() { find core bench verify fuzz -name '*.[ch]' -o -name '*.cc'; }

@test "clang-format has nothing to change" {
    # Versions disagree in small things; this is the one that the sources are formatted with.
    [[ $(clang-format --version) == *" 14."* ]] || skip "needs clang-format 14"
    # The places only: what is wrong there, clang-format -i mends.
    run ! grep -o '^.*: error' <(sources | xargs clang-format --dry-run -Werror 2>&1)
}

@test "gcc and clang build every variant's library and benchmarks without a warning" {
    for compiler in gcc clang; do
        for variant in release debug; do
            make --no-print-directory -s -j"$(nproc)" CC="$compiler" VARIANT="$variant" \
                OUT="$BATS_TEST_TMPDIR/$compiler-$variant" all
        done
    done
}

@test "a warning stops the build" {
    mkdir "$BATS_TEST_TMPDIR/copy"
    cp -r Makefile ci core bench "$BATS_TEST_TMPDIR/copy"
    mkdir "$BATS_TEST_TMPDIR/copy/verify"
    [ ! -e verify/hooks.h ] || cp verify/hooks.h "$BATS_TEST_TMPDIR/copy/verify"
    cd "$BATS_TEST_TMPDIR/copy"
    printf 'int hak_planted(long wide);\nint hak_planted(long wide) { return wide; }\n' \
        >core/planted.c
    for compiler in gcc clang; do
        run ! make CC="$compiler" OUT="$compiler" "$compiler/obj/core/planted.o"
        [[ $output == *conversion* ]]
    done
}

@test "core/ keeps the layer order" {
    ci/check_layers.sh
}

@test "the layer check sees a violation" {
    mkdir -p "$BATS_TEST_TMPDIR/core"
    cp core/*.[ch] core/*.def "$BATS_TEST_TMPDIR/core"
    if [ -e verify/hooks.h ]; then
        mkdir "$BATS_TEST_TMPDIR/verify"
        cp verify/hooks.h "$BATS_TEST_TMPDIR/verify"
    fi
    ci/check_layers.sh "$BATS_TEST_TMPDIR"
    lines_before=$(wc -l <core/os.c)

    echo '  #  include "core/chunk.h" /* later */' >>"$BATS_TEST_TMPDIR/core/os.c"
    run ci/check_layers.sh "$BATS_TEST_TMPDIR"
    [ "$status" -eq 1 ]
    [ "$output" = "core/os.c:$((lines_before + 1)): includes core/chunk.h, which is in a later layer (core/chunk)" ]

    cp core/os.c "$BATS_TEST_TMPDIR/core/os.c"
    echo '#include "verify/audit.h"' >>"$BATS_TEST_TMPDIR/core/os.c"
    run ci/check_layers.sh "$BATS_TEST_TMPDIR"
    [ "$status" -eq 1 ]
    [ "$output" = "core/os.c:$((lines_before + 1)): includes verify/audit.h, which is in no layer" ]

    cp core/os.c "$BATS_TEST_TMPDIR/core/os.c"
    : >"$BATS_TEST_TMPDIR/core/util.h"
    run ci/check_layers.sh "$BATS_TEST_TMPDIR"
    [ "$status" -eq 1 ]
    [ "$output" = "core/util.h: is in no layer" ]
}

@test "the fast path has no conditional compilation" {
    [ -f core/fast.h ]
    run ! grep -nE '^[[:space:]]*#[[:space:]]*(if|else|elif)' <(grep -vE '_H$' core/fast.h)
}

@test "shellcheck has nothing to say" {
    shellcheck build.sh .ci/run
    find ci bench verify fuzz \( -name '*.sh' -o -name '*.bash' -o -name '*.bats' \) -exec shellcheck -x {} +
}

@test "no script closes a pipe before all is read" {
    # Under pipefail the writer's SIGPIPE fails the script: now and then, when the reader was the faster one.
    local scripts
    mapfile -t scripts < <(grep -lr 'pipefail' build.sh ci bench verify fuzz)
    [ ${#scripts[@]} -ge 10 ]
    run ! grep -nE '\| *(head|grep -[a-zA-Z]*[qm])' "${scripts[@]}"
}

@test "no unfinished marks" {
    marks='TO''DO|FIX''ME|XX''X|place''holder|not (yet )?imple''mented'
    run ! grep -rnwE "$marks" core bench verify fuzz ci build.sh Makefile
}

@test "docs/using.md has the table of options that the code has" {
    "$HAK_ROOT/ci/options_doc.sh" --check "$HAK_ROOT/docs/using.md"
}

# steps: "state: those that it may go on to" of core/heap.c's table, one a line
steps() {
    sed -n '/^static const uint8_t steps\[/,/^};/p' "$HAK_ROOT/core/heap.c" |
        sed -nE 's/^ *\[HAK_HEAP_([A-Z]+)\] = (.*),$/\1: \2/p' |
        sed -E 's/TO\(([A-Z]+)\)/\1/g; s/ \|//g; s/ 0$//' | tr '[:upper:]' '[:lower:]' | sort
}

@test "docs/architecture.md has the table of hand-over states that the code has" {
    [ "$(steps | wc -l)" -eq "$(sed -n '/^enum hak_heap_state {/,/HAK_HEAP_STATES/p' "$HAK_ROOT/core/heap.h" | grep -c ',$')" ]
    diff <(steps) <(awk -F' *[|] *' '/^## /{ here = /Who may touch a heap/ } here && /^\| [a-z]+ \| / && $2 != "state" {
        gsub(/, /, " ", $7); print $2 ":" ($7 == "" ? "" : " " $7) }' "$HAK_ROOT/docs/architecture.md" | sort)
}
