#!/usr/bin/env bats
# A faulty program gets exactly one line on stderr, then SIGABRT, and nothing else happens.
# expected.txt has the line for each kind of fault and each target.

load ../on_hakmem

setup() {
    ulimit -c 0
}

table() { grep -v '^#' "$HAK_ROOT/verify/tests/errors/expected.txt"; }

# normalised LINE BLOCK MAIN: addresses near the address BLOCK become B or B+distance, others 0x#;
# HAKMEM's range becomes #-#; the thread MAIN becomes main, others T#
normalised() {
    local line=$1 number distance
    line=$(sed -E "s/(hakmem's range) [-0-9a-fx]+/\1 #-#/; s/owner thread $3\$/owner thread main/; s/owner thread $3,/owner thread main,/
        s/owner thread [0-9]+/owner thread T#/" <<<"$line")
    while read -r number; do
        distance=$((number - $2))
        if ((distance == 0)); then
            line=${line//$number/B}
        elif ((distance > -(1 << 30) && distance < 1 << 30)); then
            line=${line//$number/B$(printf '%+d' "$distance")}
        else
            line=${line//$number/0x#}
        fi
    done < <(grep -oE '0x[0-9a-f]{6,}' <<<"$line" | sort -u)
    printf '%s\n' "$line"
}

# demands PROGRAM KIND: the program ends as the table says, for each target that the table has for
# this kind
demands() {
    local program=$1 kind=$2 target expected rows=0 differences=0 status about main said
    while IFS='|' read -r row expected; do
        read -r _ target <<<"$row"
        rows=$((rows + 1))
        status=0
        timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/$program" \
            "$kind" "$target" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || status=$?
        read -r about main <"$BATS_TEST_TMPDIR/out" || true
        said=$(normalised "$(cat "$BATS_TEST_TMPDIR/err")" "${about:-0}" "${main:-0}")
        if [ "$status" -ne 134 ] || [ "$said" != "hakmem:$expected" ] ||
            [ "$(wc -l <"$BATS_TEST_TMPDIR/out")" -ne 1 ]; then
            differences=$((differences + 1))
            printf '%s %s ends with status %s\nexpected: hakmem:%s\nstderr:   %s\n' \
                "$kind" "$target" "$status" "$expected" "$said"
        fi
    done < <(table | grep "^$kind ")
    [ "$rows" -ne 0 ] && [ "$differences" -eq 0 ]
}

@test "every kind of fault is in the table" {
    kinds=$(sed -n 's/^[^#]*KIND(\([a-z_0-9]*\)).*/&/p' "$HAK_ROOT"/verify/tests/errors/*.c |
        grep -o 'KIND([a-z_0-9]*)' | sed 's/KIND(//; s/)//' | sort)
    [ "$kinds" = "$(table | cut -d' ' -f1 | sort -u)" ]
}

@test "free of a block that is free" { demands freed_twice double_free; }
@test "double free after others were freed" { demands freed_twice double_free_later; }
@test "double free by another thread" { demands freed_twice double_free_by_thread; }
@test "double free after another thread's free" { demands freed_twice double_free_after_thread; }
@test "double free of an ended thread's block" { demands freed_twice double_free_of_ended_thread; }
@test "double free of a block that went back to its slab" { demands freed_twice double_free_of_flushed; }
@test "double free of memory that went back to the system" { demands freed_twice double_free_after_trim; }
@test "double free of a block between live ones, whose page went back to the system" {
    demands freed_twice double_free_between_live_blocks
}
@test "realloc of a freed block" { demands freed_twice realloc_freed; }
@test "malloc_usable_size of a freed block" { demands freed_twice usable_size_freed; }
@test "free_sized of a freed block" { demands freed_twice free_sized_freed; }

@test "free of an address on the stack" { demands no_block free_stack; }
@test "free of a static variable" { demands no_block free_static; }
@test "free of a mapping" { demands no_block free_mapping; }
@test "free of a small number" { demands no_block free_low_address; }
@test "realloc of a mapping" { demands no_block realloc_mapping; }
@test "malloc_usable_size of a mapping" { demands no_block usable_size_mapping; }
@test "free of a pointer that is off by 1" { demands no_block misaligned_by_1; }
@test "free of a pointer that is off by 8" { demands no_block misaligned_by_8; }
@test "malloc_usable_size of a pointer that is off by 8" { demands no_block usable_size_misaligned; }
@test "free of a pointer 16 bytes into a block" { demands no_block interior_by_16; }
@test "free of a pointer to a block's end" { demands no_block interior_end; }
@test "realloc of a pointer into a block" { demands no_block realloc_interior; }
@test "free of a pointer into a freed block" { demands no_block interior_of_freed; }
@test "free of a pointer into a freed block that was joined with others" { demands no_block interior_of_joined; }
@test "free of memory that was never allocated" { demands no_block never_allocated; }

@test "free of a block whose header is overwritten" { demands overwritten header_overwritten; }
@test "free of a block whose header is zeroed" { demands overwritten header_zeroed; }
@test "realloc of a block whose header is overwritten" { demands overwritten realloc_header_overwritten; }
@test "overflow by one byte into the next block's header" { demands overwritten overflow_by_one; }
@test "a free list that leads to no address" { demands overwritten link_garbage; }
@test "a free list that leads to memory that is not HAKMEM's" { demands overwritten link_outside; }
@test "a free list that leads to a live block" { demands overwritten link_to_live; }
@test "a free list that leads to a misaligned address" { demands overwritten link_off_by_8; }
@test "a free block whose header is overwritten" { demands overwritten free_header_overwritten; }
@test "a free block whose header says live" { demands overwritten free_header_set_live; }

@test "the line is whole if stderr takes a few bytes at a time" {
    run timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/few_bytes_at_a_time"
    printf '%s\n' "$output"
    [ "$status" -eq 134 ] && [ "${#lines[@]}" -eq 1 ]
    [[ $output =~ ^hakmem:\ free\(\):\ double\ free:\ pointer\ (0x[0-9a-f]+),\ block\ (0x[0-9a-f]+),\ size\ 47,\ tiny\ class\ 2,\ state\ free,\ owner\ thread\ [0-9]+$ ]]
    [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ]
}

@test "a fork's child is named by its own number" {
    run timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/freed_twice_in_child"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ] && [ "${#lines[@]}" -eq 2 ]
    child=${lines[1]#ok: child }
    [[ ${lines[0]} == "hakmem: free(): double free: "*", owner thread $child" ]]
}

@test "operator new has no memory and nobody to tell" {
    run timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/new_without_runtime"
    printf '%s\n' "$output"
    [ "$status" -eq 134 ] && [ "${#lines[@]}" -eq 1 ]
    [ "$output" = "hakmem: operator new(): no memory, and no C++ runtime to throw std::bad_alloc: size 9223372036854775807" ]
}
