#!/usr/bin/env bats
# The explorer: it finds nothing in this tree, in limited time. It finds planted bugs, reports them
# in few words, and replays them.

load ../on_hakmem
load ../planted

setup() {
    bats_require_minimum_version 1.5.0
    cd "$HAK_ROOT"
    unset CFLAGS CXXFLAGS
}

explore() { ./build.sh explore "$@"; }

built() { make -s VARIANT=explore out/explore/explore; }

seeded() { patch -s -p1 --no-backup-if-mismatch <"$(echo "$HAK_ROOT/verify/seeded/${1}_"*.patch)"; }

# relaxed WORD FROM: in remote.h, the first order of the compare-exchange on WORD becomes relaxed;
# it was FROM
relaxed() {
    perl -0pi -e "s/(weak_explicit\(&\Q$1\E,[^;]*?)memory_order_$2,/\${1}memory_order_relaxed,/" core/remote.h
    run ! cmp -s core/remote.h "$HAK_ROOT/core/remote.h"
}

# quiet ARGUMENTS...: the explorer finds nothing
quiet() {
    run out/explore/explore "$@"
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "nothing found, in "* ]]
}

# finds WORDS ARGUMENTS...: the explorer finds something, and its message matches WORDS
finds() {
    local words=$1
    shift
    run out/explore/explore "$@"
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    grep -qE "^[a-z-]+: $words" <<<"$output"
    grep -qE '^[a-z-]+: schedule ' <<<"$output"
}

# replays: the command that the last finding prints gives the finding again, ten times of ten
replays() {
    local arguments
    arguments=$(grep -m 1 -oP '^[a-z-]*: replay with ./build.sh explore \K.*' <<<"$output")
    [ -n "$arguments" ]
    for _ in {1..10}; do
        # shellcheck disable=SC2086 # several arguments
        run -134 out/explore/explore $arguments
    done
}

# The time differs from machine to machine. The number of schedules does not, so it is what the test
# limits.
@test "all scenarios, up to two preemptions: nothing is found, in fewer schedules than take three minutes" {
    run explore
    printf '%s\n' "$output"
    [ "$status" -eq 0 ]
    awk '/^nothing found, in / { found = 1 } NF == 5 { schedules += $2 } END { exit !(found && schedules < 900000) }' <<<"$output"
    [ "$(explore --list | wc -l)" -ge 11 ]
    # Each scenario has a row, and enough schedules that its threads were interleaved.
    diff <(explore --list | awk '{ print $1 }') <(awk 'NF == 5 && $2 + 0 >= 60 { print $1 }' <<<"$output")
}

@test "weak memory, a preemption and a store that is held back: nothing is found" {
    explore --list >/dev/null
    quiet --memory weak --preemptions 1
    quiet --memory tso --preemptions 1 free-free-collect owner-ends fork-child trim
}

@test "random walks and random priorities find nothing" {
    explore --list >/dev/null
    quiet --random 1 --seed 5
    quiet --pct 1 --memory weak --seed 5 free-free-collect notify-two-slabs cache
}

@test "a link that is written after its block was published is a race; without the detector, only a late store shows it" {
    planted explore late_link
    seeded 43
    built
    finds "explore: race: " --first
    quiet --first --no-races --preemptions 1
    finds "hakmem: " --first --no-races --preemptions 1 --memory tso
    replays
    finds "hakmem: " --first --no-races --preemptions 1 --memory weak
    replays
}

# On x86 a compare-exchange is a barrier, whatever its order.
@test "a push, and a notification, that releases nothing is found where memory is weak" {
    planted explore weak_push
    relaxed 'slab->remote' acq_rel
    built
    quiet --no-races --preemptions 1 --memory tso trim-idle
    finds "" --first --no-races --preemptions 1 --memory weak
    replays
    cp "$HAK_ROOT/core/remote.h" core/remote.h
    relaxed 'home->notified' release
    built
    finds "" --first --no-races --preemptions 1 --memory weak
    replays
}

@test "a collect that acquires nothing is a race" {
    planted explore relaxed_collect
    seeded 44
    built
    finds "explore: race: " --first --preemptions 0
    replays
}

@test "a finding has the fewest preemptions, replays, and is found by chance, too" {
    planted explore reset_too_early
    seeded 51b
    built
    finds "hakmem: audit: broken: " free-free-collect
    [[ $output == *", 1 preemptions, found after "* ]]
    replays
    finds "hakmem: audit: broken: " --random 60 --seed 3 free-free-collect
    [[ $output == *", 1 preemptions, found after "* ]]
    replays
    finds "hakmem: audit: broken: " --pct 60 --seed 3 free-free-collect
    replays
}

@test "a deadlock and a lock that nobody drops are told" {
    planted explore deadlock
    sed -i '/^void explore_only_me/,/^}/ s/        run.locks\[i\].holder = EXPLORE_NOBODY;//' verify/virtual/scheduler.c
    built
    finds "explore: deadlock: thread 0 waits for the lock of rank ., which the ended thread . holds" fork-child
    replays
}

@test "a thread that spins is told" {
    planted explore livelock
    sed -i '/^static inline void hak_home_notify/,/do {/ s/    do {/    while (atomic_load_explicit(\&home->notified, memory_order_relaxed) == old)\n        continue;\n&/' core/remote.h
    built
    finds "explore: livelock: " notify-collect --preemptions 0
}

@test "what cannot be asked for is told" {
    explore --list >/dev/null
    run -2 out/explore/explore no-such-scenario
    [[ $output == "explore: no scenario 'no-such-scenario'"* ]]
    run -2 out/explore/explore --preemptions many
    [[ $output == "explore: --preemptions: 'many' is not a number from 0 to 9"* ]]
    run -2 out/explore/explore --memory strong
    [[ $output == "explore: no memory 'strong'"* ]]
    run -2 out/explore/explore reclaim --schedule 17:2,x
    [[ $output == "explore: '17:2,x' is no schedule from character 6 on" ]]
    run -2 out/explore/explore reclaim --schedule 17:2,5:0
    [[ $output == *"is no schedule from character "* ]]
    run -2 out/explore/explore --schedule 17:2
    [[ $output == "explore: "* ]]
    run -3 out/explore/explore reclaim --schedule 4:3
    [[ $output == "explore: the schedule does not fit: the thread cannot run, at step 4" ]]
    run -3 out/explore/explore reclaim --schedule 90000:0
    [[ $output == "explore: the schedule does not fit: the run has ended, at step 90000" ]]
    run -0 out/explore/explore reclaim --schedule 4:2
    [[ $output == "reclaim: nothing is wrong with schedule 4:2" ]]
}
