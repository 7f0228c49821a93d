#!/usr/bin/env bats
# The audit reads no memory that is not there, whatever a stack is and wherever its outermost frame
# leads. It names the functions that allocated.

setup_file() {
    local built
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib >&2
    for built in "-O0 -fno-omit-frame-pointer" "-O2 -fomit-frame-pointer"; do
        # On other machines than x86-64 this fails, and the tests are skipped.
        # shellcheck disable=SC2086
        "${CC:-gcc}" -w -g $built -pthread "$HAK_ROOT/verify/tests/audit/programs/stacks.c" \
            -o "$BATS_FILE_TMPDIR/stacks${built##* }" || true
    done
}

setup() {
    [ "$(uname -m)" = x86_64 ] || skip "has assembly of x86-64"
    bats_require_minimum_version 1.5.0
    export HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_LEAKS=1
}

# stack KIND FLAGS UNWIND FUNCTION...: the program ends well. The stack of who allocated its blocks
# has these functions, the innermost first.
stack() {
    local kind=$1 flags=$2 unwind=$3 said
    shift 3
    run timeout "$HAK_TEST_SECONDS" env HAKMEM_AUDIT_UNWIND="$unwind" LD_PRELOAD="$HAK_ROOT/out/audit/libhakmem.so" \
        "$BATS_FILE_TMPDIR/stacks$flags" "$kind"
    printf '%s %s, unwind %s: status %s\n%s\n' "$kind" "$flags" "$unwind" "$status" "$output"
    [ "$status" -eq 0 ]
    said=$(grep -A "$#" -E 'still live: (40|80|120) bytes in [123] blocks?' <<<"$output" |
        sed -nE 's/^hakmem: audit: .* #[0-9] ([^ ]+).*/\1/p' | sed -E 's/^libc\.so.*|^__restore_rt.*/libc/' | xargs)
    [ "$said" = "$*" ]
}

# walks KIND FUNCTION...: the same for code with frame pointers, by both ways to walk; for code
# without frame pointers, at least the first function is right
walks() {
    local kind=$1
    shift
    stack "$kind" -fno-omit-frame-pointer 0 "$@"
    stack "$kind" -fno-omit-frame-pointer 1 "$@"
    stack "$kind" -fomit-frame-pointer 0 "$1"
    stack "$kind" -fomit-frame-pointer 1 "$1"
}

@test "a frame pointer to the page behind the stack" { walks fp_behind_the_end take entry; }
@test "a frame pointer to the last word of the stack" { walks fp_at_the_last_word take entry; }
@test "a frame pointer to the last two words of the stack" { walks fp_at_the_last_two_words take entry; }
@test "a frame pointer into a hole above" { walks fp_far_above take entry; }
@test "a frame pointer to a stack that was there before" { walks fp_on_a_stack_that_is_gone take entry; }
@test "a return address to nowhere" { walks back_to_nowhere take entry; }
@test "a return address to data" { walks back_to_data take entry; }
@test "a return address into a function whose frame would end behind the stack" { walks back_into_a_wide_frame take entry wide; }

@test "a context of makecontext" { walks context take coroutine libc; }
@test "a context of makecontext in a thread" { walks context_in_thread take coroutine libc; }
@test "a thread on a stack that the program gave" { walks thread_on_given_stack take in_thread start_thread; }
@test "a signal's handler" { walks signal_here take on_signal; }
@test "a signal's handler on the alternate stack" { walks signal_on_alternate_stack take on_signal; }
@test "unwind tables lead through a signal's frame to the function that it interrupted" {
    for kind in signal_here signal_on_alternate_stack; do
        stack "$kind" -fno-omit-frame-pointer 1 take on_signal libc interrupted
    done
}
