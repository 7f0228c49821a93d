#!/usr/bin/env bats
# The names that programs expect of a malloc replacement are exported. The list is kept apart from
# the library's own table on purpose: it says what users need, not what the library has.

load ../on_hakmem

libc_names="malloc calloc realloc reallocarray free free_sized free_aligned_sized aligned_alloc posix_memalign memalign
    valloc pvalloc malloc_usable_size malloc_trim malloc_stats malloc_info mallinfo mallinfo2 mallopt"
# These are no functions of an allocator, so they have no hak_ names.
other_names="dlopen dlmopen madvise mlock mlock2 mprotect"

# operator new and delete: mangled names without the common prefix
new_names="wm am wmRKSt9nothrow_t amRKSt9nothrow_t wmSt11align_val_t amSt11align_val_t
    wmSt11align_val_tRKSt9nothrow_t amSt11align_val_tRKSt9nothrow_t"
delete_names="lPv aPv lPvm aPvm lPvRKSt9nothrow_t aPvRKSt9nothrow_t lPvSt11align_val_t aPvSt11align_val_t
    lPvmSt11align_val_t aPvmSt11align_val_t lPvSt11align_val_tRKSt9nothrow_t aPvSt11align_val_tRKSt9nothrow_t"

expected_names() {
    local name
    for name in $libc_names; do printf '%s\nhak_%s\n' "$name" "$name"; done
    for name in $other_names; do printf '%s\n' "$name"; done
    for name in $new_names; do printf '_Zn%s\n' "$name"; done
    for name in $delete_names; do printf '_Zd%s\n' "$name"; done
}

# missing_from FILE NM_OPTION...: the expected names that FILE does not define as functions
missing_from() {
    local file=$1
    shift
    nm "$@" "$file" | awk 'NF > 1 && $(NF-1) ~ /^[TWi]$/ { sub(/@.*/, "", $NF); print $NF }' | sort -u >"$BATS_TEST_TMPDIR/have"
    expected_names | sort -u | comm -23 - "$BATS_TEST_TMPDIR/have"
}

@test "the shared library exports every name" {
    run missing_from "$HAK_OUT/libhakmem.so" -D --defined-only
    [ "$output" = "" ]
}

@test "the static library defines every name" {
    run missing_from "$HAK_OUT/libhakmem.a" --defined-only
    [ "$output" = "" ]
}

@test "every function declared in hakmem.h is exported" {
    declared=$(grep -o 'hak_[a-z0-9_]*(' "$HAK_ROOT/core/hakmem.h" | tr -d '(' | sort -u)
    exported=$(nm -D --defined-only "$HAK_OUT/libhakmem.so")
    [ "$(wc -w <<<"$declared")" -ge 19 ]
    for name in $declared; do
        grep -q " [TW] $name\$" <<<"$exported" || {
            echo "$name is declared, but not exported"
            return 1
        }
    done
}
