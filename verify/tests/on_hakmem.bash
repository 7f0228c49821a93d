# Runs test programs on HAKMEM. Most .bats files load this file. build.sh sets HAK_ROOT and HAK_OUT.

: "${HAK_ROOT:?is not set: run these tests with build.sh test}" "${HAK_OUT:?is not set: run these tests with build.sh test}"

# on_hakmem PROGRAM ARGS...: runs any program with HAKMEM as its malloc, or with the system's malloc
# if HAK_TEST_ANY_ALLOCATOR is set
on_hakmem() {
    if [ -n "${HAK_TEST_ANY_ALLOCATOR:-}" ]; then
        timeout -k 5 "$HAK_TEST_SECONDS" "$@"
    else
        timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$@"
    fi
}

# said_ok: the last `run` succeeded. Its output, stdout and stderr together, is one line that begins
# with "ok: "
said_ok() {
    if [ "$status" -ne 0 ] || [ "${#lines[@]}" -ne 1 ] || [[ "$output" != "ok: "* ]]; then
        printf 'exit status %s, output:\n%s\n' "$status" "$output"
        return 1
    fi
}

# proves NAME ARGS...: the test program NAME ends well. Programs that are named *_linked, *_static
# or *_internal contain HAKMEM.
proves() {
    local name=$1
    shift
    case $name in
    *_linked | *_static | *_internal) run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/$name" "$@" ;;
    *) run on_hakmem "$HAK_OUT/tests/$name" "$@" ;;
    esac
    said_ok
}
