#!/usr/bin/env bats
# A program with raised rights prints no addresses, because its caller could use them in an attack.
# The same program without raised rights prints them.

load ../on_hakmem

setup() {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to make a program setuid"
    ulimit -c 0
    folder=$(mktemp -d)
    chmod 711 "$folder"
    install -m 755 "$HAK_OUT/tests/raised_rights_fault_static" "$folder/plain"
    install -m 4755 "$HAK_OUT/tests/raised_rights_fault_static" "$folder/setuid"
    install -m 2755 "$HAK_OUT/tests/raised_rights_fault_static" "$folder/setgid"
    [[ $(findmnt -n -o OPTIONS -T "$folder") != *nosuid* ]] || skip "setuid has no effect here"
}

teardown() {
    [ -z "${folder:-}" ] || rm -r "$folder"
}

# says PROGRAM SECURE KIND LINE: the program runs as the user nobody and prints LINE, in which
# numbers of threads are N and addresses are 0x#
says() {
    run timeout -k 5 "$HAK_TEST_SECONDS" setpriv --reuid=65534 --regid=65534 --clear-groups "$folder/$1" "$3"
    local line
    line=$(sed -E 's/owner thread [0-9]+/owner thread N/; s/0x[0-9a-f]{5,}/0x#/g' <<<"${lines[1]}")
    printf '%s %s: status %s\n%s\nexpected: %s\n' "$1" "$3" "$status" "$output" "$4"
    [ "$status" -eq 134 ] && [ "${#lines[@]}" -eq 2 ]
    [ "${lines[0]}" = "AT_SECURE $2" ]
    [ "$line" = "hakmem: free(): $4" ]
}

# hides KIND RAISED PLAIN: the line with raised rights, and the line without
hides() {
    says setuid 1 "$1" "$2"
    says setgid 1 "$1" "$2"
    says plain 0 "$1" "$3"
}

@test "a double free" {
    hides double_free "double free, size 47, tiny class 2, state free, owner thread N" \
        "double free: pointer 0x#, block 0x#, size 47, tiny class 2, state free, owner thread N"
}
@test "a pointer into a block" {
    hides interior "pointer inside a block, size 47, tiny class 2, state live, owner thread N" \
        "pointer inside a block: pointer 0x#, block 0x#, size 47, tiny class 2, state live, owner thread N"
}
@test "a misaligned pointer into a large block" {
    hides misaligned "misaligned pointer, size 100000, large, state live" \
        "misaligned pointer: pointer 0x#, block 0x#, size 100000, large, state live"
}
@test "a foreign pointer, and the range" {
    hides foreign "pointer is not from hakmem, not in hakmem's range" \
        "pointer is not from hakmem: pointer 0x#, not in hakmem's range 0x#-0x#"
}
@test "a block that went back to the system" {
    hides unused "double free, in no block" "double free: pointer 0x#, in no block"
}
@test "a corrupted list" {
    hides bad_list "corrupted free list, misaligned, list of tiny class 2" \
        "corrupted free list: pointer 0x#, misaligned, list of tiny class 2"
}
