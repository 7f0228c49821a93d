# shellcheck shell=bash disable=SC2034
# redis-server under redis-benchmark with many pipelining clients, then with data whose digest must
# be the same.
#
# Debian's redis-tools has the server's binary under another name. The package redis-server adds a
# link to it and a service that it starts, which a test does not want. The server is linked with
# jemalloc as a shared library. A preloaded malloc replaces jemalloc, so the run on the system's
# malloc is really a run on jemalloc.

needs=(redis-check-rdb redis-cli redis-benchmark awk)
subjects=(redis-server redis-benchmark redis-cli)

# Makes commands that use every encoding of Redis, with small and large values that are changed and
# partly deleted again.
prepare() {
    local keys=60000
    if [[ $quick == 1 ]]; then keys=3000; fi
    awk -v keys="$keys" 'BEGIN {
        x = 1
        for (i = 0; i < keys; i++) {
            x = (x * 16807) % 2147483647
            text = sprintf("%x-%d", x, x)
            for (more = x % 9; more > 0; more--)
                text = text text
            printf "SET string:%d %s\n", i, text
            printf "APPEND string:%d %d\n", x % keys, x
            printf "RPUSH list:%d %s %d\n", x % 499, substr(text, 1, 200), x
            printf "HSET hash:%d field%d %s\n", x % 997, x % 613, substr(text, 1, 1 + x % 100)
            printf "SADD set:%d %d\n", x % 101, x % 4001
            printf "ZADD zset:%d %d member%d\n", x % 53, x % 100003, x % 2003
            printf "XADD stream:%d %d-1 field %d\n", x % 7, i + 1, x
            printf "SETRANGE range:%d %d %d\n", x % 29, x % 60000, x
            printf "PFADD log:%d %d\n", x % 13, x
            if (i % 5 == 0) printf "DEL string:%d\n", x % keys
            if (i % 7 == 0) printf "UNLINK list:%d\n", x % 499
            if (i % 3 == 0) printf "LPOP list:%d\n", x % 211
            if (i % 100 == 0) printf "LTRIM list:%d 5 -5\n", x % 499
            if (i % 50 == 0) printf "ZUNIONSTORE union:%d 3 zset:%d zset:%d zset:%d\n", x % 11, x % 53, x % 47, x % 43
            if (i % 50 == 0) printf "SORT set:%d STORE sorted:%d\n", x % 101, x % 31
            if (i % 50 == 0) printf "EVAL \"local t = {} for i = 1, 500 do t[i] = ARGV[1] .. i end return redis.call(\047SET\047, KEYS[1], table.concat(t))\" 1 script:%d %d\n", x % 37, x
        }
    }' >commands
}

redis() { redis-cli -s "$PWD/socket" "$@"; }

workload() {
    local requests=150000 server waits=0
    if [[ $quick == 1 ]]; then requests=5000; fi
    ln -s "$(type -P redis-check-rdb)" redis-server
    # Lazy freeing: a background thread frees what the main thread allocated.
    ./redis-server --port 0 --unixsocket "$PWD/socket" --save '' --appendonly no --enable-debug-command yes \
        --lazyfree-lazy-user-del yes --lazyfree-lazy-server-del yes --logfile "$PWD/log" &
    server=$!
    # shellcheck disable=SC2064 # expanded now: the trap is for this server
    trap "kill $server 2>/dev/null || true; wait $server || true" EXIT
    until [[ $(redis ping 2>/dev/null) == PONG ]]; do
        if ((++waits == 2000)) || ! kill -0 "$server"; then
            cat log
            return 1
        fi
        sleep 0.05
    done

    # The figures of the benchmark vary; only the names of its tests are compared.
    redis-benchmark -s "$PWD/socket" -c 20 -P 16 -n "$requests" -r 20000 -d 100 --csv \
        -t set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset | cut -d, -f1
    redis flushall async

    redis --pipe <"$input/commands"
    redis debug digest
    redis bgsave # a forked child writes while the parent goes on
    until redis info persistence | grep '^rdb_bgsave_in_progress:0' >/dev/null; do
        kill -0 "$server"
        sleep 0.05
    done
    redis debug reload
    redis debug digest
    redis dbsize
    redis info | tr -d '\r' | grep -E '^(rdb_last_bgsave_status|total_error_replies|expired_keys|evicted_keys|db0):'
    redis shutdown nosave
    wait "$server"
}
