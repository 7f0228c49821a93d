# Runs test programs on HAKMEM. Loaded by every .bats file here; build.sh gives HAK_ROOT and HAK_OUT.

: "${HAK_ROOT:?is not set: run these tests with build.sh test}" "${HAK_OUT:?is not set: run these tests with build.sh test}"

# on_hakmem PROGRAM ARGS...: any program, with HAKMEM as its malloc.
on_hakmem() {
    if [ -n "${HAK_TEST_ANY_ALLOCATOR:-}" ]; then
        timeout -k 5 "$HAK_TEST_SECONDS" "$@"
    else
        timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$@"
    fi
}

# said_ok: the last `run` succeeded and printed its one "ok" line, and nothing else on stdout or stderr.
said_ok() {
    if [ "$status" -ne 0 ] || [ "${#lines[@]}" -ne 1 ] || [[ "$output" != "ok: "* ]]; then
        printf 'exit status %s, output:\n%s\n' "$status" "$output"
        return 1
    fi
}

# proves NAME ARGS...: the test program NAME ends well. *_linked and *_static programs carry HAKMEM themselves.
proves() {
    local name=$1
    shift
    case $name in
    *_linked | *_static | *_internal) run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/$name" "$@" ;;
    *) run on_hakmem "$HAK_OUT/tests/$name" "$@" ;;
    esac
    said_ok
}
