#!/usr/bin/env bats
# A second opinion on the checks. Each thing that a check looks at is broken by hand, in a process
# of its own, and must give exactly its report. by_hand.txt has the reports, and must have a row for
# each check.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit \
        out/audit/tests/break_{batch,heap,core}_audit_internal >&2
}

setup() {
    cd "$HAK_ROOT"
    ulimit -c 0
    export HAKMEM_PURGE_DELAY_MS=3600000 # so no number depends on the time
}

# table PROGRAM LEVEL: the rows of by_hand.txt, "PROGRAM KIND | LEVEL | LINES". Both arguments are
# patterns.
table() { grep -E "^$1 +[a-z_-]+ +\| +$2 +\| " verify/tests/audit/by_hand.txt; }

# normalised COUNT EXPECTED <LINES: the first COUNT lines, without the parts that differ from run to
# run. Where EXPECTED has "# against #", the two numbers become #.
normalised() {
    head -n "$1" | sed -E 's/^hakmem: //; s/0x[0-9a-f]{6,}/0x#/g; s/thread [0-9]+/thread N/
        s/ at (\.\/)?(core\/[a-z_]+\.[ch]):[0-9]+$/ at \2/' |
        if [[ $2 == *"# against #"* ]]; then sed -E 's/[0-9]+ against [0-9]+(, at 0x#)?$/# against #\1/'; else cat; fi
}

# demands PROGRAM LEVEL: each KIND of these rows gives its report. The report ends the program,
# except at the level "signal".
demands() {
    local program kind level expected said lines status rows=0 differences=0
    while IFS='|' read -r program level expected; do
        read -r program kind <<<"$program"
        expected=${expected# } level=${level// /} status=0 rows=$((rows + 1))
        case $level in
        check) export HAKMEM_AUDIT_LEVEL=1 HAKMEM_AUDIT_SIGNAL=0 ;;
        signal) export HAKMEM_AUDIT_LEVEL=1 HAKMEM_AUDIT_SIGNAL=10 ;;
        *) export HAKMEM_AUDIT_LEVEL=$level HAKMEM_AUDIT_SIGNAL=0 ;;
        esac
        timeout "$HAK_TEST_SECONDS" "out/audit/tests/break_${program}_audit_internal" "$kind" >"$BATS_TEST_TMPDIR/said" 2>&1 || status=$?
        expected=${expected// \/\/ /$'\n'}
        lines=$(wc -l <<<"$expected")
        said=$(normalised "$lines" "$expected" <"$BATS_TEST_TMPDIR/said")
        if [ "$said" != "$expected" ] || ! ended_as_it_must; then
            differences=$((differences + 1))
            printf '%s %s at %s ends with status %s\nexpected: %s\nsaid:     %s\n' \
                "$program" "$kind" "$level" "$status" "$expected" "$said"
        fi
    done < <(table "$@")
    [ "$rows" -ne 0 ] && [ "$differences" -eq 0 ]
}

# ended_as_it_must: the status is right for the row that `demands` looks at
ended_as_it_must() {
    case $kind/$level in
    nothing*/*) [ "$status" -eq 0 ] ;;
    */signal) [ "$status" -eq 0 ] && grep -q '^hakmem: audit: the heap is broken: [0-9]* equations' "$BATS_TEST_TMPDIR/said" ;;
    *) [ "$status" -eq 134 ] ;;
    esac
}

# messages FILE...: the messages of the checks in these files, one a line
messages() {
    cat "$@" | tr '\n' ' ' | grep -oE '\b(equal|at_most|expect|fault|hak_audit_report)\([^";]*"[^"]*"' |
        sed 's/^[^"]*"//; s/"$//' | sort -u
}

# conditions FILE...: what HAK_CHECK and HAK_ASSERT in these files print
conditions() {
    perl -0777 -ne 's{/\*.*?\*/}{}gs; while (/\bHAK_(?:CHECK|ASSERT)(\((?:[^()]|(?1))*\))/g) {
        my $c = $1; $c =~ s/\s+/ /g; $c =~ s/^\( ?| ?\)$//g; print "$c at $ARGV\n" unless $c eq "cond" }' "$@" | sort -u
}

# without_row PREFIX SUFFIX <MESSAGES: the messages that no row of the table has between "PREFIX: "
# and SUFFIX
without_row() {
    local message
    while read -r message; do
        grep -qF " $1: $message$2" verify/tests/audit/by_hand.txt || printf '%s\n' "$message"
    done
}

@test "the audit at level 1 reports what was broken" { demands batch 1; }
@test "the audit at level 2 reports what was broken" { demands batch 2; }
@test "the audit at level 3 reports what was broken anywhere in the heap" { demands '(batch|heap)' 3; }
@test "hak_heap_check reports what was broken" { demands heap check; }
@test "the signal's check reports what was broken" { demands heap signal; }
@test "the allocator's own checks report what was broken" { demands core 0; }

@test "every kind is in the table" {
    for program in batch heap core; do
        diff <(sed -nE 's/^ *KIND\(([a-z_]+)\),/\1/p' "verify/tests/audit/break_${program}_audit_internal.c" | sort) \
            <(table "$program" '[a-z0-9]+' | awk '{ print $2 }' | sort -u)
    done
}

@test "every check of the audit and of the whole heap is in the table" {
    [ "$(messages verify/audit.c verify/audit_block.c | wc -l)" -ge 40 ]
    [ "$(messages verify/heap_check*.c | wc -l)" -ge 80 ]
    [ -z "$(messages verify/audit.c verify/audit_block.c | without_row "audit: broken" ": " | tee /dev/stderr)" ]
    [ -z "$(messages verify/heap_check*.c | without_row check ": " | tee /dev/stderr)" ]
}

@test "a check that is not in the table is seen" {
    { cat verify/heap_check.c && printf 'void f(struct check *c) {\n    equal(c, "planted = 1",\n 1, 2, c);\n}\n'; } \
        >"$BATS_TEST_TMPDIR/heap_check.c"
    [ "$(messages "$BATS_TEST_TMPDIR/heap_check.c" | without_row check ": ")" = 'planted = 1' ]
}

@test "the table has every check of core, and none that is not there" {
    diff <(conditions core/*.[ch]) \
        <(sed -nE 's/^[a-z]+ .*\| internal check failed: //p' verify/tests/audit/by_hand.txt | sort -u)
}
