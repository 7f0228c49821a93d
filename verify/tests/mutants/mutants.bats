# The mutation test itself: it kills the mutants that it must, finds out which mutants change no
# code, and reports mutants that no test sees. `./build.sh mutants` runs it on all of core/.

setup() {
    bats_require_minimum_version 1.5.0
    cd "$BATS_TEST_TMPDIR"
}

mutants() { /usr/bin/python3 "${TREE:-$HAK_ROOT}/verify/mutants/run.py" "$@"; }

# id_of FUNCTION CHANGE: prints the identifier of the function's first mutant whose change begins
# with CHANGE
id_of() {
    local found
    found=$(mutants --list | awk -v name="$1" -v change="$2" '
        split($1, part, ":") && part[2] == name && index($0, " " change) && !said++ { print $1 }')
    [ -n "$found" ] || { echo "no mutant '$2' of $1" >&2 && return 1; }
    echo "$found"
}

# verdicts_are STATUS VERDICT-COUNTS: the last `run` ended with this status and these counts
verdicts_are() {
    printf '%s\n' "$output"
    [ "$status" -eq "$1" ]
    [[ ${lines[-1]} == *"$2"* ]]
}

# copy_with_list_tests: copies the tree to TREE; the copy's group `errors` has only the test of
# damaged lists
copy_with_list_tests() {
    export TREE=$BATS_TEST_TMPDIR/copy
    mkdir "$TREE"
    cp -r "$HAK_ROOT"/{Makefile,build.sh,ci,core,verify,bench} "$TREE"
    tests=$TREE/verify/tests/errors/bad_lists.bats
    find "$TREE/verify/tests/errors" -name '*.bats' ! -path "$tests" -delete
}

@test "every kind of change is found, and equal trees give equal mutants" {
    mutants --list >first
    (cd "$HAK_ROOT" && mutants --list) >second
    cmp first second
    [ "$(wc -l <first)" -gt 2000 ]
    for file in fast.h remote.h refill.c superslab.c; do
        grep -q " core/$file:" first
    done
    [ "$(cut -d ' ' -f 1 first | sort | uniq -d | wc -l)" -eq 0 ]
    for kind in drop negate operator constant order swap; do
        grep -q "^[^ ]* core/[a-z_.]*:[0-9]* $kind: " first
    done
}

@test "a moved line keeps its identifiers" {
    copy_with_list_tests
    mutants --list | cut -d ' ' -f 1 >before
    sed -i '1i /* one line more */' "$TREE/core/refill.c"
    mutants --list | cut -d ' ' -f 1 >after
    cmp before after
}

@test "hand-named mutants are killed, and one that changes no code is equivalent" {
    run mutants --stages audit2,release --only \
        "$(id_of hak_slab_take 'drop: slab->used = ')" \
        "$(id_of hak_slab_carve 'operator: hak_superslab_of(slab)->active += count;')" \
        "$(id_of hak_flush 'operator: if (own && kept < keep) {: <')" \
        "$(id_of hak_os_page_size 'constant: if (PAGE_SIZE_FIXED')"
    verdicts_are 0 "killed 3, survived 0, harmless 0, equivalent 1, unbuildable 0: 100.0 % of 3 killed"
}

@test "where a test is missing, a mutant survives; with a reason it is explained" {
    copy_with_list_tests
    id=$(id_of add_block 'drop: hak_text_add(line, ", size ")')
    run mutants --stages errors --only "$id"
    verdicts_are 0 "killed 1, survived 0"

    printf '@test "nothing" { true; }\n' >"$tests"
    run mutants --stages errors --only "$id"
    verdicts_are 1 "killed 0, survived 1"

    printf '%s | harmless | drop | nobody reads it\n' "$id" >"$TREE/verify/mutants/survivors.txt"
    run mutants --stages errors --only "$id"
    verdicts_are 1 "killed 0, survived 0, harmless 1"
    [[ $output == *"harmless: nobody reads it"* ]]
}

@test "a tree whose own tests fail, and a survivor without a reason, are refused" {
    copy_with_list_tests
    printf '@test "never" { false; }\n' >"$tests"
    run ! mutants --stages errors --only "$(id_of add_block 'drop: hak_text_add')"
    [[ ${lines[-1]} == "mutants: the unchanged sources fail: bad_lists.bats: never" ]]

    printf 'a.c:b:123456 | unlucky | drop | \n' >"$TREE/verify/mutants/survivors.txt"
    run ! mutants 1
    [[ ${lines[-1]} == "mutants: survivors.txt: "* ]]
}
