# shellcheck shell=bash disable=SC2034
needs=(clang make ld)
subjects=(make clang ld)
compiler=clang
# shellcheck source=ci/programs/build_hakmem.bash
source "$root/ci/programs/build_hakmem.bash"
