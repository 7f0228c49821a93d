#!/usr/bin/env bats
# Real programs do the same on HAKMEM as on the system's malloc, and the script that compares them
# sees when they do not.

setup() {
    bats_require_minimum_version 1.5.0
    cd "$HAK_ROOT"
}

same_output() {
    run ci/programs.sh "$1"
    [ "$status" -eq 0 ]
    [[ $output =~ ^"same output: $1 ("[0-9.]+' s system, '[0-9.]+' s hakmem)'$ ]]
}

@test "clang builds HAKMEM" { same_output clang; }
@test "gcc builds HAKMEM" { same_output gcc; }
@test "git commits, merges, clones, packs and checks" { same_output git; }
@test "node's worker threads exchange buffers" { same_output node; }
@test "perl builds hashes, sorts, matches and forks" { same_output perl; }
@test "PHP's extensions parse, convert, query and fork" { same_output php; }
@test "CPython compiles its standard library" { same_output python-compileall; }
@test "CPython passes its own tests" { same_output python-tests; }
@test "redis-server serves redis-benchmark's clients" { same_output redis; }
@test "sqlite3 fills, queries, changes and vacuums a table" { same_output sqlite3; }
@test "z3 proves theorems in the same steps" { same_output z3; }

@test "the debug build's assertions hold in all of them" {
    HAK_TEST_QUICK=1 HAK_OUT=$HAK_ROOT/out/debug run ci/programs.sh
    [ "$status" -eq 0 ]
}

@test "no program is without a test here" {
    run -0 ci/programs.sh --list
    [ "${#lines[@]}" -eq 11 ]
    for name in "${lines[@]}"; do
        grep -q "{ same_output $name; }" "$BATS_TEST_FILENAME"
    done
}

# stand_in FLAGS…: builds an allocator library, with the fault that FLAGS name, to try instead of
# HAKMEM.
stand_in() {
    export HAK_PRELOAD=$BATS_TEST_TMPDIR/libforwards.so
    gcc -O1 -shared -fPIC -fno-builtin "$@" -o "$HAK_PRELOAD" verify/tests/programs/stand_in/forwards.c
}

# tries WORKLOAD: runs a copy of the driver on one program that is made up for the test.
tries() {
    mkdir -p "$BATS_TEST_TMPDIR/ci/programs"
    cp ci/programs.sh ci/packages.txt "$BATS_TEST_TMPDIR/ci"
    printf 'needs=(%s)\nsubjects=(perl)\nworkload() { %s; }\n' "${needs:-perl}" "$1" \
        >"$BATS_TEST_TMPDIR/ci/programs/made.sh"
    run "$BATS_TEST_TMPDIR/ci/programs.sh" made
}

@test "the check passes an allocator without faults" {
    stand_in
    HAK_TEST_QUICK=1 run ci/programs.sh perl sqlite3
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "same output: perl ("*" s forwards)" ]]
    [[ ${lines[1]} == "same output: sqlite3 ("*" s forwards)" ]]
}

@test "the check sees one spoilt byte" {
    stand_in -DFAULT=FAULT_REALLOC_SPOILS
    tries 'perl -e "\$text .= \"number \$_, \" for 1 .. 2000; print \$text"'
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "different out: made" ]]
}

@test "the check sees a word on stderr" {
    stand_in -DFAULT=FAULT_CHATTER
    tries "perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "different err: made" ]]
    [[ $output == *"+forwards: ready"* ]]
}

@test "the check sees another exit status" {
    stand_in -DFAULT=FAULT_ENDS_BADLY
    tries "perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "different status: made" ]]
    [[ $output == *"+7"* ]]
}

@test "the check sees a function that stays libc's" {
    stand_in -DLACKS_REALLOC
    tries "perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "not on forwards: made" ]]
    [[ $output == *"perl got realloc from "*libc.so* ]]
}

@test "the check sees a process that runs without the library" {
    stand_in
    tries "env -u LD_PRELOAD perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "not on forwards: made" ]]
    [[ $output == *"no process of perl got its allocation functions from "*/libforwards.so* ]]
}

@test "the check sees a library that the loader refuses" {
    export HAK_PRELOAD=$BATS_TEST_TMPDIR/libtext.so
    echo text >"$HAK_PRELOAD"
    tries "perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "different err: made" ]]
}

@test "the check refuses to run without a library" {
    HAK_PRELOAD=$BATS_TEST_TMPDIR/none.so run ci/programs.sh perl
    [ "$status" -eq 2 ]
    [ "$output" = "no library to try: $BATS_TEST_TMPDIR/none.so" ]
}

@test "a missing program is a failure and names the packages" {
    stand_in
    needs="perl no-such-program" tries "perl -e 'print 1'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "missing: made needs no-such-program; "* ]]
    [[ ${lines[1]} == *"apt-get install "*" sqlite3"* ]]
}

@test "a workload that fails or says nothing on the system's malloc proves nothing" {
    stand_in
    tries "perl -e 'exit 3'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "failed on the system's malloc: made: exit status 3" ]]
    tries "perl -e 1"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "no output: made" ]]
}

@test "a hanging workload ends" {
    stand_in
    HAK_TEST_SECONDS=30 tries "perl -e 'print 1; sleep 600 if \$ENV{LD_PRELOAD}'"
    [ "$status" -eq 1 ]
    [[ ${lines[0]} == "different status: made" ]]
    [[ $output == *"+124"* ]]
}

# is_gone PROCESS: the process has ended; its parent may not have asked for its exit status yet.
is_gone() { ! grep '^State:' "/proc/$1/status" 2>/dev/null | grep -qv Z; }

@test "nothing that a workload started stays" {
    stand_in
    tries "perl -e 'print 1'; sleep 60 & echo \$! >>\"\$root/left\""
    [ "$status" -eq 0 ]
    [ "$(wc -l <"$BATS_TEST_TMPDIR/left")" -eq 2 ]
    while read -r process; do
        is_gone "$process"
    done <"$BATS_TEST_TMPDIR/left"
}

@test "an interrupted check takes its programs and files with it" {
    stand_in
    export TMPDIR=$BATS_TEST_TMPDIR/tmp
    mkdir "$TMPDIR" "$BATS_TEST_TMPDIR/ci" "$BATS_TEST_TMPDIR/ci/programs"
    cp ci/programs.sh "$BATS_TEST_TMPDIR/ci"
    printf 'needs=(perl)\nsubjects=(perl)\nworkload() { echo $$ >"$root/left"; perl -e "sleep 60"; }\n' \
        >"$BATS_TEST_TMPDIR/ci/programs/made.sh"
    "$BATS_TEST_TMPDIR/ci/programs.sh" made 3>&- &
    driver=$!
    until [ -s "$BATS_TEST_TMPDIR/left" ]; do sleep 0.05; done
    kill "$driver"
    ended=0
    wait "$driver" || ended=$?
    [ "$ended" -eq 143 ]
    is_gone "$(<"$BATS_TEST_TMPDIR/left")"
    [ -z "$(ls "$TMPDIR")" ]
}
