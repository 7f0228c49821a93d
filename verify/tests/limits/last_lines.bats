#!/usr/bin/env bats
# Lines that HAKMEM writes when the program ends go to the file that was stderr when the program
# began, whatever the program has done to stderr since, and to no other file.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib >&2
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export HAKMEM_STATS=1
}

# ends LINES KIND ARGS...: ends_without_stderr succeeds; ./err has LINES lines "hakmem: live blocks"
ends() {
    local count=$1 status=0
    shift
    on_hakmem "$HAK_OUT/tests/ends_without_stderr" "$@" >out 2>err || status=$?
    printf '%s: status %s\n' "$1" "$status"
    cat out err
    [ "$status" -eq 0 ]
    [ "$(grep -c '^hakmem: live blocks up to 52 KiB: [0-9]*$' err)" -eq "$count" ]
}

# reports PROGRAM ARGS...: stderr of a program of the system has the statistics once, and nothing
# else
reports() {
    LD_PRELOAD=$HAK_OUT/libhakmem.so "$@" >out 2>err
    cat err
    [ "$(grep -c '^hakmem: live blocks up to 52 KiB: [0-9]*$' err)" -eq 1 ]
    [ "$(grep -cv '^hakmem: ' err)" -eq 0 ]
}

@test "programs that close stderr before they end: ls, sort, cat, cp, date" {
    reports ls /
    reports sort /etc/passwd
    reports cat /etc/passwd
    reports cp /etc/passwd copy
    reports date
}

@test "a program that leaves stderr as it is" { ends 1 stay; }
@test "a program that closes stderr" { ends 1 close_it; }
@test "a program that gives the number to another file" {
    ends 1 reuse data
    [ "$(cat data)" = data ]
}
@test "a program that closes all files, and gives the number to another" {
    ends 0 close_all_and_reuse data
    [ "$(cat data)" = data ]
}
@test "a program that gives all numbers to another file" {
    ends 0 reuse_all data
    [ "$(cat data)" = data ]
}
@test "a daemon: at the terminal where it began" {
    # cat waits until the daemon has ended.
    on_hakmem "$HAK_OUT/tests/ends_without_stderr" become_daemon 2>&1 | cat >err
    cat err
    [ "$(grep -c '^hakmem: live blocks up to 52 KiB: [0-9]*$' err)" -eq 1 ]
}
@test "no stderr from the beginning: nothing is written to the file that has its number" {
    on_hakmem "$HAK_OUT/tests/ends_without_stderr" reuse data 2>&-
    [ "$(cat data)" = data ]
}
@test "few files are allowed" {
    ulimit -n 20
    ends 1 close_it
}
@test "the duplicate ends with exec, and is there only if it is wanted" {
    HAKMEM_STATS=0 ends 0 count_files
    local without
    without=$(cat out)
    ends 1 count_files
    [ "$(cat out)" = "$((${without% files} + 1)) files" ]
    ends 0 exec_and_count
    [ "$(cat out)" = "$without" ]
}

@test "the audit's last lines" {
    export HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_SUMMARY=1 HAKMEM_STATS=0
    HAK_OUT=$HAK_ROOT/out/audit
    run env LD_PRELOAD="$HAK_OUT/libhakmem.so" ls /nowhere
    echo "$output"
    [[ ${lines[-1]} == "hakmem: audit: level 2: checked "*": nothing found" ]]
    HAKMEM_AUDIT_SUMMARY=0 HAKMEM_AUDIT_LEAKS=1 HAKMEM_AUDIT_SYMBOLIZER=/nonexistent run env LD_PRELOAD="$HAK_OUT/libhakmem.so" ls /
    echo "$output"
    [[ $output == *"hakmem: audit: still live: "* ]]
}
