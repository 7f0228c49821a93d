# Calls of the operating system that give or move memory fail.

@test "the k-th OS call fails, once or for ever: ENOMEM, nothing lost, all goes on" {
    run "$HAK_OUT/tests/os_call_fails_internal"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "ok: each of "* ]]
}

@test "the range cannot be reserved: it is halved, or requests fail and are tried again" {
    for call in 0 1 2 3 4 5 6 7 10; do
        for mode in once ever; do
            run "$HAK_OUT/tests/no_range_internal" "$call" "$mode"
            echo "call $call $mode: $output"
            [ "$status" -eq 0 ]
            [[ "${lines[-1]}" == "ok: "* ]]
        done
    done
}

@test "the k-th OS call fails under all assertions of the debug build" {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=debug out/debug/tests/os_call_fails_internal >&2
    HAK_TEST_QUICK=1 run "$HAK_ROOT/out/debug/tests/os_call_fails_internal"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "realloc to a smaller size succeeds where there is no memory" {
    run "$HAK_OUT/tests/shrink_when_refused_internal"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a range of which nothing can be committed is given back" {
    run "$HAK_OUT/tests/refused_range_is_returned_internal"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "metadata is taken page by page where a step is refused" {
    run "$HAK_OUT/tests/metadata_page_by_page_internal"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a free span is found behind many that are too short" {
    run bash -c 'ulimit -v 1500000; "$HAK_OUT/tests/free_span_is_found_internal"'
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "a purge has failed: zeroes all the same" {
    run "$HAK_OUT/tests/realloc_after_failed_purge_internal"
    echo "$output"
    [ "$status" -eq 0 ]
}

@test "the kernel moves a part of a block, and then refuses" {
    run env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/move_stops_half_way"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[-1]}" == "ok: "* ]]
}

@test "the kernel fails to move or map anew: refused, after it has unmapped the place, and when another thread has taken that" {
    for kind in move renew; do
        for way in EINVAL ENOMEM hole taken; do
            # After ENOMEM, a renewal finds its own pages still mapped, as after EINVAL.
            [ "$kind $way" != "renew ENOMEM" ] || continue
            run "$HAK_OUT/tests/remapping_fails_half_way_internal" "$kind" "$way"
            echo "$kind, $way: $output"
            [ "$status" -eq 0 ]
        done
    done
}
