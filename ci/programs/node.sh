# shellcheck shell=bash disable=SC2034
# node: worker threads that allocate, exchange and drop buffers, strings and objects.

needs=(node)
subjects=(node)

workload() {
    local rounds=50
    if [[ $quick == 1 ]]; then rounds=4; fi
    node "$root/ci/programs/node.js" 5 "$rounds"
}
