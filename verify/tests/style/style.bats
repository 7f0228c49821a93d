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
    cd "$BATS_TEST_TMPDIR/copy"
    printf 'int hak_planted(long wide);\nint hak_planted(long wide) { return wide; }\n' \
        >core/planted.c
    for compiler in gcc clang; do
        run ! make CC="$compiler" OUT="$compiler" "$compiler/obj/core/planted.o"
        [[ $output == *conversion* ]]
    done
}

@test "the files of core/ keep their order, in includes and calls; no file of it is longer than 400 lines" {
    ci/check_layers.py
    run ! grep -vE '^ *([123]?[0-9]?[0-9]|400) |total$' <(wc -l core/*)
}

# planted FILE TEXT MESSAGE: core/ with TEXT added to FILE, of which the check says MESSAGE and no more
planted() {
    rm -rf "$BATS_TEST_TMPDIR/planted"
    mkdir -p "$BATS_TEST_TMPDIR/planted"
    cp -r core "$BATS_TEST_TMPDIR/planted"
    printf '%s\n' "$2" >>"$BATS_TEST_TMPDIR/planted/core/$1"
    run ci/check_layers.py "$BATS_TEST_TMPDIR/planted"
    [ "$status" -eq 1 ]
    [ "$output" = "$3" ]
}

@test "the order's check sees an include, a call and a reference upwards, and a file that it does not know" {
    local at
    at=core/os.c:$(($(wc -l <core/os.c) + 1))
    planted os.c '  #  include "core/range.h" /* later */' "$at: includes core/range.h, which stands after it"
    planted os.c '#include "verify/audit.h"' "$at: includes verify/audit.h, which is not in core/"
    planted util.h '' 'core/util.h: is not in ci/layers.txt'
    planted os.c 'void hak_range_forbid_moves(void); void hak_planted(void) { hak_range_forbid_moves(); }' \
        'core/os.c: calls hak_range_forbid_moves of range.c, which stands after it'
    planted slab.c 'void hak_refill(void); void *hak_planted(void) { return (void *)hak_refill; }' \
        'core/slab.c: calls hak_refill of refill, which stands after it'
    local once=$'#ifndef PLANTED\n#define PLANTED'
    planted home.h "$once"$'\nvoid planted(void) __asm__("hak_refill");
static inline void hak_planted(void) { planted(); }\n#endif' \
        'core/home.h: calls hak_refill of refill, which stands after it'
}

@test "docs/layers.svg is drawn from the calls as they are" {
    ci/check_layers.py --dot >"$BATS_TEST_TMPDIR/layers.dot"
    diff docs/layers.dot "$BATS_TEST_TMPDIR/layers.dot"
    # What was drawn: an edge has its ends as a title.
    diff <(sed -nE 's/^    "([a-z_.]+)" -> "([a-z_.]+)" .*/\1->\2/p' docs/layers.dot | sort) \
        <(sed -nE 's/^<title>([a-z_.]+)&#45;&gt;([a-z_.]+)<.*/\1->\2/p' docs/layers.svg | sort)
}

# inside FILE...: conditional compilation inside of functions
inside() {
    awk 'FNR == 1 { inside = 0 }
         /\) \{$/ && !/^ +(if|for|while|switch)/ { inside = 1 }
         /^\}/ { inside = 0 }
         inside && /^ *# *(if|ifdef|ifndef|else|elif)/ { print FILENAME ":" FNR ": " $0 }' "$@"
}

@test "no function of core/ has conditional compilation inside, the fast path none at all" {
    [ -z "$(inside core/*.[ch] core/*.cc)" ]
    run ! grep -nE '^[[:space:]]*#[[:space:]]*(if|else|elif)' <(grep -vE '_H$' core/fast.h)
    sed 's/^    return atomic_load_explicit(&HAK_THREAD.heap.*/#if HAK_DEBUG\n&\n#endif/' core/heap.h >"$BATS_TEST_TMPDIR/heap.h"
    [[ $(inside "$BATS_TEST_TMPDIR/heap.h") == *": #if HAK_DEBUG" ]]
}

@test "no line is longer than 100 columns" {
    local files
    mapfile -t files < <(sources)
    run ! grep -nE '^.{101}' "${files[@]}"
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

@test "each option is in docs/using.md, read by core/ and set by a test" {
    ci/options_doc.sh --check docs/using.md
}

@test "an option without docs, effect or test is told, with what to do" {
    local row='    X(stats, "STATS"' field=never planted
    field+=_read
    planted="    X($field, \"PLANTED\", \"0 or 1\", 0, 0, 1, \"nothing\") \\\\"
    mkdir "$BATS_TEST_TMPDIR/copy"
    cp -r ci core docs verify "$BATS_TEST_TMPDIR/copy"
    sed -i "s/^$row/$planted\n&/" "$BATS_TEST_TMPDIR/copy/core/policy.h"
    cd "$BATS_TEST_TMPDIR/copy"
    run ! ci/options_doc.sh --check docs/using.md
    [[ $output == *"> | \`HAKMEM_PLANTED\` | 0 or 1 | 0 | 0..1 | nothing |"* ]]
    [[ $output == *"docs/using.md: its table of options is not that of core/policy.h: put the output of ci/options_doc.sh there"* ]]
    [[ $output == *"HAKMEM_PLANTED: nothing in core/ reads policy->$field: read it where the option takes effect"* ]]
    [[ $output == *"HAKMEM_PLANTED: no test in verify/tests sets it: add one that sees its effect"* ]]
    [ "${#lines[@]}" -le 8 ]
}

# wrong_class SED MESSAGE: the compiler says MESSAGE of a table that SED has changed
wrong_class() {
    rm -rf "$BATS_TEST_TMPDIR/copy"
    mkdir "$BATS_TEST_TMPDIR/copy"
    cp -r Makefile ci core "$BATS_TEST_TMPDIR/copy"
    sed -i "$1" "$BATS_TEST_TMPDIR/copy/core/size_class.h"
    run ! diff -q core/size_class.h "$BATS_TEST_TMPDIR/copy/core/size_class.h"
    run ! make -s -C "$BATS_TEST_TMPDIR/copy" OUT=out out/obj/core/size_class.o
    [[ $output == *"$2"* ]] || { echo "$1: $output"; return 1; }
}

@test "a wrong row of the class table does not build, and the message says which rule it breaks" {
    wrong_class 's/X(TINY, 5, 80, 112, 1)/X(TINY, 5, 80, 120, 1)/' 'class table: a stride is a multiple of 16'
    wrong_class 's/X(TINY, 5, 80, 112, 1)/X(TINY, 5, 80, 96, 1)/' 'class table: each row'
    wrong_class 's/X(MID, 4, 1552, 1808, 1)/X(MID, 4, 1808, 1552, 1)/' 'class table: `previous` is the stride of the row before'
    wrong_class 's/X(POOL, 8, 22544, 24592, 4)/X(POOL, 8, 22544, 24576, 4)/' 'class table: a pool stride is a multiple of 1024, and 16 more'
    wrong_class 's/X(POOL, 8, 22544, 24592, 4)/X(POOL, 8, 22544, 24592, 3)/' "class table: a slab has 1, 2 or 4 units"
    wrong_class 's/X(MID, 10, 3600, 4112, 2)/X(MID, 10, 3600, 4112, 1)/' 'class table: too much is left over'
    wrong_class 's/X(TINY, 15, 784, 1040, 1)/X(TINY, 16, 784, 1040, 1)/' 'class table: a tier has 16 classes'
    # A gap and an overlap of the same length.
    wrong_class 's/X(TINY, 5, 80, 112, 1)/X(TINY, 5, 96, 112, 1)/; s/X(TINY, 6, 112, 144, 1)/X(TINY, 6, 96, 144, 1)/' 'initialized field overwritten'
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
