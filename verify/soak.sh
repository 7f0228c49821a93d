#!/usr/bin/env bash
# Runs the stress test and the real programs on the audit for a long time. Any report is a false
# one, and fails.
#
#   soak.sh [MINUTES]     default: 60
#
# Level 1 and level 2 get half of the minutes each. On each level the stress test (with another seed
# every minute) and the real programs of ci/programs/ take turns. At the first report the script
# prints it and ends with status 1.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
minutes=${1:-60}
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || {
    echo "soak: minutes: a number in 1..9999" >&2
    exit 2
}
audit=$root/out/audit
said=$(mktemp)
trap 'rm -f "$said"' EXIT
began=$EPOCHSECONDS

fails() {
    printf 'soak: %s:\n' "$1"
    cat "$said"
    exit 1
}

# stress SECONDS SEED: fails if anything is printed but the last line and the audit's summary
stress() {
    HAKMEM_AUDIT_SUMMARY=1 timeout $(($1 * 40 + 600)) "$audit/tests/stress_internal" "$1" "$2" >"$said" 2>&1 ||
        fails "the stress test at level $HAKMEM_AUDIT_LEVEL, seed $2, ended with status $?"
    ! grep -v -e '^ok: ' -e '^# ' -e '^hakmem: audit: level .*: nothing found$' "$said" >/dev/null ||
        fails "the stress test at level $HAKMEM_AUDIT_LEVEL, seed $2, said"
}

# ci/programs.sh demands the same stderr as with the system's malloc, so a report is a difference.
programs() {
    HAK_OUT=$audit "$root/ci/programs.sh" >"$said" 2>&1 || fails "the real programs at level $HAKMEM_AUDIT_LEVEL"
}

seed=0
for level in 1 2; do
    export HAKMEM_AUDIT_LEVEL=$level
    until=$((began + minutes * 30 * level))
    while ((EPOCHSECONDS < until)); do
        seed=$((seed + 1))
        left=$((until - EPOCHSECONDS))
        stress $((left < 60 ? left : 60)) "$seed"
        printf 'soak: %d of %d s: level %d, seed %d: %s\n' $((EPOCHSECONDS - began)) $((minutes * 60)) "$level" "$seed" \
            "$(sed -n 's/^hakmem: audit: level [12]: checked //p' "$said")"
        if ((EPOCHSECONDS < until)); then
            programs
            printf 'soak: %d of %d s: level %d: %s\n' $((EPOCHSECONDS - began)) $((minutes * 60)) "$level" "$(tail -n 1 "$said")"
        fi
    done
done
printf 'soak: %d minutes at levels 1 and 2: nothing reported\n' "$minutes"
