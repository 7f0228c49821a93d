# For tests that change a copy of the sources, and then check what the change causes.

# planted VARIANT NAME: makes a copy of the tree with the build of that variant, and makes the copy
# the current folder. The caller changes the copy.
planted() {
    local copy=$BATS_TEST_TMPDIR/$2
    mkdir -p "$copy/out"
    cp -a "$HAK_ROOT"/{Makefile,ci,core,verify,fuzz,bench} "$copy"
    cp -a "$HAK_ROOT/out/$1" "$copy/out"
    cd "$copy"
}
