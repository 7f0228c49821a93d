#!/usr/bin/env bats
# The libraries call those functions of others that docs/architecture.md lists, and no other.

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
}

# table: prints the rows of the table as "FUNCTION<tab>IN<tab>FILES", a line for each function;
# "all" becomes the list of libraries
table() {
    sed -n '/^## Calls out/,/^## /s/^| \(`.*\)$/\1/p' "$HAK_ROOT/docs/architecture.md" |
        awk -F ' [|] ' -v OFS='\t' '{
            where = $2 == "all" ? "so a prefixed.so prefixed.a" : $2
            count = split($1, names, " ")
            for (i = 1; i <= count; i++) { gsub("`", "", names[i]); print names[i], where, $3 }
        }'
}

# rows_for COMPILER LIBRARY: prints the functions that the table lists for this library
rows_for() {
    table | awk -F '\t' -v compiler="$1" -v library="$2" '
        !sub(", by clang", "", $2) || compiler == "clang" {
            count = split($2, places, " ")
            for (i = 1; i <= count; i++) if (places[i] == library) print $1
        }' | sort -u
}

# undefined FILE: prints the symbols that a library needs from others. Of an archive: that its
# members need, also from each other, without names that begin with hak_
undefined() {
    local option=()
    [[ $1 == *.a ]] || option=(-D)
    nm "${option[@]}" --undefined-only "$1" | awk 'NF == 2 { sub(/@.*/, "", $2); print $2 }' |
        grep -vE '^(hak_|_GLOBAL_OFFSET_TABLE_$)' | sort -u
}

# pairs_of FOLDER: prints "FUNCTION FILE" for each symbol that a file of core/ needs from libc,
# from the C++ runtime, or by a public name
pairs_of() {
    local object file
    for object in "$1"/obj/core/*.o; do
        file=${object##*/}
        file=${file%%.*}
        file=$(basename "$(ls "$HAK_ROOT/core/$file".c*)")
        nm --undefined-only "$object" | awk -v file="$file" 'NF == 2 && $2 !~ /^(hak_|_GLOBAL_OFFSET_TABLE_$)/ { print $2, file }'
    done | sort -u
}

# pairs_for COMPILER: prints the same from the table, without the symbols that the linker, the
# compiler or libc adds: these are in no object
pairs_for() {
    table | awk -F '\t' -v compiler="$1" '
        $2 !~ /by clang/ || compiler == "clang" {
            gsub("`", "", $3)
            count = split($3, files, " ")
            for (i = 1; i <= count; i++) if (files[i] ~ /\.cc?$/) print $1, files[i]
        }' | sort -u
}

# agree COMPILER FOLDER: the libraries and objects in FOLDER need what the table says, and no more
agree() {
    local library
    for library in so a prefixed.so prefixed.a; do
        case $library in
        prefixed.*) undefined "$2/libhakmem_$library" >has ;;
        *) undefined "$2/libhakmem.$library" >has ;;
        esac
        rows_for "$1" "$library" >told
        diff told has
    done
    pairs_of "$2" >has
    pairs_for "$1" >told
    diff told has
}

@test "each function of another library that the release libraries call is in the table, and no other" {
    [ "$(table | wc -l)" -ge 30 ]
    "$HAK_ROOT/build.sh" release lib
    agree gcc "$HAK_ROOT/out/release"
}

@test "the same, built by clang" {
    [ "$HAK_TEST_QUICK" != 1 ] || skip "a build"
    make --no-print-directory -s -j"$(nproc)" -C "$HAK_ROOT" CC=clang OUT="$PWD/out" lib
    agree clang "$PWD/out"
}
