#!/usr/bin/env bats
# Real programs are recorded. Their logs replay on every allocator, with the same contents of
# blocks.

load ../on_hakmem

programs=(producer_consumer_ring many_threads_at_once fork_in_every_thread key_destructors impossible_sizes program_dies)
# Without tsan: threads that take turns cannot race, and tsan needs ten times as long.
variants="release debug audit asan ubsan libc"

setup_file() {
    local variant
    # Each program runs on seven builds. Its short form has all that must be recorded.
    export HAK_TEST_QUICK=1
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=record lib "${programs[@]/#/out/record/tests/}" >&2
    for variant in $variants; do
        env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT="$variant" "out/$variant/replay" >&2
    done
}

setup() {
    bats_require_minimum_version 1.5.0
    RECORD=$HAK_ROOT/out/record
    cd "$BATS_TEST_TMPDIR"
}

# recorded PROGRAM ARGS...: runs the program, and records it in ./log
recorded() {
    HAKMEM_RECORD=log timeout -k 5 "$HAK_TEST_SECONDS" env LD_PRELOAD="$RECORD/libhakmem.so" "$@"
}

# replayed VARIANT ARGS...: prints the replay's one line, without "the whole heap", which only an
# audit can prove
replayed() {
    case $1 in audit | asan) local -x HAKMEM_AUDIT_LEVEL=2 ;; esac
    timeout -k 5 "$HAK_TEST_SECONDS" "$HAK_ROOT/out/$1/replay" "${@:2}" log 2>&1 | sed 's/, the whole heap at the end//'
}

# replays THREADS: ./log has at least so many threads, and its replay prints the same figures on
# every variant
replays() {
    local variant expected said
    expected=$(replayed release)
    echo "$expected"
    [[ $expected =~ ^"replay: log: "[0-9]+" operations, "[0-9]+" blocks, "[0-9]+" bytes proved, "([0-9]+)" threads, "[0-9]+" switches: nothing found"$ ]]
    [ "${BASH_REMATCH[1]}" -ge "$1" ]
    for variant in $variants; do
        said=$(replayed "$variant")
        echo "$variant: $said"
        [ "$said" = "$expected" ]
    done
}

@test "a Python script" {
    recorded "$(python3 -c 'import sys; print(sys.executable)')" -c '
import json, re, threading
def work(n):
    rows = [{"key": i, "text": "x" * (i % 900), "parts": list(range(i % 50))} for i in range(n)]
    text = json.dumps(rows)
    assert json.loads(text) == rows and len(re.findall("xxx+", text)) > 0
threads = [threading.Thread(target=work, args=(400 + 50 * i,)) for i in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
'
    replays 4
}

@test "CPython's own tests" {
    recorded /usr/bin/python3 -m test -q test_json test_dict test_list test_threading
    replays 20
}

# under_load PROGRAM ARGS...: runs a redis-server, which many clients talk to
under_load() {
    local server waits=0
    "$@" --port 0 --unixsocket "$PWD/socket" --save '' --appendonly no --logfile "$PWD/said" &
    server=$!
    until [ "$(redis-cli -s socket ping 2>/dev/null)" = PONG ]; do
        if ((++waits == 2000)) || ! kill -0 "$server"; then
            cat said
            return 1
        fi
        sleep 0.05
    done
    redis-benchmark -s "$PWD/socket" -c 20 -P 8 -n 4000 -r 5000 -d 100 --csv \
        -t set,get,lpush,rpush,lpop,sadd,hset,zadd,lrange_100,mset >/dev/null
    redis-cli -s socket shutdown nosave
    wait "$server"
}

@test "redis under load" {
    # Debian's redis-tools has the server under another name.
    ln -s "$(type -P redis-check-rdb)" redis-server
    HAKMEM_RECORD=log under_load env LD_PRELOAD="$RECORD/libhakmem.so" ./redis-server
    [ "$(stat -c %s log)" -gt 1000000 ]
    replays 1
}

@test "sqlite3" {
    recorded sqlite3 :memory: 'create table t(a integer primary key, b text);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
        insert into t select i, hex(randomblob(i % 300)) from n;
        create index u on t(b); select count(*), max(length(b)) from t where b > "8"; delete from t where a % 3 = 0; vacuum;'
    replays 1
}

@test "threads that free each other's blocks" {
    recorded "$RECORD/tests/producer_consumer_ring"
    replays 7
    recorded "$RECORD/tests/many_threads_at_once"
    replays 5
}

@test "frees by the destructors of keys belong to the thread that ends" {
    recorded "$RECORD/tests/key_destructors"
    replays 5
}

@test "requests that fail" {
    recorded "$RECORD/tests/impossible_sizes"
    replays 1
}

@test "children of fork do not write into their parent's log" {
    recorded "$RECORD/tests/fork_in_every_thread"
    replays 5
}

@test "on one thread of the system, and on another allocator" {
    recorded "$RECORD/tests/key_destructors"
    run replayed release --threads virtual
    [[ $output == *"virtual threads"*": nothing found" ]]
    run "$HAK_ROOT/build.sh" replay --allocator "$HAK_ROOT/out/release/libhakmem.so" log
    [[ $output == *": nothing found" ]]
    run "$HAK_ROOT/build.sh" replay --allocator system log
    [[ $output == *": nothing found" ]]
}

# dies HOW STATUS: the program ends with this status; its log has all that it did until then
dies() {
    local status=0
    recorded "$RECORD/tests/program_dies" "$1" 2>said || status=$?
    [ "$status" -eq "$2" ]
    run replayed release
    echo "$1: $output"
    [[ $output =~ ^"replay: log (its writer did not close it): "[0-9]+" operations, "([0-9]+)" blocks, "[0-9]+" bytes proved, 2 threads, 2 switches: nothing found"$ ]]
    [ "${BASH_REMATCH[1]}" -ge 2000 ]
}

@test "a program that is killed, aborts or leaves by _exit" {
    dies kill 137
    dies abort 134
    dies _exit 0
}

@test "a program that frees twice: the replay says where" {
    run -134 recorded "$RECORD/tests/program_dies" double_free
    [[ $output == "hakmem: free(): double free: "* ]]
    for variant in release audit asan; do
        run timeout "$HAK_TEST_SECONDS" "$HAK_ROOT/out/$variant/replay" log
        echo "$variant: status $status: $output"
        [ "$status" -eq 134 ]
        [[ ${lines[0]} == "hakmem: free(): double free: "* ]]
        [[ ${lines[-1]} =~ ^"replay: Aborted in operation "[0-9]+", free again, slot "[0-9]+", thread 0"$ ]]
    done
}

@test "what cannot be recorded is one clear line, and the program runs" {
    run -0 env HAKMEM_RECORD=/nowhere/log LD_PRELOAD="$RECORD/libhakmem.so" /bin/echo runs
    [ "$output" = $'hakmem: record: /nowhere/log: ENOENT; nothing more is recorded\nruns' ]
    echo precious >letter
    run -0 env HAKMEM_RECORD=letter LD_PRELOAD="$RECORD/libhakmem.so" /bin/echo runs
    [ "$output" = $'hakmem: record: letter: is there, and no operation log; nothing more is recorded\nruns' ]
    [ "$(cat letter)" = precious ]
    mkfifo fifo
    echo linked >target
    ln -s target link
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    irregular() {
        run -0 timeout "$HAK_TEST_SECONDS" env HAKMEM_RECORD="$1" LD_PRELOAD="$RECORD/libhakmem.so" /bin/echo runs
        [ "$output" = "hakmem: record: $1: is no regular file; nothing more is recorded"$'\nruns' ]
    }
    for file in /dev/full /dev/null . fifo socket; do irregular $file; done
    (exec 9<>fifo; irregular fifo) # a fifo that somebody reads
    run -0 env HAKMEM_RECORD=link LD_PRELOAD="$RECORD/libhakmem.so" /bin/echo runs
    [ "$output" = $'hakmem: record: link: ELOOP; nothing more is recorded\nruns' ]
    [ "$(cat target)" = linked ]
    run -0 env HAKMEM_RECORD= LD_PRELOAD="$RECORD/libhakmem.so" /bin/echo runs
    [ "$output" = runs ]
}

@test "without handlers of fork nothing is recorded: a child would write into its parent's log" {
    gcc -Wall -Wextra -shared -fPIC -o no_handlers.so "$HAK_ROOT/verify/tests/sandbox/programs/no_fork_handlers.c"
    run -0 env HAKMEM_RECORD=log LD_PRELOAD="$PWD/no_handlers.so $RECORD/libhakmem.so" /bin/echo runs
    echo "$output"
    [ "${lines[0]}" = "hakmem: record: log: no memory for the handlers of fork; nothing more is recorded" ]
    [ "${lines[-1]}" = runs ]
    [ ! -e log ]
}

@test "a disk that is full ends the recording, not the program" {
    # The limit is in blocks of 1024 bytes: the log's first window fits, the second does not.
    run -0 bash -c "ulimit -f 1100; trap '' XFSZ; HAKMEM_RECORD=log LD_PRELOAD='$RECORD/libhakmem.so' '$RECORD/tests/producer_consumer_ring'"
    [ "$output" = $'hakmem: record: log: EFBIG; nothing more is recorded\nok: 90000 letters sent and answered' ] ||
        { echo "$output"; false; }
    run replayed release
    [[ $output == "replay: log (its writer did not close it): "*": nothing found" ]]
}

@test "%p is the process's number, and one file has one writer" {
    HAKMEM_RECORD=log.%p LD_PRELOAD="$RECORD/libhakmem.so" sh -c '/bin/true; echo $$ >number'
    [ "$(find . -name 'log.*' | wc -l)" -eq 2 ]
    [ -s "log.$(cat number)" ]
    HAKMEM_RECORD=log LD_PRELOAD="$RECORD/libhakmem.so" sh -c 'x=$(/bin/echo child); echo $x'
    replayed release
}

@test "release does not record, and says so" {
    run -0 env HAKMEM_RECORD=log LD_PRELOAD="$HAK_OUT/libhakmem.so" /bin/echo runs
    [[ $output == "hakmem: option HAKMEM_RECORD is unknown"*$'\nruns' ]]
    [ ! -e log ]
    run -1 grep -c oplog <(nm "$HAK_OUT/libhakmem.so.1")
}
