#!/usr/bin/env bats
# On kernels that lack a system call, and in sandboxes that refuse one, HAKMEM does what each row
# of the table in docs/using.md says. The libraries need no newer glibc than that page names.

load ../on_hakmem
load ../planted

errors=(EPERM ENOSYS EINVAL ENOMEM)

setup() {
    bats_require_minimum_version 1.5.0
    export HAKMEM_PURGE_DELAY_MS=3600000 # only a trim gives memory back
}

# rows: prints the rows of the table "system calls" as "calls|back|report|clone"; each call is in
# backquotes
rows() {
    awk -F' *[|] *' '/^\| system calls /{ table = 1; next } table && !/^\|/{ exit }
                     table && !/^\|---/{ print $2 "|" $5 "|" $6 "|" $7 }' "$HAK_ROOT/docs/using.md"
}

# calls_of CELL: prints the calls of the cell, one a line; `none` has none, `all` has those of all
# rows that are not needed
calls_of() {
    case $1 in
    '`none`') ;;
    '`all`') rows | awk -F'|' '$2 != "needed"' | grep -o '`[^`]*`' | sed 's/`//g' | grep -vx 'all\|none' | sort -u ;;
    *) grep -o '`[^`]*`' <<<"$1" | tr -d '`' ;;
    esac
}

# refused ERROR CELL COMMAND...: runs the command without the cell's calls, which answer ERROR
refused() {
    local error=$1 calls
    mapfile -t calls < <(calls_of "$2")
    shift 2
    run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/refuses" "$error" "${calls[@]}" -- "$@"
}

# each_row PATTERN COMMAND LEAST MOST: calls the function COMMAND for each row whose first two
# cells match PATTERN, with an error and the row's cells. At least LEAST rows must match. Each row
# is tried with MOST of the four errors, in the quick run with one.
each_row() {
    local calls back report clone count=0 most=$4
    [ "${HAK_TEST_QUICK:-0}" != 1 ] || most=1
    while IFS='|' read -r calls back report clone; do
        [[ "$calls|$back" =~ $1 ]] || continue
        count=$((count + 1))
        for ((n = count; n < count + most; n++)); do
            error=${errors[n % 4]}
            "$2" "$error" "$calls" "$back" "$report" "$clone"
            if ! said_ok; then
                echo "without $calls, which answer $error: freed memory goes back: $back, an error: $report, a raw clone: $clone"
                return 1
            fi
        done
    done < <(rows)
    [ "$count" -ge "$3" ]
}

works() { refused "$1" "$2" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/works_anyway" "$3" "$4"; }
refuses_memory() { refused "$1" "$2" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/no_memory_is_an_answer"; }
clones() { refused "$1" "$2" "$HAK_OUT/tests/raw_clone_internal" "$5"; }

optional='[|](at once|later|in part|no)$'

@test "without each optional call, and without all of them, all works as the table says" { each_row "$optional" works 24 4; }
@test "a purge that only says that it is done is noticed" {
    works NOTHING '`madvise MADV_DONTNEED`' 'in part' 'line, SIGABRT'
    said_ok
    for program in calloc_zero realloc_keeps; do
        refused NOTHING '`madvise MADV_DONTNEED`' env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/$program"
        said_ok
    done
}
@test "seen: a purge that nobody tried first" {
    planted release untried
    sed -i 's/HAK_UNLIKELY(found != DOES_IT) \&\&/false \&\&/' core/os.c
    run ! cmp -s core/os.c "$HAK_ROOT/core/os.c"
    make -s VARIANT=release out/release/libhakmem.so
    refused NOTHING '`madvise MADV_DONTNEED`' env LD_PRELOAD="$PWD/out/release/libhakmem.so" "$HAK_OUT/tests/calloc_zero"
    [ "$status" -ne 0 ]
    [[ $output == *" fails: "* ]]
}
@test "without a call that is needed, every request is refused" { each_row '[|]needed$' refuses_memory 3 4; }
@test "a child of a raw clone knows that it is new, or waits, as the table says" {
    if [ "${HAK_TEST_QUICK:-0}" = 1 ]; then
        each_row '(none|WIPEONFORK|madvise`).*'"$optional" clones 3 1
    else
        each_row "$optional" clones 24 1
    fi
}

# without_handlers CALLS: a process forks without these calls, and libc refuses its handlers
without_handlers() {
    gcc -Wall -Wextra -shared -fPIC -o "$BATS_TEST_TMPDIR/no_handlers.so" "$BATS_TEST_DIRNAME/programs/no_fork_handlers.c"
    refused EPERM "$1" env LD_PRELOAD="$BATS_TEST_TMPDIR/no_handlers.so $HAK_OUT/libhakmem.so" "$HAK_OUT/tests/handlers_of_fork_refused"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 2 ]
    [ "${lines[0]}" = "hakmem: no memory for the handlers of fork: a child loses what other threads had" ]
    [[ ${lines[1]} == "ok: "* ]]
}

@test "libc has no memory for the handlers of fork: one line, and children work" { without_handlers '`none`'; }

# The newest glibc version that a library needs is the one in the table.
@test "the libraries need the glibc that the docs name" {
    for library in libhakmem.so libhakmem_prefixed.so; do
        needed=$(readelf -VW "$HAK_ROOT/out/release/$library" | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1)
        named=$(sed -n "s/^| \`$library\` | \([0-9.]*\) |\$/\1/p" "$HAK_ROOT/docs/using.md")
        echo "$library: $needed, docs: $named"
        [ "$needed" = "GLIBC_$named" ]
    done
}
