# shellcheck shell=bash
# The compiler $compiler builds HAKMEM itself: objects and libraries must be the same, byte for
# byte.

# A copy, so that both runs compile the same text even if somebody edits it meanwhile.
prepare() {
    cp -R "$root/Makefile" "$root/core" "$root/verify" "$root/bench" "$root/ci" .
}

workload() {
    local variant variants=(release debug)
    if [[ $quick == 1 ]]; then variants=(release); fi
    for variant in "${variants[@]}"; do
        make -s -C "$input" CC="$compiler" VARIANT="$variant" OUT="$PWD/$variant" lib
    done
    find . -name '*.o' -print0 -o -name 'libhakmem.*' -print0 | sort -z | xargs -0 sha256sum
}
