# HAK_STRESS_SECONDS: how long the first test runs (default: 60; for a full proof: 600)

@test "16 threads, cross-thread frees: all equations hold, nothing is lost" {
    seconds=${HAK_STRESS_SECONDS:-60}
    [ "${HAK_TEST_QUICK:-0}" = 1 ] && seconds=5
    run "$HAK_OUT/tests/stress_internal" "$seconds"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "ok: "* ]]
}

@test "the same with all assertions of the debug build" {
    seconds=20
    [ "${HAK_TEST_QUICK:-0}" = 1 ] && seconds=3
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=debug out/debug/tests/stress_internal >&2
    run "$HAK_ROOT/out/debug/tests/stress_internal" "$seconds" 7
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "ok: "* ]]
}
