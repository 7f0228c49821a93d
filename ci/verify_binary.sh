#!/usr/bin/env bash
# Tells whether a binary contains HAKMEM, which build of it, and whether that was built from the
# present sources.
#
#   verify_binary.sh BINARY     an executable, a shared library or a static library
#
# For a program that loads libhakmem.so or libhakmem_prefixed.so, the library that the loader would
# load is checked. Status 0 only if everything is as it should be.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

fail() {
    printf 'verify: %s\n' "$1" >&2
    exit 1
}

# The identities in the .note.hakmem sections of a file, one on each line.
identities() {
    readelf --string-dump=.note.hakmem -- "$1" 2>/dev/null | sed -n 's/^ *\[ *[0-9a-f]*\] *\(HAKMEM build: .*\)$/\1/p' |
        sort -u
}

# The name of the libhakmem that a dynamically linked program needs.
needed_library() {
    readelf --dynamic -- "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(libhakmem[a-z_]*\.so[^]]*\)\].*/\1/p'
}

judge() {
    local file=$1 identity=$2 text variant hash files today
    local form='^HAKMEM build: (version=([0-9.]+) variant=([^ ]+) flags=\[([^]]*)\] cflags=\[(.*)\] compiler=\[(.*)\]) sources=([0-9a-f]{64})$'
    [[ $identity =~ $form ]] || fail "$file: has a HAKMEM identity of unknown form: $identity"
    text=${BASH_REMATCH[1]} variant=${BASH_REMATCH[3]} hash=${BASH_REMATCH[7]}
    printf '%s: HAKMEM\n  version   %s\n  variant   %s\n  flags     %s\n  cflags    %s\n  compiler  %s\n  sources   %s\n' \
        "$file" "${BASH_REMATCH[2]}" "$variant" "${BASH_REMATCH[4]}" "${BASH_REMATCH[5]}" "${BASH_REMATCH[6]}" "$hash"
    [ -f "$root/ci/variants/$variant.mk" ] || fail "$file: stale: these sources have no variant $variant"
    files=$(make --no-print-directory -s -C "$root" VARIANT="$variant" print-identity-files)
    # File names have no blanks: make could not handle them.
    # shellcheck disable=SC2086
    today=$(cd "$root" && ci/build_id.sh hash "$text" $files)
    [ "$hash" = "$today" ] || fail "$file: stale: today's sources give $today"
}

[ $# -eq 1 ] || fail "usage: verify_binary.sh BINARY"
binary=$1
if [ ! -f "$binary" ] || [ ! -r "$binary" ]; then
    fail "$binary: no such file, or not readable"
fi
readelf --file-header -- "$binary" >/dev/null 2>&1 || fail "$binary: foreign: neither an ELF file nor a static library"

mapfile -t found < <(identities "$binary")
for identity in "${found[@]}"; do
    judge "$binary" "$identity"
done

needed=$(needed_library "$binary")
if [ -n "$needed" ]; then
    library=$(ldd "$binary" | sed -n "s|^[[:space:]]*$needed => \(/.*\) (0x.*|\1|p")
    [ -n "$library" ] || fail "$binary: needs $needed, which the loader does not find"
    printf '%s: loads %s\n' "$binary" "$library"
    mapfile -t loaded < <(identities "$library")
    [ ${#loaded[@]} -ne 0 ] || fail "$library: foreign: contains no HAKMEM"
    for identity in "${loaded[@]}"; do
        judge "$library" "$identity"
    done
    found+=("${loaded[@]}")
fi

[ ${#found[@]} -ne 0 ] || fail "$binary: foreign: contains no HAKMEM"
printf "%s: built from today's sources\n" "$binary"
