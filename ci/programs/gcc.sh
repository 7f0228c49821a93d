# shellcheck shell=bash disable=SC2034
needs=(gcc make ld as)
subjects=(make gcc cc1 as ld)
compiler=gcc
# shellcheck source=ci/programs/build_hakmem.bash
source "$root/ci/programs/build_hakmem.bash"
