#!/usr/bin/env bats
# Libraries that are opened with RTLD_DEEPBIND share the program's malloc. In all else, dlopen and
# dlmopen behave as they do without HAKMEM.

load ../on_hakmem
load ../planted

setup_file() {
    export PROGRAMS=$BATS_TEST_DIRNAME/programs
    local kind c=(gcc -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-builtin -Wall -Wextra -I"$HAK_ROOT" -I"$HAK_ROOT/verify/tests") shared cxx
    shared=("${c[@]}" -shared -fPIC)
    cxx=(g++ -std=c++17 -O2 -g -fno-builtin -Wall -Wextra)
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=debug lib >&2
    cd "$BATS_FILE_TMPDIR"
    "${shared[@]}" -o plugin.so "$PROGRAMS/plugin.c"
    cp plugin.so second.so
    "${cxx[@]}" -shared -fPIC -o plugin_cxx.so "$PROGRAMS/plugin_cxx.cc"
    "${cxx[@]}" -shared -fPIC -static-libstdc++ -o alone_cxx.so "$PROGRAMS/plugin_cxx.cc"
    "${shared[@]}" -o early.so "$PROGRAMS/early.c"
    "${shared[@]}" -o teller.so "$PROGRAMS/teller.c"
    mkdir outer outer/inner
    # shellcheck disable=SC2016 # the loader expands $ORIGIN
    "${shared[@]}" -o outer/outer.so "$PROGRAMS/outer.c" -Wl,--enable-new-dtags -Wl,-rpath,'$ORIGIN/inner'
    cp plugin.so outer/inner/only_there.so
    "${c[@]}" -rdynamic -o host "$PROGRAMS/host.c" -pthread -ldl
    "${cxx[@]}" -o host_cxx "$PROGRAMS/host_cxx.cc" -ldl
    "${shared[@]}" -o libnss_hakmem.so.2 "$PROGRAMS/nss_module.c"
    "${c[@]}" -o nss_user "$PROGRAMS/nss_user.c"
    # The linker warns of dlopen in each static program.
    for kind in static static-pie; do
        "${c[@]}" -$kind -o host_$kind "$PROGRAMS/host.c" -pthread 2>warnings
        "${c[@]}" -$kind -DTEST_LINKED -o hakmem_$kind "$PROGRAMS/host.c" "$HAK_OUT/libhakmem.a" -pthread 2>warnings
    done
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_FILE_TMPDIR"
    LIB=$HAK_OUT/libhakmem.so
    PLUGIN=$PWD/plugin.so
}

# says TEXT PRELOAD COMMAND...: the command ends well with the libraries PRELOAD, and prints TEXT
says() {
    local text=$1 preload=$2
    shift 2
    run --separate-stderr timeout -k 5 120 env LD_PRELOAD="$preload" "$@"
    if [ "$status" -ne 0 ] || [ "$output" != "$text" ]; then
        printf '%s, LD_PRELOAD=%s: exit status %s\n%s\n%s\n' "$*" "$preload" "$status" "$output" "$stderr"
        return 1
    fi
}

# works PROGRAM PRELOAD: in the program, blocks, callers, namespaces and threads work
works() {
    local opener
    for opener in dlopen dlmopen; do says "ok: blocks" "$2" "$1" blocks $opener "$PLUGIN"; done
    says "ok: caller" "$2" "$1" caller "$PWD/outer/outer.so" only_there.so
    says "ok: space" "$2" "$1" space "$PLUGIN"
    says "ok: threads" "$2" "$1" threads "$PLUGIN"
}

@test "blocks go from the program to the plugin and back" {
    works ./host "$LIB"
    works ./host "$HAK_ROOT/out/debug/libhakmem.so"
}

@test "C++: the plugin deletes what the program has made, and the other way round" {
    says "ok: deleted" "$LIB" ./host_cxx "$PWD/plugin_cxx.so"
    says "ok: deleted" "$LIB" ./host_cxx "$PWD/alone_cxx.so"
}

@test "the program's definition comes first, or the plugin's own where the option leaves the flag" {
    for opener in dlopen dlmopen; do
        says "ok: the plugin's" "" ./host which $opener "$PLUGIN"
        says "ok: the program's" "$LIB" ./host which $opener "$PLUGIN"
        HAKMEM_DEEPBIND=0 says "ok: the program's" "$LIB" ./host which $opener "$PLUGIN"
        HAKMEM_DEEPBIND=1 says "ok: the plugin's" "$LIB" ./host which $opener "$PLUGIN"
    done
}

@test "before the options are read, the flag is cleared" {
    export EARLY_PLUGIN=$PWD/second.so
    # Of the preloaded libraries, those that are named later run their constructors first.
    says "ok: the program's, then the program's" "$LIB $PWD/early.so" ./host early "$PLUGIN"
    export HAKMEM_DEEPBIND=1
    says "ok: the program's, then the plugin's" "$LIB $PWD/early.so" ./host early "$PLUGIN"
    says "ok: the plugin's, then the plugin's" "$PWD/early.so $LIB" ./host early "$PLUGIN"
}

@test "every other answer is libc's: handles, errno, the texts of dlerror" {
    run --separate-stderr ./host edges "$PLUGIN"
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 15 ]
    says "$output" "$LIB" ./host edges "$PLUGIN"
    [ "$stderr" = "" ]
    export HAKMEM_DEEPBIND=1
    says "$output" "$LIB" ./host edges "$PLUGIN"
}

# tells PRELOAD FLAG: the teller sees calls of both functions. FLAG is "with" or "without"
# RTLD_DEEPBIND.
tells() {
    works ./host "$1"
    says "ok: blocks" "$1" ./host blocks dlopen "$PLUGIN"
    [ "$stderr" = "dlopen plugin.so $2 the flag" ]
    says "ok: blocks" "$1" ./host blocks dlmopen "$PLUGIN"
    [ "$stderr" = "dlmopen plugin.so $2 the flag" ]
}

@test "a library that wraps dlopen sees each call, before HAKMEM with the flag, behind it without" {
    tells "$PWD/teller.so $LIB" with
    tells "$LIB $PWD/teller.so" without
}

@test "in a new namespace the flag stays" {
    says "ok: space" "$LIB $PWD/teller.so" ./host space "$PLUGIN"
    [ "$stderr" = "dlmopen plugin.so with the flag" ]
}

# linked FLAGS...: the program that is linked with the archive exports dlopen and dlmopen, and works
linked() {
    gcc -std=gnu11 -D_GNU_SOURCE -O2 -fno-builtin -I"$HAK_ROOT" -I"$HAK_ROOT/verify/tests" -DTEST_LINKED "$@" \
        -o "$BATS_TEST_TMPDIR/linked" "$PROGRAMS/host.c" "$HAK_OUT/libhakmem.a" -pthread -ldl
    nm -D --defined-only "$BATS_TEST_TMPDIR/linked" >names
    grep -q ' T dlopen$' names
    grep -q ' T dlmopen$' names
    works "$BATS_TEST_TMPDIR/linked" ""
    works "$BATS_TEST_TMPDIR/linked" "$PWD/teller.so"
}

@test "modules of the name service, which libc opens" {
    export LD_LIBRARY_PATH=$PWD
    for user in "somebody 4321" "nobody -1"; do
        says "$user" "" ./nss_user "${user% *}" hakmem
        says "$user" "$LIB" ./nss_user "${user% *}" hakmem
        says "$user" "$LIB $PWD/teller.so" ./nss_user "${user% *}" hakmem
    done
}

@test "modules of the name service, which nss_wrapper opens" {
    local wrapper
    wrapper=$(find /usr/lib -name libnss_wrapper.so -print -quit)
    [ -n "$wrapper" ]
    : >users
    export NSS_WRAPPER_MODULE_SO_PATH=$PWD/libnss_hakmem.so.2 NSS_WRAPPER_MODULE_FN_PREFIX=hakmem
    export NSS_WRAPPER_PASSWD=$PWD/users NSS_WRAPPER_GROUP=$PWD/users
    for preload in "$wrapper" "$LIB $wrapper" "$wrapper $LIB"; do
        says "somebody 4321" "$preload" ./nss_user somebody
        says "nobody -1" "$preload" ./nss_user nobody
    done
}

@test "the archive in a program, by each linker" {
    for linker in bfd gold lld; do
        linked -fuse-ld=$linker
        linked -fuse-ld=$linker -no-pie
    done
}

@test "the shared library that a program is linked with" {
    gcc -std=gnu11 -D_GNU_SOURCE -O2 -fno-builtin -I"$HAK_ROOT/verify/tests" -o linked "$PROGRAMS/host.c" \
        -Wl,--no-as-needed -L"$HAK_OUT" -lhakmem -Wl,-rpath,"$HAK_OUT" -pthread
    works ./linked ""
    works ./linked "$PWD/teller.so"
}

# A library brings a libc of its own into a static program.
@test "a static program opens libraries as it does without HAKMEM" {
    for kind in static static-pie; do
        says "ok: alone" "" ./hakmem_$kind alone "$PLUGIN"
        run --separate-stderr ./host_$kind edges "$PLUGIN"
        [ "$status" -eq 0 ]
        [ "${#lines[@]}" -eq 15 ]
        says "$output" "" ./hakmem_$kind edges "$PLUGIN"
    done
}

@test "the prefixed libraries have no dlopen" {
    for library in "$HAK_OUT/libhakmem_prefixed.so" "$HAK_OUT/libhakmem_prefixed.a"; do
        nm --defined-only "$library" >names
        grep -q ' hak_malloc$' names
        run ! grep -E 'dlm?open|deepbind' names
    done
}

@test "each variant that has libc's names clears the flag" {
    [ "$HAK_TEST_QUICK" != 1 ] || skip "builds"
    local variants=()
    mapfile -t variants < <(grep -lE '^HAK_(LIBC_NAMES|RECORD) := 1' "$HAK_ROOT"/ci/variants/*.mk)
    [ "${#variants[@]}" -eq 5 ]
    for variant in "${variants[@]##*/}"; do
        variant=${variant%.mk}
        "$HAK_ROOT/build.sh" "$variant" lib >built
        works ./host "$HAK_ROOT/out/$variant/libhakmem.so"
    done
}

# PHP opens each extension with the flag. PHP and its extensions must allocate and free on one heap.
@test "PHP with its extensions" {
    says 'ÄBC 3' "$LIB" php -r '
        $page = new DOMDocument;
        $page->loadXML("<a>" . str_repeat("<b c=\"1\">x</b>", 3) . "</a>");
        echo mb_strtoupper("äbc"), " ", $page->getElementsByTagName("b")->length;'
}

@test "Python whose modules are opened with the flag" {
    says "2 b'x'" "$LIB" /usr/bin/python3 -c '
import os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
import bz2, ctypes, curses, lzma, readline, sqlite3
readline.add_history("x")
readline.set_completer_delims("abc")
print(sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()[0], bz2.decompress(bz2.compress(b"x")))'
}

# fails_with FROM TO PRELOAD TEXT ARGS...: FROM becomes TO in core/deepbind.c. Then the program must
# not end well, or must print something other than TEXT. PRELOAD comes behind HAKMEM in LD_PRELOAD.
fails_with() {
    local from=$1 to=$2 behind=$3
    shift 3
    cp core/deepbind.c kept.c
    sed -i "s/$from/$to/" core/deepbind.c
    run ! cmp -s core/deepbind.c kept.c
    make --no-print-directory -s out/release/libhakmem.so
    cp kept.c core/deepbind.c
    cd "$BATS_FILE_TMPDIR"
    run ! says "$1" "$HAK_PLANTED/out/release/libhakmem.so$behind" "${@:2}"
    cd "$HAK_PLANTED"
}

@test "a dlopen that forgets dlmopen, an option or the caller fails here" {
    [ "$HAK_TEST_QUICK" != 1 ] || skip "builds"
    planted release deepbind
    HAK_PLANTED=$PWD
    fails_with 'space == LM_ID_BASE' 'space != LM_ID_BASE' "" "ok: blocks" ./host blocks dlmopen "$PLUGIN"
    HAKMEM_DEEPBIND=1 fails_with 'hak_policy()->deepbind == 0' 'hak_policy()->deepbind <= 1' "" "ok: the plugin's" ./host which dlopen "$PLUGIN"
    # With a call in place of the jump, the caller of dlopen is HAKMEM.
    [ "$(uname -m)" = x86_64 ] || return 0
    fails_with 'jmp \*%rax' 'subq $8, %rsp\\ncall *%rax\\naddq $8, %rsp\\nret' "" \
        "ok: caller" ./host caller "$BATS_FILE_TMPDIR/outer/outer.so" only_there.so
    fails_with 'popq %rsi' 'popq %rcx' "" "ok: blocks" ./host blocks dlmopen "$PLUGIN"
}
