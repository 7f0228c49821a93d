#!/usr/bin/env bats
# C++ programs on HAKMEM: programs that replace some forms of new and delete, and C++ runtimes that
# come late, with a plugin.

load ../on_hakmem

# Mangled names in the order of replaced/each_form.cc.
names=(_Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
    _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t
    _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t
    _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t)

setup_file() {
    local flags=(-D_GNU_SOURCE -I"$HAK_ROOT" -O1 -g -fno-builtin) number
    cd "$BATS_FILE_TMPDIR"
    for number in "${!names[@]}"; do
        gcc "${flags[@]}" -fexceptions -DNUMBER="$number" -DNAME="${names[number]}" -c -o "form$number.o" \
            "$BATS_TEST_DIRNAME/replaced/form.c"
    done
    g++ -std=c++17 "${flags[@]}" -c -o preloaded.o "$BATS_TEST_DIRNAME/replaced/each_form.cc"
    g++ -std=c++17 "${flags[@]}" -DTEST_LINKED -c -o linked.o "$BATS_TEST_DIRNAME/replaced/each_form.cc"

    local late=$BATS_TEST_DIRNAME/late plugin=(-std=c++17 -O1 -fno-builtin -shared -fPIC "$BATS_TEST_DIRNAME/late/plugin.cc")
    gcc "${flags[@]}" -o host "$late/host.c"
    gcc "${flags[@]}" -x c++ -o cxx_host "$late/host.c" -Wl,--no-as-needed -lstdc++
    g++ "${plugin[@]}" -o gnu.so
    g++ "${plugin[@]}" -o alone.so -static-libstdc++ -static-libgcc
    clang++ -stdlib=libc++ -fno-assume-sane-operator-new "${plugin[@]}" -o llvm.so
}

# subsets: prints sets of forms, one a line, by their numbers: none, forms that belong together, all
# forms, each form alone, and some random sets
subsets() {
    local number i
    printf '%s\n' '' '0 8' '1 9' '4 14' '5 15' '2 3 6 7' '10 11 16 17' '0 1 8 9' '0 4 8 14' '4 5 14 15' "${!names[*]}"
    [ "$HAK_TEST_QUICK" = 0 ] || return 0
    for number in "${!names[@]}"; do echo "$number"; done
    RANDOM=7
    for ((i = 0; i < 10; i++)); do
        for number in "${!names[@]}"; do [ $((RANDOM % 3)) -ne 0 ] || printf '%d ' "$number"; done
        echo
    done
}

# each_subset OBJECT LINKER_ARGS...: links and runs the program with each subset.
each_subset() {
    local object=$1 subset number objects count=0
    shift
    cd "$BATS_FILE_TMPDIR"
    while read -r subset; do
        objects=()
        for number in $subset; do objects+=("form$number.o"); done
        g++ -o "$BATS_TEST_TMPDIR/program" "$object" "${objects[@]}" "$@" -pthread
        if [ "$object" = linked.o ]; then run timeout "$HAK_TEST_SECONDS" "$BATS_TEST_TMPDIR/program"; else run on_hakmem "$BATS_TEST_TMPDIR/program"; fi
        echo "replaced: $subset"
        said_ok
        [ "$output" = "ok: ${#objects[@]} forms replaced" ]
        count=$((count + 1))
    done < <(subsets)
    [ "$count" -eq "$([ "$HAK_TEST_QUICK" = 0 ] && echo 41 || echo 11)" ]
}

@test "a program that replaces some forms gets the standard's others, preloaded" { each_subset preloaded.o; }
@test "the same, linked" { each_subset linked.o "$HAK_OUT/libhakmem.a"; }
@test "the same, -static" { each_subset linked.o -static "$HAK_OUT/libhakmem.a"; }
@test "the same in a program that is bound when it starts, at fixed addresses" { each_subset preloaded.o -no-pie -Wl,-z,now; }

# Without optimisation, operator new[] does not jump to operator new, but calls it. Then the caller
# is the library itself.
callers_are_known() { [ "$HAK_VARIANT" != debug ] || skip "not optimised"; }

# plugins HOST ARGS...: a program that loads C++ plugins ends well. The program has no C++ runtime,
# or one of its own; the plugins bring theirs.
plugins() {
    cd "$BATS_FILE_TMPDIR"
    run on_hakmem "$@"
    said_ok
}

@test "a C program loads a C++ plugin: handler, bad_alloc, nothrow" { plugins ./host local ./gnu.so; }
@test "the same for all libraries to see" { plugins ./host global ./gnu.so; }
@test "a plugin that was linked with its runtime statically" { plugins ./host local ./alone.so; }
@test "a plugin on LLVM's runtime" { plugins ./host local ./llvm.so; }
@test "two plugins, each on its own runtime" {
    callers_are_known
    plugins ./host local ./gnu.so ./llvm.so
}
@test "two plugins, one with its runtime inside" {
    callers_are_known
    plugins ./host local ./alone.so ./gnu.so
}
@test "a C++ program whose plugin was linked with LLVM's runtime" { plugins ./cxx_host local ./llvm.so; }
@test "Python loads a C++ plugin" {
    plugins python3 -c 'import ctypes; print("ok: python", ctypes.CDLL("./gnu.so").plugin())'
    [ "$output" = "ok: python 0" ]
}
