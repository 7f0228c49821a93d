#!/bin/bash -eu
# OSS-Fuzz and ClusterFuzzLite run this script; compiler, flags, engine and folders are in the
# environment. make takes CFLAGS from there.
cd "$SRC/hakmem"
asan=0
[ "$SANITIZER" != address ] || asan=1
make -j"$(nproc)" VARIANT=fuzz OUT="$WORK/hakmem" CC="$CC" CXX="$CXX" WARNINGS=-w HAK_ASAN="$asan" VARIANT_CFLAGS= \
    VARIANT_FUZZ_CFLAGS= VARIANT_CORE_CFLAGS="-include verify/virtual/sections.h -include verify/virtual/yields.h" VARIANT_LDFLAGS="$CXXFLAGS" \
    FUZZ_ENGINE="$LIB_FUZZING_ENGINE" fuzzers
for program in "$WORK"/hakmem/fuzz/fuzz_*; do
    name=$(basename "$program")
    [ "$name" != fuzz_canary ] || continue # its bug is planted
    cp "$program" "$OUT/"
    [ ! -e "fuzz/$name.dict" ] || cp "fuzz/$name.dict" "$OUT/"
    printf '[libfuzzer]\nmax_len = %s\n' "$(fuzz/fuzz.sh --max-len "$name")" >"$OUT/$name.options"
    folders=()
    for folder in "fuzz/corpus/$name" "fuzz/regressions/$name"; do
        [ ! -d "$folder" ] || folders+=("$folder")
    done
    [ ${#folders[@]} -eq 0 ] || find "${folders[@]}" -type f | zip -q -j "$OUT/${name}_seed_corpus.zip" -@
done
