# Failures of the operating system's memory calls.

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
