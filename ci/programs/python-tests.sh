# shellcheck shell=bash disable=SC2034
# CPython's own test suite, with every object on malloc instead of Python's arenas.

needs=(python3)
subjects=(python3)

workload() {
    local modules=(dict list)
    if [[ $quick != 1 ]]; then
        modules+=(array bytes collections deque descr functools itertools json memoryview ordered_dict pickle re set
            thread threading.ThreadTests unicode zlib)
    fi
    # The result of every test is on stderr. Output on stdout, and times, vary and are dropped.
    PYTHONMALLOC=malloc PYTHONHASHSEED=0 python3 -m unittest -v "${modules[@]/#/test.test_}" 2>&1 >/dev/null |
        sed -E 's/^(Ran [0-9]+ tests?) in .*/\1/'
}
