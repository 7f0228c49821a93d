# For tests that change a copy of the sources and look at what comes of it.

# planted VARIANT NAME: a copy of the tree, with what is built of that variant; it is the current folder from here on, and the
# caller changes it
planted() {
    local copy=$BATS_TEST_TMPDIR/$2
    mkdir -p "$copy/out"
    cp -a "$HAK_ROOT"/{Makefile,ci,core,verify,fuzz,bench} "$copy"
    cp -a "$HAK_ROOT/out/$1" "$copy/out"
    cd "$copy"
}
