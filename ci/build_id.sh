#!/usr/bin/env bash
# The identity of a build: a text that says how it was made, with a hash of that text and of the
# named files.
#
#   build_id.sh hash TEXT FILE...     prints the hash
#   build_id.sh source TEXT FILE...   prints the C source that puts the identity into the library
#
# The hash covers names and contents, not dates or folders: two clones of one state agree.
set -euo pipefail
export LC_ALL=C

build_hash() {
    local text=$1
    shift
    { printf '%s\n' "$text" && sha256sum -- "$@"; } | sha256sum | cut -d' ' -f1
}

# The text is there twice: once for the running program, once as an ELF note. The note survives
# strip and --gc-sections, and can be read without running anything.
build_source() {
    local identity
    identity="HAKMEM build: $1 sources=$(build_hash "$@")"
    identity=${identity//\\/\\\\}
    identity=${identity//\"/\\\"}
    cat <<EOT
#include <stdint.h>

#define IDENTITY "$identity"

extern const char hak_build_id[];
const char hak_build_id[] = IDENTITY;

extern const struct build_note hak_build_note;
const struct build_note {
    uint32_t name_size;
    uint32_t text_size;
    uint32_t type;
    char name[8];
    char text[(sizeof IDENTITY + 3) / 4 * 4];
} hak_build_note __attribute__((used, section(".note.hakmem"), aligned(4))) = {
    sizeof "HAKMEM", sizeof IDENTITY, 1, "HAKMEM", IDENTITY};
EOT
}

case ${1:-} in
hash) build_hash "${@:2}" ;;
source) build_source "${@:2}" ;;
*)
    echo "usage: build_id.sh hash|source TEXT FILE..." >&2
    exit 2
    ;;
esac
