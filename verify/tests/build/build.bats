#!/usr/bin/env bats
# The build: identity and `verify`, switches, exported symbols, what the libraries need, `run`.

setup_file() {
    # A copy of the sources, with a build of its own. Tests may change the copy.
    export COPY=$BATS_FILE_TMPDIR/copy
    mkdir -p "$COPY"
    cp -r "$HAK_ROOT"/{Makefile,build.sh,ci,core,bench} "$COPY"
    "$COPY/build.sh" release lib
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
}

# program: writes a C program into a file, and prints the file's name
program() {
    printf '%s\n' '#include <stdlib.h>' 'int main(void) {' '    char *volatile p = malloc(100);' \
        '    if (p == NULL) return 1;' '    free(p);' '    return 0;' '}' >program.c
    echo program.c
}

# make_copy ARGS...: runs the copy's Makefile
make_copy() { env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -C "$COPY" "$@"; }

exported_names() { nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort; }

# version: the version in the header
version() { sed -n 's/^#define HAKMEM_VERSION_[A-Z]* *//p' "$HAK_ROOT/core/hakmem.h" | paste -sd.; }

@test "the version is the header's: in the libraries' names, and of another release in another name" {
    [[ $(version) =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
    local major name
    major=$(version) major=${major%%.*}
    for name in libhakmem libhakmem_prefixed; do
        [ "$(readlink "$HAK_OUT/$name.so")" = "$name.so.$major" ]
        readelf --dynamic "$HAK_OUT/$name.so" | grep -qF "Library soname: [$name.so.$major]"
    done
    cp "$COPY/core/hakmem.h" before
    sed -i 's/\(HAKMEM_VERSION_MAJOR\) .*/\1 7/' "$COPY/core/hakmem.h"
    make_copy VARIANT=release out/release/libhakmem.so
    [ "$(readlink "$COPY/out/release/libhakmem.so")" = libhakmem.so.7 ]
    run "$COPY/build.sh" verify "$COPY/out/release/libhakmem.so"
    [[ $output == *"version   7.0.0"* ]]
    cp before "$COPY/core/hakmem.h"
    make_copy VARIANT=release lib
}

@test "verify accepts today's libraries and a program linked with the static one" {
    for binary in libhakmem.so libhakmem.so.1 libhakmem.a bench_random_mixed_hakmem; do
        run "$HAK_ROOT/build.sh" verify "$HAK_OUT/$binary"
        [ "$status" -eq 0 ]
        [[ $output == *"version   $(version)"* ]]
        [[ $output == *"variant   $HAK_VARIANT"* ]]
        [[ $output == *"flags     POOL_TLS_PHASE1=1 POOL_TLS_PREWARM=0 HEADER_CLASSIDX=1 AGGRESSIVE_INLINE=1 PREWARM_TLS=0 "* ]]
        [ "${lines[-1]}" = "$HAK_OUT/$binary: built from today's sources" ]
    done
}

@test "verify judges a program by the libhakmem.so that it loads" {
    gcc -o program "$(program)" -L"$HAK_OUT" -Wl,--no-as-needed -lhakmem -Wl,-rpath,"$HAK_OUT"
    run "$HAK_ROOT/build.sh" verify program
    [ "$status" -eq 0 ]
    [[ $output == *"program: loads $HAK_OUT/libhakmem.so.1"* ]]

    gcc -o lost program.c -L"$HAK_OUT" -Wl,--no-as-needed -lhakmem
    run "$HAK_ROOT/build.sh" verify lost
    [ "$status" -eq 1 ]
    [ "$output" = "verify: lost: needs libhakmem.so.1, which the loader does not find" ]
}

@test "verify finds the identity in a stripped program" {
    cp "$HAK_OUT/larson_hakmem" stripped
    strip stripped
    "$HAK_ROOT/build.sh" verify stripped
}

@test "verify refuses foreign files" {
    for binary in /bin/ls "$HAK_OUT/bench_random_mixed_system"; do
        run "$HAK_ROOT/build.sh" verify "$binary"
        [ "$status" -eq 1 ]
        [ "$output" = "verify: $binary: foreign: contains no HAKMEM" ]
    done
    run "$HAK_ROOT/build.sh" verify "$HAK_ROOT/Makefile"
    [ "$status" -eq 1 ]
    [ "$output" = "verify: $HAK_ROOT/Makefile: foreign: neither an ELF file nor a static library" ]
    run "$HAK_ROOT/build.sh" verify no_such_file
    [ "$status" -eq 1 ]
    [ "$output" = "verify: no_such_file: no such file, or not readable" ]
}

@test "verify refuses a build of other sources, and accepts it when they are back" {
    library=$COPY/out/release/libhakmem.so
    "$COPY/build.sh" verify "$library"
    for source in core/api.c core/symbols.def ci/variants/release.mk Makefile; do
        cp "$COPY/$source" before
        printf '\n' >>"$COPY/$source"
        run "$COPY/build.sh" verify "$library"
        [ "$status" -eq 1 ]
        [[ ${lines[-1]} == "verify: $library: stale: today's sources give "* ]]
        cp before "$COPY/$source"
    done
    echo '/* new */' >"$COPY/core/new.h"
    run "$COPY/build.sh" verify "$library"
    [ "$status" -eq 1 ]
    rm "$COPY/core/new.h"
    # A new date alone makes nothing stale.
    touch "$COPY/core/api.c"
    "$COPY/build.sh" verify "$library"
}

@test "a changed source or switch rebuilds, an unchanged tree does not" {
    "$COPY/build.sh" release lib
    run "$COPY/build.sh" release lib
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    touch "$COPY/core/hakmem.h"
    run "$COPY/build.sh" release lib
    [[ $output == *obj/core/api.o* ]]

    run "$COPY/build.sh" release lib PREWARM_TLS=1
    [[ $output == *obj/core/api.o* ]]
    run "$COPY/build.sh" verify "$COPY/out/release/libhakmem.so"
    [ "$status" -eq 0 ]
    [[ $output == *" PREWARM_TLS=1 "* ]]
    run "$COPY/build.sh" release lib
    [[ $output == *obj/core/api.o* ]]
}

@test "every switch builds with its other value" {
    [ "$HAK_TEST_QUICK" = 0 ] || skip "five builds"
    for switch in POOL_TLS_PHASE1=0 POOL_TLS_PREWARM=1 HEADER_CLASSIDX=0 AGGRESSIVE_INLINE=0 PREWARM_TLS=1; do
        "$COPY/build.sh" release lib OUT=out/switch "$switch"
        "$COPY/build.sh" verify "$COPY/out/switch/libhakmem.so" | grep "$switch"
        env LD_PRELOAD="$COPY/out/switch/libhakmem.so" sh -c 'cat /proc/self/maps | grep -q libhakmem'
    done
}

# shows SWITCH=VALUE PROGRAM...: what the program prints on a library built with that switch.
shows() {
    local switch=$1
    shift
    "$COPY/build.sh" release lib OUT="out/$switch" "$switch" >/dev/null 2>&1
    env LD_PRELOAD="$COPY/out/$switch/libhakmem.so" HAKMEM_STATS=1 "$@" 2>&1
}

@test "every switch does what it says" {
    [ "$HAK_TEST_QUICK" = 0 ] || skip "five builds"
    cat >header.c <<'C'
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    unsigned char *volatile pool = malloc(10000), *volatile tiny = malloc(40);
    printf("header of 10000 bytes 0x%02x\n", pool[-1]);
    tiny[-1] = 0xa5; /* the header of another class */
    free(tiny);
    printf("the block of 40 bytes comes back: %d\n", malloc(40) == tiny);
    return 0;
}
C
    gcc -w -fno-builtin header.c -o header
    [[ $(shows POOL_TLS_PHASE1=1 ./header) == *"header of 10000 bytes 0xb1"* ]]
    [[ $(shows POOL_TLS_PHASE1=0 ./header) == *"header of 10000 bytes 0xd0"* ]]
    [[ $(shows HEADER_CLASSIDX=1 ./header) == *"comes back: 0"* ]]
    [[ $(shows HEADER_CLASSIDX=0 ./header) == *"comes back: 1"* ]]
    echo 'int main(void) { return __builtin_malloc(1000) == 0; }' | gcc -fno-builtin -O0 -x c -o one -
    [[ $(shows POOL_TLS_PREWARM=1 ./one) == *"hakmem: SuperSlabs: 2"* ]]
    [[ $(shows POOL_TLS_PREWARM=0 ./one) == *"hakmem: SuperSlabs: 1"* ]]
    with=$(shows PREWARM_TLS=1 ./one | sed -n 's/.*cached by threads: //p')
    without=$(shows PREWARM_TLS=0 ./one | sed -n 's/.*cached by threads: //p')
    [ "$with" -gt "$without" ]
    # Without optimisation the compiler inlines only what it must.
    make_copy -s VARIANT=debug AGGRESSIVE_INLINE=1 OUT=out/inline lib
    make_copy -s VARIANT=debug AGGRESSIVE_INLINE=0 OUT=out/plain lib
    run ! grep -q hak_fast_malloc <(nm "$COPY/out/inline/libhakmem.so")
    grep -q hak_fast_malloc <(nm "$COPY/out/plain/libhakmem.so")
}

@test "print-flags prints every switch with its value" {
    run make_copy print-flags
    for switch in POOL_TLS_PHASE1=1 POOL_TLS_PREWARM=0 HEADER_CLASSIDX=1 AGGRESSIVE_INLINE=1 PREWARM_TLS=0 \
        BUILD_RELEASE_DEFAULT=1; do
        name=${switch%=*} other=$((1 - ${switch#*=}))
        printf '%s\n' "${lines[@]}" | grep -qx "$switch"
        make_copy print-flags "$name=$other" | grep -qx "$name=$other"
    done
    make_copy print-flags POOL_TLS_PREWARM=1 | grep -q '^CFLAGS=.* -DHAK_POOL_TLS_PREWARM=1 '
    make_copy print-flags BUILD_RELEASE_DEFAULT=0 | grep -qx VARIANT=debug
    run ! make_copy print-flags PREWARM_TLS=yes
    [[ $output == *"PREWARM_TLS is 'yes'; it must be 0 or 1"* ]]
    run ! make_copy print-flags VARIANT=none
    [[ $output == *"no variant 'none'"* ]]
}

@test "libhakmem.so exports exactly the names of core/symbols.def" {
    sed '/^#if HAK_AUDIT/,/^#endif/d' "$HAK_ROOT/core/symbols.def" | # not in release
        grep -o 'HAK_SYMBOL([A-Za-z0-9_]*)' | sed 's/HAK_SYMBOL(\(.*\))/\1/' | LC_ALL=C sort >wanted
    exported_names "$HAK_OUT/libhakmem.so" >exported
    [ "$(wc -l <wanted)" -gt 40 ]
    diff wanted exported
}

@test "libhakmem.so needs libc alone, cannot be unloaded, binds at once" {
    readelf -d "$HAK_OUT/libhakmem.so" >dynamic
    grep -q 'SONAME.*\[libhakmem\.so\.1\]' dynamic
    grep -q 'FLAGS_1.*NOW.*NODELETE' dynamic
    sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' dynamic >needed
    run ! grep -vE '^(libc\.so\.6|libpthread\.so\.0|ld-linux-.*)$' needed
    [ "$(readlink "$HAK_OUT/libhakmem.so")" = libhakmem.so.1 ]
}

@test "libhakmem.so calls no other malloc, and the loader only where new has failed and from its dlopen" {
    nm -D --undefined-only "$HAK_OUT/libhakmem.so" >undefined
    run ! grep -E ' (__tls_get_addr|malloc|calloc|realloc|free)(@|$)' undefined
    # These call the loader: operator new that has no memory, to find the C++ runtime; dlopen, to
    # find the next dlopen; a constructor, to find the next madvise and its like; and the
    # constructor of an archive in a plugin. Nothing else does.
    users=()
    for object in "$HAK_OUT"/obj/core/*.o; do
        nm --undefined-only "$object" >undefined
        if grep -qE ' (dl[a-z0-9_]+|_Unwind_.*)$' undefined; then users+=("$(basename "$object")"); fi
        [[ $object == */cxx.*.o ]] || run ! grep -E ' hak_cxx_' undefined
        run ! grep -E ' hak_deepbind_' undefined
    done
    [ "${users[*]}" = "advice.shared.o advice.static.o cxx_runtime.shared.o deepbind.shared.o deepbind.static.o pin.o" ]
}

@test "only core/os.c makes system calls for memory, and nothing of verify/ is in release" {
    calls='(mmap|mmap64|munmap|mremap|madvise|mprotect|write|read|open|open64|syscall|sysconf|clock_gettime)'
    for object in "$HAK_ROOT"/out/release/obj/core/*.o; do
        [ "$(basename "$object")" != os.o ] || continue
        run ! grep -xE "$calls" <(nm --undefined-only "$object" | awk '{ print $2 }')
    done
    run ! grep -E '^verify/.*\.c$' <(make_copy -s print-identity-files)
    for library in libhakmem.a libhakmem_prefixed.a; do
        nm "$HAK_ROOT/out/release/$library" >names
        grep -q ' T hak_malloc$' names
        run ! grep -E 'heap_check|check_heap|audit' names
    done
}

@test "the static library serves a static and a dynamic program" {
    gcc -static -o static "$(program)" "$HAK_OUT/libhakmem.a" -pthread
    ./static
    "$HAK_ROOT/build.sh" verify static
    gcc -o dynamic program.c "$HAK_OUT/libhakmem.a" -pthread
    ./dynamic
    "$HAK_ROOT/build.sh" verify dynamic
}

@test "run works from a fresh copy, and says nothing when there is nothing to build" {
    rm -rf "$COPY/out"
    run --separate-stderr "$COPY/build.sh" run -- python3 -c 'print(sum(range(10)))'
    [ "$status" -eq 0 ]
    [ "$output" = 45 ]
    [[ $stderr == *libhakmem.so* ]]
    run --separate-stderr "$COPY/build.sh" run -- sh -c 'cat /proc/self/maps | grep -c hakmem'
    [ "$status" -eq 0 ]
    [ "$output" -ge 1 ]
    [ -z "$stderr" ]
}

@test "run keeps the caller's folder, arguments, status and LD_PRELOAD" {
    run --separate-stderr "$HAK_ROOT/build.sh" run -- sh -c 'pwd; printf "%s|" "$@"; exit 7' sh 'a  b' '' '*'
    [ "$status" -eq 7 ]
    [ "${lines[0]}" = "$PWD" ]
    [ "${lines[1]}" = 'a  b||*|' ]
    LD_PRELOAD=libm.so.6 run --separate-stderr "$HAK_ROOT/build.sh" run -- sh -c 'echo "$LD_PRELOAD"'
    [ "$output" = "$HAK_ROOT/out/release/libhakmem.so:libm.so.6" ]
    run --separate-stderr "$HAK_ROOT/build.sh" run --variant debug -- sh -c 'echo "$LD_PRELOAD"'
    [ "${lines[-1]}" = "$HAK_ROOT/out/debug/libhakmem.so" ]
}

@test "help and list explain themselves, and a wrong command fails" {
    for command in run test release debug verify bench golden replay shrink list clean help; do
        "$HAK_ROOT/build.sh" help | grep -q "^  $command"
    done
    run "$HAK_ROOT/build.sh" list
    [ "$status" -eq 0 ]
    # The list has each variant, and what the variant is for.
    for file in "$HAK_ROOT"/ci/variants/*.mk; do
        grep -qE "^  $(basename "$file" .mk) +[A-Z].{20,100}\.$" <<<"$output"
    done
    for word in larson_hakmem bench_random_mixed_system quick build style 'prodcons 64'; do
        [[ $output == *"  $word"* ]]
    done
    run ! "$HAK_ROOT/build.sh" no_such_target
    run ! "$HAK_ROOT/build.sh" run --variant none -- true
}

@test "the test runner counts failures, empty files and files that do not load" {
    tests=$COPY/verify/tests/sample
    mkdir -p "$tests"
    printf '@test "good" { true; }\n@test "skipped" { skip "why"; }\n' >"$tests/a.bats"
    run "$COPY/build.sh" test sample
    [ "$status" -eq 0 ]
    [ "${lines[-1]}" = "1 passed, 0 failed, 1 skipped" ]

    printf '@test "bad" { false; }\n' >"$tests/b.bats"
    printf '# nothing\n' >"$tests/c.bats"
    printf '@test "broken" {\n  if\n}\n' >"$tests/d.bats"
    run "$COPY/build.sh" test sample
    [ "$status" -eq 1 ]
    [ "${lines[-1]}" = "1 passed, 3 failed, 1 skipped" ]
    rm -rf "$tests"
}

@test "every benchmark prints its throughput, on HAKMEM and on the system's malloc" {
    measured() {
        run "$HAK_OUT/$1" "${@:2}"
        [ "$status" -eq 0 ]
        printf '%s\n' "${lines[@]}" | grep -qE '^Throughput = [1-9][0-9]* ops/s$'
    }
    for allocator in hakmem system; do
        measured "bench_random_mixed_$allocator" 100000 400 42 16 1039
        measured "bench_fixed_size_$allocator" 100000 256 128
        measured "bench_tiny_hot_$allocator" 100000
        measured "bench_pool_tls_$allocator" 100000 128 42 8192 53248
        measured "bench_pool_tls_$allocator" 100000 128 42 8192 53248 1
        measured "bench_mid_large_mt_$allocator" 3 10000 256 42
        measured "bench_prodcons_$allocator" 200 100000
        measured "bench_prodcons_$allocator" 200 100000 5
        measured "bench_all_to_all_$allocator" 3 20000
        measured "bench_short_threads_$allocator" 100 3 50 0
        measured "bench_short_threads_$allocator" 100 3 50 4
        measured "bench_calls_$allocator" calloc 100000
        measured "bench_calls_$allocator" aligned 100000
        measured "bench_realloc_$allocator" 100000
        measured "bench_sizes_$allocator" git 100000
        measured "bench_large_$allocator" 10
        measured "bench_waves_$allocator" 4 3 95 0
        measured "bench_waves_$allocator" 4 3 90 1
        measured "larson_$allocator" 1 8 1024 1000 10 4141 2
    done
    run "$HAK_OUT/bench_random_mixed_system" ten
    [ "$status" -eq 2 ]
}
