# Stacks in the audit's reports: the helper beside the library gives the names. Without a helper, or
# with a bad one, the reports have addresses.

load ../on_hakmem

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=audit lib out/audit/tests/stress_internal >&2
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=valgrind lib >&2
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=asan lib >&2
}

setup() {
    bats_require_minimum_version 1.5.0
    AUDIT=$HAK_ROOT/out/audit
    export HAKMEM_AUDIT_LEVEL=2 HAKMEM_AUDIT_LEAKS=1
    cd "$BATS_TEST_TMPDIR"
}

# compiled SOURCE FLAGS...: builds ./program from a file of programs/. The file is copied here
# first, so that debug information names it without a folder.
compiled() {
    local source=$1 compiler=${CC:-gcc}
    shift
    [[ $source != *.cc ]] || compiler=${CXX:-g++}
    cp "$HAK_ROOT/verify/tests/audit/programs/$source" .
    "$compiler" -w "$@" "$source" -o program
}

# reported STATUS [NAME=VALUE...]: ./program runs on the audit build, and ends with STATUS
reported() {
    local expected=$1
    shift
    run timeout "$HAK_TEST_SECONDS" env "$@" LD_PRELOAD="$AUDIT/libhakmem.so" ./program
    echo "$output"
    [ "$status" -eq "$expected" ]
}

# says LINE...: the output has these lines in this order, one directly after the other
says() {
    local wanted
    wanted=$(printf '%s\n' "$@")
    [[ $'\n'$output$'\n' == *$'\n'"$wanted"$'\n'* ]]
}

# with_stand_in COMMANDS...: the helper is this shell code. The report must come in time, with
# addresses.
with_stand_in() {
    printf '%s\n' '#!/bin/bash' "$@" >stand_in
    chmod +x stand_in
    compiled leak.c -O0 -g
    reported 0 HAKMEM_AUDIT_SYMBOLIZER="$PWD/stand_in"
    gives_addresses
}

gives_addresses() {
    [ "${#lines[@]}" -eq 4 ]
    [ "${lines[0]}" = "hakmem: audit: still live: 200000 bytes in 1 blocks" ]
    [ "${lines[2]}" = "hakmem: audit: still live: 120 bytes in 3 blocks" ]
    [[ ${lines[3]} =~ ^"hakmem: audit:   allocated by program+"(0x[0-9a-f]+)" program+0x" ]]
    addr2line -f -e program "${BASH_REMATCH[1]}" | grep -qx one
}

@test "what is live at exit is listed by function, file and line, also in the log" {
    compiled leak.c -O0 -g
    reported 0 HAKMEM_AUDIT_LOG="$PWD/log"
    says "hakmem: audit: still live: 120 bytes in 3 blocks" \
        "hakmem: audit:   allocated by #0 one at leak.c:5" \
        "hakmem: audit:                #1 main at leak.c:10"
    says "hakmem: audit: still live: 200000 bytes in 1 blocks" \
        "hakmem: audit:   allocated by #0 main at leak.c:13"
    [[ $output != *libhakmem* ]]
    diff log <(printf '%s\n' "$output")
}

@test "a write to freed memory names who allocated and freed it" {
    compiled write_after_free.c -O0 -g
    reported 134
    [[ ${lines[0]} == "hakmem: audit: broken: a freed block is not written to "* ]]
    says "hakmem: audit:   allocated by #0 take at write_after_free.c:5" \
        "hakmem: audit:                #1 main at write_after_free.c:13"
    says "hakmem: audit:   freed by #0 give at write_after_free.c:9" \
        "hakmem: audit:            #1 main at write_after_free.c:14"
}

@test "an error of the program names who allocated and freed the block: small, aligned, large, given back" {
    compiled freed_twice.c -O0 -g
    for size in 100 aligned 100000; do
        run timeout "$HAK_TEST_SECONDS" env HAKMEM_AUDIT_LEVEL=2 LD_PRELOAD="$AUDIT/libhakmem.so" ./program "$size"
        echo "$output"
        [ "$status" -eq 134 ]
        [[ ${lines[0]} == "hakmem: free(): double free: "* ]]
        says "hakmem: audit:   allocated by #0 take at freed_twice.c:8" \
            "hakmem: audit:                #1 main at freed_twice.c:17"
        says "hakmem: audit:   freed by #0 give at freed_twice.c:12" \
            "hakmem: audit:            #1 main at freed_twice.c:18"
    done
    run timeout "$HAK_TEST_SECONDS" env HAKMEM_AUDIT_LEVEL=2 HAKMEM_BIGCACHE_MB=0 LD_PRELOAD="$AUDIT/libhakmem.so" ./program 100000
    [[ ${lines[0]} == "hakmem: free(): double free: "*", in no block" ]]
    says "hakmem: audit:   freed by #0 give at freed_twice.c:12" \
        "hakmem: audit:            #1 main at freed_twice.c:18"
}

@test "C++ names are those of the source, and inlined functions are there" {
    compiled leak_cxx.cc -O2 -g -fno-omit-frame-pointer
    reported 0
    says "hakmem: audit:   allocated by #0 void shop::make<shop::item>(int) at leak_cxx.cc:11" \
        "hakmem: audit:                #1 order at leak_cxx.cc:15" \
        "hakmem: audit:                #2 open_shop at leak_cxx.cc:21" \
        "hakmem: audit:                #3 main at leak_cxx.cc:28"
}

@test "without debug information there are symbols, without symbols the file and the place in it" {
    compiled leak.c -O0
    reported 0
    [ "${lines[3]}" = "hakmem: audit: still live: 120 bytes in 3 blocks" ]
    [[ ${lines[4]} =~ ^"hakmem: audit:   allocated by #0 one+0x"[0-9a-f]+" (program+0x"[0-9a-f]+")"$ ]]
    compiled leak.c -O0 -s
    reported 0
    [[ ${lines[1]} =~ ^"hakmem: audit:   allocated by #0 program+0x"[0-9a-f]+$ ]]
}

@test "a shared object's functions have names, whatever its file is called" {
    cp "$HAK_ROOT/verify/tests/audit/programs/leak.c" .
    mkdir "a b"
    "${CC:-gcc}" -w -O0 -g -shared -fPIC -Dmain=leak_all leak.c -o "a b/lib leak.so"
    printf 'int leak_all(void);\nint main(void) { return leak_all(); }\n' >main.c
    "${CC:-gcc}" -w -O0 -g main.c "a b/lib leak.so" -Wl,-rpath,"$PWD/a b" -o program
    reported 0
    says "hakmem: audit:   allocated by #0 one at leak.c:5" \
        "hakmem: audit:                #1 leak_all at leak.c:10" \
        "hakmem: audit:                #2 main at main.c:2"
}

@test "a program that the library is linked into: the helper is an option; the allocator's frames are left out" {
    for static in "" -static; do
        # -u: the library stands before the source that needs it, so the linker would take nothing
        # from it.
        # shellcheck disable=SC2086
        compiled write_after_free.c -O0 -g -pthread $static -Wl,-u,malloc "$AUDIT/libhakmem.a"
        HAKMEM_AUDIT_SYMBOLIZER=$AUDIT/hakmem-symbolize run ./program
        echo "$output"
        says "hakmem: audit:   allocated by #0 take at write_after_free.c:5" \
            "hakmem: audit:                #1 main at write_after_free.c:13"
        says "hakmem: audit:   freed by #0 give at write_after_free.c:9" \
            "hakmem: audit:            #1 main at write_after_free.c:14"
        run ./program
        [[ $output == *"hakmem: audit:   allocated by program+0x"* ]]
    done
}

@test "code without frame pointers: nothing wrong is said, and unwind tables give the whole stack" {
    compiled leak_cxx.cc -O2 -g -fomit-frame-pointer
    reported 0
    says "hakmem: audit:   allocated by #0 void shop::make<shop::item>(int) at leak_cxx.cc:11"
    reported 0 HAKMEM_AUDIT_UNWIND=1
    says "hakmem: audit:   allocated by #0 void shop::make<shop::item>(int) at leak_cxx.cc:11" \
        "hakmem: audit:                #1 order at leak_cxx.cc:15" \
        "hakmem: audit:                #2 open_shop at leak_cxx.cc:21" \
        "hakmem: audit:                #3 main at leak_cxx.cc:28"
}

@test "an address of data is no return address" {
    [ "$(uname -m)" = x86_64 ] || skip "has assembly of x86-64"
    compiled wild_frame_pointer.c -O1 -g -mno-red-zone
    reported 0 HAKMEM_AUDIT_SYMBOLIZER=/nonexistent
    [[ $output =~ "allocated by program+"(0x[0-9a-f]+)$ ]]
    addr2line -f -e program "${BASH_REMATCH[1]}" | grep -qE '^(take|main)$'
}

@test "unwinding at each call needs no memory: programs with threads, exceptions and many libraries run" {
    export HAKMEM_AUDIT_UNWIND=1 HAKMEM_AUDIT_LEAKS=0
    run timeout "$HAK_TEST_SECONDS" "$AUDIT/tests/stress_internal" 2 3
    echo "$output"
    [ "$status" -eq 0 ] && [[ $output != *broken* ]]
    cat >throws.cc <<'C'
#include <stdexcept>
#include <string>
#include <thread>
static int thrown(int n) {
    try {
        throw std::runtime_error(std::string(100, 'x'));
    } catch (const std::exception &e) {
        return n + (e.what()[0] == 'x');
    }
}
int main() {
    int caught[4] = {};
    std::thread threads[4];
    for (int t = 0; t < 4; t++)
        threads[t] = std::thread([&caught, t] { for (int i = 0; i < 200; i++) caught[t] = thrown(caught[t]); });
    for (auto &thread : threads) thread.join();
    return caught[0] + caught[1] + caught[2] + caught[3] != 800;
}
C
    "${CXX:-g++}" -w -O2 -pthread throws.cc -o program
    reported 0
    [ -z "$output" ]
    run env LD_PRELOAD="$AUDIT/libhakmem.so" /usr/bin/python3 -c 'import ctypes, json, re, sqlite3; print(json.dumps({"a": 1}))'
    [ "$output" = '{"a": 1}' ]
}

@test "no helper: addresses" {
    compiled leak.c -O0 -g
    reported 0 HAKMEM_AUDIT_SYMBOLIZER=/nonexistent/helper
    gives_addresses
    mkdir alone
    cp "$AUDIT/libhakmem.so.1" alone
    run env LD_PRELOAD="$PWD/alone/libhakmem.so.1" ./program
    gives_addresses
}

@test "a helper that hangs, before and after its first word, is ended" {
    # The program waits up to 20 seconds for the helper, then kills it: the process must be gone.
    with_stand_in 'echo $$ >helper_pid' 'exec sleep 100'
    run ! kill -0 "$(cat helper_pid)"
    with_stand_in 'printf "#0 half a stack\n" >&"$1"' 'echo $$ >helper_pid' 'exec sleep 100'
    run ! kill -0 "$(cat helper_pid)"
}

@test "a helper that ends, fails, talks nonsense or does not stop talking: addresses" {
    with_stand_in 'exit 0'
    with_stand_in 'kill -SEGV $$'
    with_stand_in 'printf "nonsense\n\n" >&"$1"' 'exec sleep 20'
    with_stand_in 'printf "#0 one\n#2 three\n\n" >&"$1"' 'exec sleep 20'
    with_stand_in 'printf "#0 red \033[31m\n\n" >&"$1"' 'exec sleep 20'
    with_stand_in 'printf "#0 cut off \0 here\n\n" >&"$1"' 'exec sleep 20'
    with_stand_in 'while printf "#0 again\n" >&"$1"; do :; done'
}

@test "the helper inherits neither environment nor files, and is gone before the program" {
    printf '%s\n' '#!/bin/bash' 'env >environment' 'echo $$ >helper_pid' \
        'read -r line <&"$1"' 'printf "%s\n" "$line" >asked' 'printf "#0 named\n\n" >&"$1"' 'exec sleep 20' >stand_in
    chmod +x stand_in
    compiled leak.c -O0 -g
    reported 0 HAKMEM_AUDIT_SYMBOLIZER="$PWD/stand_in"
    says "hakmem: audit:   allocated by #0 named"
    run ! grep -E 'LD_PRELOAD|HAKMEM' environment
    run ! kill -0 "$(cat helper_pid)"
    grep -qxE '[0-9a-f]+( [0-9a-f]+)*' asked
}

@test "the helper takes nothing but numbers, and not too many" {
    # talk REQUEST: prints the helper's answer, and the status that the helper ended with
    talk() {
        python3 - "$AUDIT/hakmem-symbolize" "$1" <<'PY'
import os, socket, subprocess, sys
ours, theirs = socket.socketpair()
helper = subprocess.Popen([sys.argv[1], str(theirs.fileno()), str(os.getpid())], pass_fds=[theirs.fileno()])
theirs.close()
try:
    ours.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    ours.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: ours.recv(4096), b""))
except ConnectionError:
    answer = b""
print(answer.decode(), "status", helper.wait())
PY
    }
    [ "$(talk '1000\n')" = $'#0 0x1000\n\n status 0' ]
    [ "$(talk 'zz\n')" = " status 1" ]
    [ "$(talk '1000;id\n')" = " status 1" ]
    [ "$(talk '\n')" = " status 1" ]
    [ "$(talk '1000')" = " status 0" ]
    [ "$(talk "$(printf '1 %.0s' {1..100})1\\n")" = " status 1" ]
    [ "$(talk "$(printf '1%.0s' {1..5000})\\n")" = " status 0" ]
}

@test "a program with raised rights never starts it" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to make a program setuid"
    folder=$(mktemp -d)
    mkdir "$folder/marks"
    chmod 755 "$folder"
    chmod 777 "$folder/marks"
    # The valgrind build is at level 2 without an option: a program with raised rights reads no
    # options.
    cp "$HAK_ROOT/out/valgrind/libhakmem.so.1" "$folder"
    printf '#!/bin/sh\necho >%s/marks/started\n' "$folder" >"$folder/hakmem-symbolize"
    chmod 755 "$folder/hakmem-symbolize"
    compiled write_after_free.c -O0 -g -Wl,--no-as-needed "$folder/libhakmem.so.1" -Wl,-rpath,"$folder"
    install -m 4755 program "$folder/raised"
    install -m 755 program "$folder/plain"
    as_nobody() { run setpriv --reuid=65534 --regid=65534 --clear-groups "$1"; }
    as_nobody "$folder/plain"
    plain=$output plain_started=$(ls "$folder/marks")
    rm -f "$folder/marks/started"
    as_nobody "$folder/raised"
    raised=$output raised_started=$(ls "$folder/marks")
    mount=$(findmnt -n -o OPTIONS -T "$folder")
    rm -r "$folder"
    printf '%s\n' "$plain" "$raised"
    [[ $mount != *nosuid* ]] || skip "setuid has no effect here"
    [[ $plain == *"allocated by program+0x"* && $plain_started = started ]]
    [[ $raised == *"allocated by program+0x"* && $raised_started = "" ]]
}

@test "the asan and valgrind builds have it too" {
    compiled write_after_free.c -O0 -g
    run env LD_PRELOAD="$HAK_ROOT/out/valgrind/libhakmem.so" ./program
    says "hakmem: audit:   allocated by #0 take at write_after_free.c:5" \
        "hakmem: audit:                #1 main at write_after_free.c:13"
    printf '%s\n' '#include "core/hakmem.h"' 'static void one(void) { hak_malloc(40); }' \
        'int main(void) {' '    one();' '    return 0;' '}' >prefixed.c
    "${CC:-gcc}" -w -O0 -g -I"$HAK_ROOT" -fsanitize=address prefixed.c "$HAK_ROOT/out/asan/libhakmem.a" -o program
    HAKMEM_AUDIT_SYMBOLIZER=$HAK_ROOT/out/asan/hakmem-symbolize run ./program
    echo "$output"
    says "hakmem: audit:   allocated by #0 one at prefixed.c:2" \
        "hakmem: audit:                #1 main at prefixed.c:4"
}
