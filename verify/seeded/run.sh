#!/usr/bin/env bash
# Plants known bugs into copies of the sources, one at a time, and proves that the detectors see
# them.
#
#   run.sh [--list] [ID...]     default: clean, canary and every row of table.txt
#   run.sh --matrix [ID...]     runs every detector on every bug, whatever the table demands;
#                               prints a table in Markdown, in which a cell has the operations /
#                               seconds to detection
#
# For each ID the patch ID_*.patch is applied to a copy of the tree, the changed files are built,
# and the detectors in its row of table.txt are run. Each prints one line: bug, detector, seen or
# NOT SEEN, operations to detection, seconds, and the first words of the report. Status 0 only if
# every bug was seen by every detector in its row.
#
# Detectors. All but explore and test.NAME run seeded_driver_internal in one variant:
#   release   the checks of the release build, and the driver's own proofs
#   debug     an assertion or a check of the allocator
#   audit1    the audit at level 1, or an assertion or a check of the allocator
#   audit2    the same at level 2
#             The last three run without the driver's proofs of the whole heap: they must find the
#             bug where it happens.
#   asan      a report of AddressSanitizer, with the audit at level 2
#   tsan      a report of ThreadSanitizer, on the stress test or the driver's threads
#   memcheck  a report of Memcheck, with the audit off; only in the matrix
#   explore   a finding of the explorer, with up to one preemption
#   test.NAME the test program NAME of the release build, which must fail: for bugs that only a test
#             of their own can see; not in the matrix
# DETECTOR+hang: the alarm that ends a driver without progress counts as seen, too.
#
# HAK_SEEDED_JOBS   bugs that are worked on at once; default: the number of processors
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
root=$(cd "$here/../.." && pwd -P)
table=$here/table.txt
thread_phases=(mixed exits remote ring)
memcheck_phases=(single batch resize)
longest=1200 # seconds; only a program that hangs takes so long
all_detectors=release,debug,audit1,audit2,asan,tsan,memcheck,explore

die() {
    printf 'seeded: %s\n' "$1" >&2
    exit 2
}

# rows: prints "id name detectors", one bug a line
rows() {
    awk -F'|' '!/^#/ && NF == 4 { for (i = 1; i <= 4; i++) gsub(/^ +| +$/, "", $i); gsub(/ /, "", $4)
                                  print $1, $2, $4 }' "$table"
}

row_of() { rows | awk -v id="$1" '$1 == id'; }

# variant_of DETECTOR
variant_of() {
    case $1 in
    release | debug | asan | tsan | explore) echo "$1" ;;
    audit1 | audit2) echo audit ;;
    test.*) echo release ;;
    memcheck) echo valgrind ;;
    *) die "no detector '$1'" ;;
    esac
}

# programs_of VARIANT DETECTORS: the programs that the variant's detectors run
programs_of() {
    local detector
    [ "$1" != release ] || for detector in ${2//,/ }; do
        [[ $detector != test.* ]] || printf 'out/release/tests/%s ' "${detector#test.}"
    done
    if [ "$1" = explore ]; then
        printf out/explore/explore
        return
    fi
    printf 'out/%s/tests/seeded_driver_internal ' "$1"
    [ "$1" != tsan ] || printf 'out/tsan/tests/stress_internal'
}

# run_detector DETECTOR OUTPUT PROOFS: runs the detector in the current folder, with its output in
# the file OUTPUT
run_detector() {
    case $1 in
    audit*) HAK_SEEDED_PROOFS=$3 HAKMEM_AUDIT_LEVEL=${1#audit} timeout -k 5 "$longest" out/audit/tests/seeded_driver_internal ;;
    debug) HAK_SEEDED_PROOFS=$3 timeout -k 5 "$longest" out/debug/tests/seeded_driver_internal ;;
    asan) HAK_SEEDED_PROOFS=$3 HAKMEM_AUDIT_LEVEL=2 timeout -k 5 "$longest" out/asan/tests/seeded_driver_internal ;;
    tsan)
        local TSAN_OPTIONS=halt_on_error=1:exitcode=66
        export TSAN_OPTIONS
        timeout -k 5 "$longest" out/tsan/tests/stress_internal 20 11 &&
            HAK_SEEDED_PROOFS=$3 timeout -k 5 "$longest" out/tsan/tests/seeded_driver_internal 1 "${thread_phases[@]}"
        ;;
    memcheck)
        HAK_SEEDED_PROOFS=0 HAKMEM_AUDIT_LEVEL=0 timeout -k 5 "$longest" valgrind -q --error-exitcode=66 \
            --soname-synonyms=somalloc=nouserintercepts \
            out/valgrind/tests/seeded_driver_internal 1 "${memcheck_phases[@]}"
        ;;
    explore)
        timeout -k 5 "$longest" out/explore/explore --first --preemptions 1 &&
            timeout -k 5 "$longest" out/explore/explore --first --preemptions 1 --memory tso trim
        ;;
    release) timeout -k 5 "$longest" out/release/tests/seeded_driver_internal ;;
    test.*) timeout -k 5 "$longest" "out/release/tests/${1#test.}" ;;
    esac >"$2" 2>&1
}

# was_seen DETECTOR STATUS OUTPUT: status 0 if the detector itself has reported the bug
was_seen() {
    [ "$2" -ne 0 ] || return 1
    case $1 in
    *+hang) [ "$2" -eq 142 ] || was_seen "${1%+hang}" "$2" "$3" ;;
    release) [ "$2" -ne 142 ] && [ "$2" -ne 124 ] ;;
    explore) grep -qE '^hakmem: |: schedule ' "$3" ;;
    test.*) grep -qE '^hakmem: |: [A-Za-z].* fails: ' "$3" ;;
    asan) grep -q 'ERROR: AddressSanitizer' "$3" ;;
    tsan) grep -q 'WARNING: ThreadSanitizer' "$3" ;;
    memcheck) grep -qE '^==[0-9]+== (Invalid|Conditional|Use of|Syscall param|Source and dest|Mismatched)' "$3" ;;
    *) grep -qE '^hakmem: (audit: broken|internal check failed|[a-z_]+\(\): )' "$3" ;;
    esac
}

# first_words OUTPUT: prints the first line of the report, shortened
first_words() {
    local line
    line=$(grep -m 1 -E '^hakmem: |^seeded driver: |^[a-z-]+: (explore|hakmem|fuzz): |(WARNING: Thread|ERROR: Address)Sanitizer|: [A-Za-z].* fails: ' "$1" || true)
    sed -E 's/0x[0-9a-f]+/0x#/g; s/^hakmem: //; s/^[a-z-]+: (explore|hakmem|fuzz): //; s/ \(pid=.*//; s/^==[0-9]+==//; s/ on address.*//' <<<"${line:-no word}" | cut -c 1-90
}

# detect ID NAME DETECTOR: runs one detector and prints its line; status 1 if the result is wrong
detect() {
    local output=out/output start end status=0 verdict seen=no proofs=0
    start=$EPOCHREALTIME
    [ "$1" != clean ] || proofs=1
    run_detector "${3%+hang}" "$output" "$proofs" 2>/dev/null || status=$?
    end=$EPOCHREALTIME
    was_seen "$3" "$status" "$output" && seen=yes
    if [ "$matrix" = 1 ]; then
        verdict=$seen
    elif [ "$1" = clean ]; then
        verdict=$([ "$status" -eq 0 ] && echo silent || echo "FALSE REPORT")
    else
        verdict=$([ "$seen" = yes ] && echo seen || echo "NOT SEEN")
    fi
    printf '%-7s %-33s %-12s %-12s %9s %6.2f  %s\n' "$1" "$2" "$3" "$verdict" \
        "$(awk '/^ops / { print $2; found = 1; exit } END { if (!found) print "-" }' "$output")" \
        "$(awk -v a="$start" -v b="$end" 'BEGIN { print b - a }')" "$(first_words "$output")"
    [ "$matrix" = 1 ] || [[ $verdict == seen || $verdict == silent ]]
}

# as_table: turns the lines of detect into a table in Markdown, one row a bug
as_table() {
    awk -v all="$all_detectors" '
        BEGIN {
            count = split(all, detectors, ",")
            printf "| bug | name |"
            for (i = 1; i <= count; i++) printf " %s |", detectors[i]
            printf "\n|---|---|"
            for (i = 1; i <= count; i++) printf "---|"
            print ""
        }
        NF >= 6 && ($4 == "yes" || $4 == "no") {
            if (!($1 in name)) { order[++bugs] = $1; name[$1] = $2 }
            time = $6 + 0 < 10 ? $6 : sprintf("%d", $6)
            cell[$1, $3] = $1 == "clean" ? ($4 == "yes" ? "FALSE REPORT" : time " s") : $4 == "no" ? "–" : $5 " / " time
        }
        END {
            for (b = 1; b <= bugs; b++) {
                printf "| %s | %s |", order[b], name[order[b]]
                for (i = 1; i <= count; i++) printf " %s |", cell[order[b], detectors[i]]
                print ""
            }
        }' | { sed -u 2q; sort; }
}

# seed_one ID: plants one bug in a copy of the base, builds, and runs the detectors
seed_one() {
    local id=$1 row name detectors detector variants patch copy=$work/$1 failed=0
    row=$(row_of "$id")
    [ -n "$row" ] || die "no bug '$id'; see --list"
    read -r _ name detectors <<<"$row"
    [ "$matrix" = 0 ] || detectors=$all_detectors
    mkdir "$copy"
    cp -a "$base/." "$copy"
    cd "$copy"
    if [ "$id" != clean ]; then
        patch=$here/${id}_$name.patch
        [ -f "$patch" ] || die "$id: there is no $(basename "$patch")"
        patch -s -p1 --no-backup-if-mismatch <"$patch" >patch.log 2>&1 || {
            printf '%-7s %-33s the patch does not apply\n' "$id" "$name"
            return 1
        }
    fi
    variants=$(for detector in ${detectors//,/ }; do variant_of "${detector%+hang}"; done | sort -u)
    for variant in $variants; do
        # shellcheck disable=SC2046 # a list of files
        make -s VARIANT="$variant" $(programs_of "$variant" "$detectors") >make.log 2>&1 || {
            printf '%-7s %-33s does not build for %s: %s\n' "$id" "$name" "$variant" "$(grep -m 1 error make.log || true)"
            return 1
        }
    done
    for detector in ${detectors//,/ }; do
        detect "$id" "$name" "$detector" || failed=1
    done
    cd /
    rm -rf "$copy"
    return "$failed"
}

if [ "${1:-}" = --one ]; then # called by this script: base and work are in the environment
    seed_one "$2"
    exit
fi
if [ "${1:-}" = --list ]; then
    rows | awk '{ printf "%-7s %-33s %s\n", $1, $2, $3 }'
    exit
fi

matrix=0
if [ "${1:-}" = --matrix ]; then
    matrix=1
    shift
fi
export matrix

ids=("$@")
if [ ${#ids[@]} -eq 0 ]; then
    mapfile -t ids < <(rows | cut -d ' ' -f 1)
fi
for i in "${!ids[@]}"; do
    [[ ${ids[i]} != [1-9] && ${ids[i]} != [1-9][a-z] ]] || ids[i]=0${ids[i]} # 1 is 01
done
for id in "${ids[@]}"; do
    [ -n "$(row_of "$id")" ] || die "no bug '$id'; see --list"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
base=$work/base
export work base
mkdir "$base"
cp -a "$root"/{Makefile,ci,core,verify,fuzz,bench} "$base"
wanted=$(for id in "${ids[@]}"; do
    if [ "$matrix" = 1 ]; then echo "$all_detectors"; else row_of "$id" | cut -d ' ' -f 3; fi | tr ',' '\n'
done | sort -u)
variants=$(for detector in $wanted; do variant_of "${detector%+hang}"; done | sort -u)
jobs=${HAK_SEEDED_JOBS:-$(nproc)}
for variant in $variants; do
    # shellcheck disable=SC2046 # a list of files
    make -s -C "$base" -j"$jobs" VARIANT="$variant" $(programs_of "$variant" "$(echo "$wanted" | tr '\n' ',')")
done

if [ "$matrix" = 1 ]; then
    printf '%s\n' "${ids[@]}" | xargs -P "$jobs" -n 1 "${BASH_SOURCE[0]}" --one | tee /dev/stderr | as_table
    exit
fi
printf '%-7s %-33s %-12s %-12s %9s %6s  %s\n' bug name detector result ops secs "first words"
status=0
printf '%s\n' "${ids[@]}" | xargs -P "$jobs" -n 1 "${BASH_SOURCE[0]}" --one || status=1
if [ "$status" -eq 0 ]; then
    printf 'seeded: all of %d as they should be\n' "${#ids[@]}"
else
    printf 'seeded: NOT all of %d as they should be\n' "${#ids[@]}"
fi
exit "$status"
