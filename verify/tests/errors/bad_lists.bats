# Free lists that a wild write has damaged, and pointers at the edge of the range.

load ../on_hakmem

# reports KIND LINE: the program ends by SIGABRT and prints LINE, in which addresses are 0x# and
# threads are N
reports() {
    run timeout "$HAK_TEST_SECONDS" "$HAK_OUT/tests/bad_lists_internal" "$1"
    local line
    line=$(printf '%s\n' "${lines[0]}" | sed -E 's/0x[0-9a-f]{6,}/0x#/g; s/thread [0-9]+/thread N/')
    printf 'status %s\nexpected: %s\nprinted:  %s\n' "$status" "$2" "$line"
    [ "$status" -eq 134 ]
    [ "$line" = "$2" ]
}

@test "a free list that runs in a circle" {
    reports circle "hakmem: free(): corrupted free list: pointer 0x#, header 0x22, block 0x#, size 47, tiny class 2, state free, owner thread N, list of tiny class 2"
}

@test "an address inside of a block, with a forged header, is seen at the flush" {
    reports interior "hakmem: free(): corrupted free list: pointer 0x#, header 0x2f, block 0x#, size 1039, tiny class 15, state live, owner thread N, list of tiny class 15"
}

@test "the last address of the range" {
    reports range_end "hakmem: free(): pointer to unused memory: pointer 0x#, in no block"
}

@test "a foreign pointer's message has the range as it is" {
    run timeout "$HAK_TEST_SECONDS" "$HAK_OUT/tests/bad_lists_internal" outside
    printf '%s\n' "$output"
    [ "$status" -eq 134 ]
    [[ ${lines[0]} =~ ^0x[0-9a-f]+-0x[0-9a-f]+$ ]]
    [ "${lines[1]}" = "hakmem: free(): pointer is not from hakmem: pointer 0x10, not in hakmem's range ${lines[0]}" ]
}
