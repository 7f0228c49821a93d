#!/usr/bin/env bats
# The library in programs of all kinds: each command of docs/using.md, the members of an archive
# that a program gets, plugins that are closed, sanitizers beside the prefixed library, and the
# functions that the headers declare.

load ../on_hakmem

setup_file() {
    export PROGRAMS=$HAK_ROOT/verify/tests/link/programs
}

# The current folder has the programs' sources and links to out/, core/ and verify/, so commands run
# as they stand in the docs.
setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
    cp "$PROGRAMS"/* .
    ln -s "$HAK_ROOT/out" "$HAK_ROOT/core" "$HAK_ROOT/verify" .
    LIB=$HAK_OUT/libhakmem.a
    PREFIXED=$HAK_OUT/libhakmem_prefixed.a
}

cc() { "${CC:-gcc}" "$@"; }
c++() { "${CXX:-g++}" "$@"; }

# verified FILE: the file contains today's build; verify's output goes to ./said
verified() { "$HAK_ROOT/build.sh" verify "$1" >said; }

# is_whole PROGRAM: the program contains today's build, reads the options and prints the statistics
# when it ends
is_whole() {
    verified "$1"
    run --separate-stderr timeout "$HAK_TEST_SECONDS" env HAKMEM_STATS=1 "./$1"
    if [ "$status" -ne 0 ] || [ "${lines[-1]}" != ran ] || [[ $stderr != *"hakmem: live blocks"* ]]; then
        printf 'exit status %s, output:\n%s\n%s\n' "$status" "$output" "$stderr"
        return 1
    fi
}

has_one_allocator() { run ! grep -E ' (main_arena|_int_malloc)$' <(nm "$1"); }

# link_table: prints the rows of the table of link commands, as "PROGRAM<tab>COMMAND"
link_table() {
    sed -n '/^## Linking/,/^## Options/s/^| \([^|]*\) | `\([^|]*\)` |$/\1\t\2/p' "$HAK_ROOT/docs/using.md"
}

@test "each command of the table in docs/using.md links the whole library" {
    # The commands name the release build.
    "$HAK_ROOT/build.sh" release lib
    rows=0
    while IFS=$'\t' read -r -u 3 what command; do
        echo "# $what: $command"
        rm -f main plugin.so
        run bash -c "$command"
        echo "$output"
        [ "$status" -eq 0 ]
        # No output either, except that rustc may warn of its own libraries in a static program.
        [ -z "$output" ] || [[ $command == rustc* ]]
        if [ -e plugin.so ]; then
            verified plugin.so
        else
            is_whole main
            [[ $command != *-static* ]] || has_one_allocator main || [[ $command == *prefixed* ]]
        fi
        rows=$((rows + 1))
    done 3< <(link_table)
    [ "$rows" -eq "$(sed -n '/^## Linking/,/^## Options/p' "$HAK_ROOT/docs/using.md" | grep -c '^| [^p|]\|^| pl')" ]
    [ "$rows" -ge 26 ]
}

@test "without -u, gcc's link-time optimisation and as-needed lose the library, and verify says so" {
    gcc -flto -O2 main.c "$LIB" -pthread -o main
    run "$HAK_ROOT/build.sh" verify main
    [ "$status" -eq 1 ]
    [[ $output == *"contains no HAKMEM" ]]
    cc only_libraries.c -Wl,--as-needed -L"$HAK_OUT" -lhakmem -o main
    run "$HAK_ROOT/build.sh" verify main
    [ "$status" -eq 1 ]
}

# names_of ARCHIVE: prints the names that programs may refer to
names_of() { nm --defined-only "$1" | awk '$2 ~ /^[TW]$/ { print $3 }' | grep -E '^(_Z|hak_|[a-z]+)' | sort -u; }

@test "whoever takes any one name of the archive has all of it" {
    [ "$(ar t "$LIB" | xargs)" = "hakmem.o hakmem_cxx.o" ]
    [ "$(ar t "$PREFIXED")" = hakmem_prefixed.o ]
    names_of "$LIB" >names
    [ "$(wc -l <names)" -gt 100 ]
    cc -c only_libraries.c -o only.o
    while read -r name; do
        cc only.o -Wl,-u,"$name" "$LIB" -pthread -o main
        nm main >symbols
        grep -q ' T malloc$' symbols || { echo "$name comes without malloc"; return 1; }
        grep -q ' t process_begin$' symbols || { echo "$name comes without the constructor"; return 1; }
    done <names
    for name in _Znwm _ZdlPv free hak_mallopt; do
        for kind in "" -static; do
            # shellcheck disable=SC2086
            cc $kind only.o -Wl,-u,"$name" "$LIB" -pthread -o main
            is_whole main
        done
    done
}

@test "a C program needs no C++ runtime, however it takes the archive" {
    for kind in "" -no-pie -static -static-pie; do
        for linker in bfd gold lld; do
            [ "$kind-$linker" != -static-pie-gold ] || continue # gold cannot link this kind
            # shellcheck disable=SC2086
            cc -fuse-ld=$linker $kind main.c -Wl,--whole-archive "$LIB" -Wl,--no-whole-archive -pthread -o main
            is_whole main
            run ! grep -F 'libstdc++' <(readelf -d main)
        done
    done
    # A program can be linked with a shared library that contains the archive.
    printf 'int answer(void);\nint answer(void) { return 42; }\n' >answer.c
    printf 'int answer(void);\nint main(void) { return answer() != 42; }\n' >asks.c
    cc -shared -fPIC answer.c -Wl,-u,malloc "$LIB" -Wl,-z,defs -pthread -o libanswer.so
    cc asks.c ./libanswer.so -o asks
    ./asks
}

@test "new throws, calls the handler and gives NULL in C++ programs of every linker" {
    for kind in "" -no-pie -static -static-pie; do
        for linker in bfd gold lld; do
            [ "$kind-$linker" != -static-pie-gold ] || continue
            for compiler in g++ clang++; do
                # shellcheck disable=SC2086
                $compiler -fuse-ld=$linker $kind main.cc "$LIB" -pthread -o main
                is_whole main
            done
        done
    done
    # A static program in which no other code throws, or knows the type of what is thrown.
    sed -e 's/catch (const std::bad_alloc &)/catch (...)/' -e '/nothrow/d' main.cc >dots.cc
    grep -q 'catch (\.\.\.)' dots.cc
    c++ -static dots.cc "$LIB" -pthread -o main
    is_whole main
}

@test "a program may define operators of its own beside the archive's" {
    for kind in "" -static; do
        # shellcheck disable=SC2086
        c++ $kind replaced.cc "$LIB" -pthread -o main
        is_whole main
    done
}

@test "the prefixed library leaves the program's malloc alone" {
    for file in "$HAK_OUT/libhakmem_prefixed.so" "$PREFIXED"; do
        verified "$file"
        grep -q ' HAK_LIBC_NAMES=0 ' said
        [[ $file == *.a ]] && table=() || table=(-D)
        run ! grep -vE ' hak_' <(nm "${table[@]}" --defined-only "$file" | grep -E ' [TWV] ')
    done
    run ! grep -E ' (malloc|free|_Znwm)$' <(nm "$PREFIXED")
    cc -I. -shared -fPIC plugin.c "$PREFIXED" -o plugin.so
    run ! grep unwatched <(nm -D plugin.so)
}

# sees COMPILER SANITIZER FAULT TEXT: the sanitizer reports the program's fault, with its place in
# beside.c
sees() {
    "$1" -g -O1 -fno-builtin -fsanitize="$2" -I. beside.c "$PREFIXED" -pthread -o main
    run timeout "$HAK_TEST_SECONDS" ./main "$3"
    printf '%s\n' "$output" | head -n 20
    [ "$status" -ne 0 ]
    [[ $output == *"$4"*beside.c:* ]]
}

@test "sanitizers have nothing to say of the prefixed library" {
    for sanitizer in address thread memory undefined; do
        for compiler in gcc clang; do
            [ "$compiler-$sanitizer" != gcc-memory ] || continue # gcc has no MemorySanitizer
            for how in "$PREFIXED" "-L$HAK_OUT -lhakmem_prefixed -Wl,-rpath,$HAK_OUT"; do
                # shellcheck disable=SC2086
                $compiler -g -O1 -fsanitize=$sanitizer -I. beside.c $how -pthread -o main
                run timeout 120 ./main
                echo "$compiler $sanitizer $how: $output"
                [ "$status" -eq 0 ]
                [ "$output" = ran ]
            done
        done
    done
}

@test "sanitizers see a program's faults beside the prefixed library" {
    sees gcc address own-overflow "ERROR: AddressSanitizer: heap-buffer-overflow"
    sees gcc address leak "ERROR: LeakSanitizer: detected memory leaks"
    sees clang address leak "ERROR: LeakSanitizer: detected memory leaks"
    sees gcc thread race "WARNING: ThreadSanitizer: data race"
    sees clang thread race "WARNING: ThreadSanitizer: data race"
    sees clang memory unset "WARNING: MemorySanitizer: use-of-uninitialized-value"
    sees clang memory unset-again "WARNING: MemorySanitizer: use-of-uninitialized-value"
}

# plugin ARCHIVE NAME: links a plugin of that name that contains the archive
plugin() { cc -shared -fPIC -O1 -I. plugin.c "$1" -pthread -o "$2"; }

# ends_well HOW PLUGIN...: the test program plugins_end succeeds on the system's malloc
ends_well() {
    run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/plugins_end" "$@"
    said_ok
}

@test "threads that used a plugin end after it is closed, and processes fork" {
    for archive in "$PREFIXED" "$LIB"; do
        plugin "$archive" plugin.so
        for how in local global twice namespace folder; do
            ends_well "$how" "$PWD/plugin.so"
        done
        ends_well deleted "$PWD/plugin.so"
    done
}

@test "the same with a plugin that the loader finds by its name alone, and one that a library needs" {
    mkdir plugins
    plugin "$PREFIXED" plugins/plugin.so
    LD_LIBRARY_PATH=$PWD/plugins ends_well local plugin.so
    plugin "$PREFIXED" plugins/libinner.so
    printf 'int outer(void);\nint outer(void) { return 1; }\n' >outer.c
    cc -shared -fPIC outer.c -Wl,--no-as-needed plugins/libinner.so -Wl,-rpath,"$PWD/plugins" -o outer.so
    ends_well local "$PWD/outer.so"
}

@test "the same with several plugins that each have an allocator" {
    for n in 1 2 3 4; do
        plugin "$PREFIXED" "plugin$n.so"
    done
    plugin "$LIB" plugin5.so
    ends_well local "$PWD"/plugin[1-5].so
    ends_well global "$PWD"/plugin[1-5].so
}

@test "a plugin is loaded and closed a thousand times without growth" {
    for archive in "$PREFIXED" "$LIB"; do
        plugin "$archive" plugin.so
        run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/dlopen_thousand_times" "$PWD/plugin.so"
        said_ok
        run timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_OUT/tests/dlclose_before_thread_exit" "$PWD/plugin.so"
        said_ok
    done
}

# calls_all VARIANT HAS_AUDIT [FLAG...]: a program can call each declared function in every library
# of the variant
calls_all() {
    local variant=$1 has_audit=$2 out=$HAK_ROOT/out/$1 library how
    shift 2
    "$HAK_ROOT/build.sh" "$variant" lib
    for library in hakmem hakmem_prefixed; do
        [ -e "$out/lib$library.a" ] || continue
        for how in "$out/lib$library.a" "-L$out -l$library -Wl,-rpath,$out"; do
            echo "# $how"
            # shellcheck disable=SC2086
            cc -w -fvisibility=hidden -DHAS_AUDIT="$has_audit" "$@" -I. declared.c $how -pthread -o declared
            run ./declared
            echo "$output"
            [ "$status" -eq 0 ]
            [ "${lines[-1]}" = ran ]
        done
    done
}

@test "every function that a header declares is called, in the builds that the docs name" {
    grep -hoE '\bhak_[a-z0-9_]+\(' "$HAK_ROOT/core/hakmem.h" "$HAK_ROOT/verify/hakmem_audit.h" | sort -u >declared
    [ "$(wc -l <declared)" -ge 20 ]
    while read -r call; do
        grep -qF "$call" declared.c || { echo "declared.c does not call $call)"; return 1; }
    done <declared
    calls_all release 0
    calls_all libc 0
    calls_all audit 1
    calls_all valgrind 1
    calls_all asan 1 -fsanitize=address
    # The library is preloaded into a program that is not linked with it.
    printf '%s\n' '#include "verify/hakmem_audit.h"' '#include <stdio.h>' 'int main(void) {' \
        '    puts(hak_heap_check == NULL ? "none" : hak_heap_check() == 0 ? "sound" : "broken");' '    return 0;' '}' >asks.c
    cc -I. asks.c -o asks
    [ "$(./asks)" = none ]
    [ "$(LD_PRELOAD=$HAK_ROOT/out/audit/libhakmem.so ./asks)" = sound ]
    [ "$(LD_PRELOAD=$HAK_ROOT/out/valgrind/libhakmem.so ./asks)" = sound ]
}
