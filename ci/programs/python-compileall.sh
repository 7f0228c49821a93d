# shellcheck shell=bash disable=SC2034
# CPython compiling its standard library: the bytecode of every file must be the same.

needs=(python3)
subjects=(python3)

workload() {
    local library
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    if [[ $quick == 1 ]]; then library+=/asyncio; fi
    # The bytecode has source hashes instead of time stamps, and the fixed hash seed fixes the order
    # of constant sets. Files that are meant not to compile are left out.
    PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONPYCACHEPREFIX=$PWD python3 -m compileall -q -f \
        --invalidation-mode unchecked-hash -x '/(test/bad|lib2to3/tests/)' "$library"
    find . -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
}
