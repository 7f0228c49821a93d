#!/usr/bin/env bats
# HAKMEM_* in the environment. A setting that cannot be used is reported in one line on stderr, and
# the program runs with the default.

load ../on_hakmem

# one option a line: name, default, least, most, field
options=$("$HAK_ROOT/ci/options_doc.sh" --list)

# says PROGRAM SETTING EXPECTED: the program succeeds with SETTING in its environment, and stderr is
# exactly EXPECTED. cmp compares the bytes, because the shell drops zeros.
says() {
    local out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err expected=$BATS_TEST_TMPDIR/expected status=0
    printf '%s' "${3:+$3$'\n'}" >"$expected"
    env "$2" LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/$1" >"$out" 2>"$err" || status=$?
    if [ "$status" -ne 0 ] || [[ "$(cat "$out")" != "ok: "* ]] || ! cmp -s "$err" "$expected"; then
        printf 'with %s: exit status %s\nexpected: %s\nstderr:   %s\n' "$2" "$status" "$3" "$(cat -v "$err")"
        return 1
    fi
}

refuses() {
    says product_overflows "HAKMEM_$1=$2" "hakmem: option HAKMEM_$1: \"$2\" is not a number in $4..$5; using $3"
}

@test "values that are no number or out of range" {
    while read -r name default least most _; do
        [ -n "$name" ] || continue
        for value in abc "" -1 1.5 0x1 " 1" "1 " +1 1MiB $((most + 1)) 4294967296 18446744073709551617; do
            refuses "$name" "$value" "$default" "$least" "$most"
        done
        [ "$least" -eq 0 ] || refuses "$name" 0 "$default" "$least" "$most"
    done <<<"$options"
}

@test "a long or unprintable value is shown cut and cleaned" {
    says product_overflows "HAKMEM_STATS=$(printf 'x%.0s' {1..300})" \
        "hakmem: option HAKMEM_STATS: \"$(printf 'x%.0s' {1..60})...\" is not a number in 0..1; using 0"
    says product_overflows $'HAKMEM_THP=\e[2J' 'hakmem: option HAKMEM_THP: "?[2J" is not a number in 0..2; using 0'
}

@test "names that do not exist" {
    says product_overflows HAKMEM_STAT=1 "hakmem: option HAKMEM_STAT is unknown; did you mean HAKMEM_STATS?"
    says product_overflows HAKMEM_BIGCACHE_MIB=1 "hakmem: option HAKMEM_BIGCACHE_MIB is unknown; did you mean HAKMEM_BIGCACHE_MB?"
    says product_overflows HAKMEM_TINY_PO_ENABLE=0 "hakmem: option HAKMEM_TINY_PO_ENABLE is unknown; did you mean HAKMEM_TINY_P0_ENABLE?"
    says product_overflows HAKMEM_SOMETHING_ELSE_ENTIRELY=1 "hakmem: option HAKMEM_SOMETHING_ELSE_ENTIRELY is unknown"
}

@test "other programs' variables are none of its business" {
    says product_overflows HAKMEMORY=1 ""
    says product_overflows HAKMEM=1 ""
    says product_overflows hakmem_STATS=1 ""
}

@test "each option's least, most and default value is taken" {
    while read -r name default least most _; do
        [ -n "$name" ] || continue
        for value in "$default" "$least" "$most"; do
            case $name=$value in STATS=1 | TINY_P0_LOG=1) continue ;; esac # these two print
            says every_tier "HAKMEM_$name=$value" ""
        done
    done <<<"$options"
}

# prints OPTION PATTERN: with the option at 1 the program succeeds, and stderr has a line that
# matches
prints() {
    env "HAKMEM_$1=1" LD_PRELOAD="$HAK_OUT/libhakmem.so" "$HAK_OUT/tests/every_tier" \
        >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = "ok: every tier" ]
    grep -qE "^hakmem: $2" "$BATS_TEST_TMPDIR/err"
}

@test "statistics at exit go to stderr" { prints STATS 'live large blocks: 0$'; }

@test "the log of batches shows what each did to the counters, and they add up" {
    prints TINY_P0_LOG 'p0 carve slab 0x[0-9a-f]+ stride [0-9]+ blocks [0-9]+ used '
    # A carve: `blocks` is the change of used, carved and active. Take, flush and collect leave
    # carved alone; flush and collect lower used and active.
    awk '/^hakmem: p0 remote/ { next }
         /^hakmem: p0 / {
             lines++; seen[$3]++
             for (i = 4; i < NF; i++) if ($i ~ /^(used|carved|active)$/) {
                 split($(i + 1), value, "->"); change = $(i + 2); gsub(/[()+]/, "", change)
                 if (value[2] - value[1] != change + 0) { print "not its difference: " $0; bad = 1 }
                 delta[$i] = change + 0
             } else if ($i == "blocks") blocks = $(i + 1)
             sign = $3 == "carve" || $3 == "take" ? 1 : -1
             if (delta["used"] != sign * blocks || delta["active"] != sign * blocks) { print "counted wrongly: " $0; bad = 1 }
             if ($3 == "carve" ? delta["carved"] != blocks : $3 != "collect-all" && delta["carved"] != 0) { print "carved wrongly: " $0; bad = 1 }
         }
         END { exit bad || lines < 5 || !seen["carve"] || !seen["take"] || !seen["flush"] }' "$BATS_TEST_TMPDIR/err"
}

@test "without batches each block is carved alone" {
    HAKMEM_TINY_P0_ENABLE=0 prints TINY_P0_LOG 'p0 carve slab 0x[0-9a-f]+ stride [0-9]+ blocks 1 used '
    run ! grep -E '^hakmem: p0 (carve|take) .* blocks ([2-9]|1[0-9])' "$BATS_TEST_TMPDIR/err"
}

@test "the pool arena's chunks follow the options" {
    proves pool_arena_options_internal 1 2
    HAKMEM_POOL_TLS_ARENA_MB_INIT=4 proves pool_arena_options_internal 4
    HAKMEM_POOL_TLS_ARENA_MB_INIT=4 HAKMEM_POOL_TLS_ARENA_MB_MAX=2 proves pool_arena_options_internal 2 2
    HAKMEM_POOL_TLS_ARENA_GROWTH_LEVELS=0 proves pool_arena_options_internal 1 1 1
}

@test "the budget of the cache bounds what is kept" {
    export HAKMEM_PURGE_DELAY_MS=3600000
    HAKMEM_BIGCACHE_MB=0 proves cache_budget 0 8
    HAKMEM_BIGCACHE_MB=64 proves cache_budget 48 72
    HAKMEM_BIGCACHE_MB=1024 proves cache_budget 120 136
}

@test "nothing is read in a program with raised rights" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to make a program setuid"
    folder=$(mktemp -d)
    chmod 711 "$folder"
    install -m 4755 "$HAK_OUT/tests/raised_rights_static" "$folder/raised"
    install -m 755 "$HAK_OUT/tests/raised_rights_static" "$folder/plain"
    as_nobody() { env HAKMEM_STATS=1 HAKMEM_BOGUS=1 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    as_nobody "$folder/raised" >"$folder/raised.out" 2>"$folder/raised.err"
    as_nobody "$folder/plain" >"$folder/plain.out" 2>"$folder/plain.err"
    raised=$(cat "$folder/raised.out" "$folder/raised.err")
    plain=$(cat "$folder/plain.out" "$folder/plain.err")
    rm -r "$folder"
    case $raised in *"AT_SECURE 0"*) skip "setuid has no effect here" ;; esac
    [ "$raised" = "ok: AT_SECURE 1" ]
    [[ "$plain" == *"ok: AT_SECURE 0"* && "$plain" == *"HAKMEM_BOGUS is unknown"* ]]
}
