#!/usr/bin/env bash
# Runs the rows of the suite `programs`. The output of a command is the same on every malloc.
#
#   bench/programs.sh prepare NAME PERCENT INPUT   makes inputs in INPUT, on the system's malloc
#   bench/programs.sh run NAME PERCENT INPUT       the run that is timed, in an empty folder
#   bench/programs.sh list
#
# PERCENT: the share of the full suite's work.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# The programs of Debian, in the same environment everywhere.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC PYTHONHASHSEED=0

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

# of FULL: `percent` of FULL, rounded up
of() { echo $((($1 * percent + 99) / 100)); }

# ---- redis: many pipelining clients, nine common commands; blocks of clients and of data --------

run_redis() {
    local server waits=0
    ln -s "$(type -P redis-check-rdb)" redis-server
    ./redis-server --port 0 --unixsocket socket --save '' --appendonly no --logfile "$PWD/log" &
    server=$!
    # shellcheck disable=SC2064 # expanded now: the trap is for this server
    trap "kill $server 2>/dev/null || true; wait $server || true" EXIT
    until [[ -S socket ]]; do
        if ((++waits == 1000)) || ! kill -0 "$server"; then
            cat log >&2
            return 1
        fi
        sleep 0.01
    done
    redis-benchmark -s socket -c 20 -P 16 -n "$(of 100000)" -r 20000 -d 100 --csv \
        -t set,get,incr,lpush,rpush,lpop,sadd,hset,zadd | cut -d, -f1
    redis-cli -s socket shutdown nosave
    wait "$server"
}

# ---- sqlite3: a table with indexes filled, grouped, changed, half emptied and rebuilt -----------

run_sqlite3() {
    sqlite3 -batch -bail test.db <<SQL
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
CREATE TABLE item (id INTEGER PRIMARY KEY, key INTEGER, name TEXT, data BLOB, price REAL);
CREATE INDEX item_key ON item (key);
CREATE UNIQUE INDEX item_name ON item (name, key);
BEGIN;
INSERT INTO item
    WITH RECURSIVE step (id, x) AS (
        VALUES (1, 1)
        UNION ALL
        SELECT id + 1, (x * 48271) % 2147483647 FROM step WHERE id < $(of 100000)
    )
    SELECT id, x % 50021, printf('name-%08x-%s', x, hex(x * 31)), zeroblob(x % 97) || x, x / 7.0 FROM step;
COMMIT;
SELECT key % 11 AS part, count(*), count(DISTINCT key), round(avg(price), 3), length(group_concat(name))
    FROM item GROUP BY part ORDER BY part;
SELECT sum(length(json_object('id', id, 'name', name, 'price', price))) FROM item;
BEGIN;
UPDATE item SET name = name || '-changed', key = key + 1 WHERE id % 3 = 0;
DELETE FROM item WHERE key % 2 = 0;
COMMIT;
VACUUM;
PRAGMA integrity_check;
SELECT count(*), sum(key), max(name) FROM item;
SQL
}

# ---- cpython: its own library compiled, every object on malloc instead of Python's arenas -------

prepare_cpython() {
    local library files
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    files=("$library"/*.py) # in the order of their names
    cp -t . "${files[@]:0:$(of 160)}"
}

run_cpython() {
    PYTHONMALLOC=malloc PYTHONPYCACHEPREFIX=$PWD python3 -m compileall -q -f --invalidation-mode unchecked-hash "$input"
    find . -name '*.pyc' -print0 | sort -z | xargs -0 cat | sha256sum
}

# ---- gcc, clang: C++ with many templates, optimised ----------------------------------------------

# shapes COUNT: C++ source of COUNT classes, each with containers of its own
shapes() {
    local number
    echo '#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>'
    for ((number = 0; number < $1; number++)); do
        sed "s/NAME/Shape$number/g" <<'CPP'
struct NAME {
    std::map<std::string, std::vector<NAME>> parts;
    std::unordered_map<int, std::shared_ptr<NAME>> shared;
    std::function<int(const NAME &)> weigh;
    int weight() const {
        int sum = weigh ? weigh(*this) : 1;
        for (const auto &[name, list] : parts)
            for (const auto &part : list) sum += part.weight() + static_cast<int>(name.size());
        return sum;
    }
};
int sorted_NAME(std::vector<NAME> &list) {
    std::sort(list.begin(), list.end(), [](const NAME &a, const NAME &b) { return a.weight() < b.weight(); });
    return list.empty() ? 0 : list.front().weight();
}
CPP
    done
}

prepare_gcc() { shapes "$(of 5)" >shapes.cc; }
prepare_clang() { shapes "$(of 5)" >shapes.cc; }

run_gcc() {
    g++ -std=c++17 -O1 -c -o shapes.o "$input/shapes.cc"
    sha256sum shapes.o
}

run_clang() {
    clang++ -std=c++17 -O1 -c -o shapes.o "$input/shapes.cc"
    sha256sum shapes.o
}

# ---- node: worker threads that exchange buffers, strings and objects -----------------------------

run_node() { node "$root/ci/programs/node.js" 3 "$(of 10)"; }

# ---- z3: a C++ program of small objects; group theory until the limit of steps -------------------

prepare_z3() {
    # shellcheck source=ci/programs/z3.sh
    source "$root/ci/programs/z3.sh"
    group "$(of 800000)" >group.smt2
}

run_z3() { z3 -st "$input/group.smt2" | grep -vE ':(time|total-time|memory|max-memory) '; }

names=(redis sqlite3 cpython gcc clang node z3)
if [[ ${1-} == list ]]; then
    printf '%s\n' "${names[@]}"
    exit
fi
[[ $# -eq 4 && " prepare run " == *" $1 "* && " ${names[*]} " == *" $2 "* && $3 =~ ^[1-9][0-9]*$ ]] || usage
percent=$3 input=$4
if [[ $1 == prepare ]]; then
    cd "$input"
    [[ $(type -t "prepare_$2") != function ]] || "prepare_$2"
else
    "run_$2"
fi
