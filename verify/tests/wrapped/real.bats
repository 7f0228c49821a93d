#!/usr/bin/env bats
# Debian's programs and libraries that wrap functions of libc, or write over the code of these, in
# both orders of LD_PRELOAD. Each run must print HAKMEM's statistics: they prove that the
# program's malloc was HAKMEM's.

load ../on_hakmem

setup_file() {
    local programs=$HAK_ROOT/verify/tests/wrapped/programs
    cd "$BATS_FILE_TMPDIR"
    gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -Wall -Wextra -I"$HAK_ROOT/verify/tests" -o works "$programs/works.c" -pthread -ldl
    for mpi in mpich openmpi; do
        "mpicc.$mpi" -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-builtin -Wall -Wextra -o "ranks_$mpi" "$programs/ranks.c"
    done
}

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
    WORKS=$BATS_FILE_TMPDIR/works
    LIB=$HAK_OUT/libhakmem.so
    export HAKMEM_STATS=1 HAKMEM_PURGE_DELAY_MS=20
}

# library NAME: prints the path of this library of Debian
library() { find /usr/lib /usr/libexec -name "$1" -print -quit | grep .; }

# says TEXT COMMAND...: the command ends well on HAKMEM, and prints TEXT and nothing else
says() {
    local text=$1
    shift
    run --separate-stderr timeout -k 5 120 "$@"
    if [ "$status" -ne 0 ] || [ "$output" != "$text" ] || [[ $stderr != *"hakmem: live blocks"* ]]; then
        printf '%s: exit status %s\n%s\n%s\n' "$*" "$status" "$output" "$stderr"
        return 1
    fi
}

# says_beside TEXT LIBRARIES COMMAND...: the same with the libraries preloaded, once before HAKMEM
# and once behind it
says_beside() {
    local text=$1 others=$2
    shift 2
    says "$text" env LD_PRELOAD="$others $LIB" "$@"
    says "$text" env LD_PRELOAD="$LIB $others" "$@"
}

@test "libfaketime: another year, a clock that stands, one that runs, and a file that is read at each call" {
    echo '+2000d' >file
    for name in libfaketime.so.1 libfaketimeMT.so.1; do
        lib=$(library "$name")
        FAKETIME='@2030-01-01 00:00:00' says_beside 2030 "$lib" date +%Y
        FAKETIME='2030-01-01 00:00:00' says_beside 2030 "$lib" date +%Y
        FAKETIME='@2030-01-01 00:00:00' says_beside "ok: work" "$lib" "$WORKS"
        FAKETIME_TIMESTAMP_FILE=$PWD/file FAKETIME_NO_CACHE=1 says_beside "ok: work" "$lib" "$WORKS"
        [ "$HAK_TEST_QUICK" != 1 ] || break
        FAKETIME='2030-01-01 00:00:00' says_beside "ok: returns" "$lib" "$WORKS" returns
        FAKETIME='+0 x1000' says_beside "ok: returns" "$lib" "$WORKS" returns
    done
}

@test "uid_wrapper: a program that changes its user" {
    lib=$(library libuid_wrapper.so)
    export UID_WRAPPER=1 UID_WRAPPER_ROOT=1
    says_beside "ok: work" "$lib" "$WORKS"
    says_beside 1234 "$lib" /usr/bin/python3 -c '
import os, threading
def work():
    for i in range(50): os.setresuid(1234, 1234, 0); x = [bytes(300 + j * 7) for j in range(2000)]
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
os.setuid(1234)
print(os.getuid())'
}

@test "nss_wrapper: other users" {
    lib=$(library libnss_wrapper.so)
    echo 'somebody:x:4321:4321::/:/bin/sh' >users
    echo 'somebody:x:4321:' >groups
    export NSS_WRAPPER_PASSWD=$PWD/users NSS_WRAPPER_GROUP=$PWD/groups
    says_beside 4321 "$lib" id -u somebody
    says_beside "ok: work" "$lib" "$WORKS"
}

@test "socket_wrapper: a connection by files" {
    lib=$(library libsocket_wrapper.so)
    export SOCKET_WRAPPER_DIR=$PWD SOCKET_WRAPPER_DEFAULT_IFACE=10
    says_beside "ok: work" "$lib" "$WORKS"
    says_beside 3000000 "$lib" /usr/bin/python3 -c '
import socket, threading
server = socket.create_server(("127.0.0.10", 0))
def serve():
    peer, _ = server.accept()
    for i in range(300): peer.sendall(bytes(10000))
    peer.close()
thread = threading.Thread(target=serve)
thread.start()
client, count = socket.create_connection(server.getsockname()), 0
while data := client.recv(100000): count += len(data)
thread.join()
print(count)'
}

@test "torsocks: a program that uses no network" {
    lib=$(library libtorsocks.so)
    says_beside "ok: work" "$lib" "$WORKS"
    LD_PRELOAD=$LIB says "ok: work" torsocks "$WORKS"
    LD_PRELOAD=$LIB says 1999000 torsocks /usr/bin/python3 -c 'print(sum(len(bytes(i)) for i in range(2000)))'
}

@test "fakeroot: a file that belongs to another" {
    lib=$(library libfakeroot-sysv.so)
    says "ok: work" fakeroot env LD_PRELOAD="$LIB $lib" "$WORKS"
    says "ok: work" fakeroot env LD_PRELOAD="$lib $LIB" "$WORKS"
    LD_PRELOAD=$LIB says daemon fakeroot sh -c 'touch file && chown daemon file && stat -c %U file'
}

@test "fakechroot" {
    lib=$(library libfakechroot.so)
    FAKECHROOT=true says_beside "ok: work" "$lib" "$WORKS"
    LD_PRELOAD=$LIB says "ok: work" fakechroot "$WORKS"
}

@test "eatmydata and stdbuf" {
    says_beside "ok: work" "$(library libeatmydata.so)" "$WORKS"
    LD_PRELOAD=$LIB says "ok: work" eatmydata "$WORKS"
    _STDBUF_O=L says_beside "ok: work" "$(library libstdbuf.so)" "$WORKS"
    LD_PRELOAD=$LIB says 3 stdbuf -oL sort --parallel=2 -n -u <<<$'3\n3'
}

@test "LTTng's wrappers of locks, of malloc, of the loader, of files and of fork" {
    local all=() kind
    for kind in pthread-wrapper libc-wrapper dl fd fork; do
        all+=("$(library "liblttng-ust-$kind.so.1")")
        [ "$HAK_TEST_QUICK" = 1 ] || says_beside "ok: work" "${all[-1]}" "$WORKS"
    done
    says_beside "ok: work" "${all[*]}" "$WORKS"
}

@test "fiu: each mmap, munmap and madvise of the program fails" {
    lib="$(library fiu_run_preload.so) $(library fiu_posix_preload.so)"
    export FIU_ENABLE='enable name=posix/mm/mmap
enable name=posix/mm/munmap
enable name=posix/mm/madvise'
    run env LD_PRELOAD="$LIB $lib" "$WORKS"
    [[ $output == *"pages != MAP_FAILED"*" fails: "* ]]
    seq 300000 -1 1 >numbers
    says_beside 300000 "$lib" bash -c 'sort --parallel=2 -n numbers | tail -n 1'
}

# ranks KIND HOOKS COMMAND...: runs two ranks; HOOKS says whether the library has memory hooks,
# which are jumps that it writes over the code of mmap, munmap and madvise in libc
ranks() {
    local program=$BATS_FILE_TMPDIR/ranks_$1 hooks=$2
    shift 2
    run --separate-stderr timeout -k 5 120 "$@" -n 2 env LD_PRELOAD="$LIB" "$program"
    printf '%s\n%s\n' "$output" "$stderr"
    [ "$status" -eq 0 ]
    [ "$output" = "ok: 2 ranks, munmap has $hooks" ]
    [ "$(grep -c "hakmem: live blocks" <<<"$stderr")" -eq 2 ]
}

@test "MPICH with UCX's memory hooks, and without them as docs/using.md advises: two ranks" {
    ranks mpich hooks mpirun.mpich
    ranks mpich none env UCX_MEM_EVENTS=n mpirun.mpich
}

@test "Open MPI with its own memory hooks: two ranks" {
    ranks openmpi hooks mpirun.openmpi --allow-run-as-root --oversubscribe --mca pml ucx --mca osc ucx \
        --mca opal_common_ucx_tls any --mca opal_common_ucx_devices any --mca opal_common_ucx_opal_mem_hooks 1
}
