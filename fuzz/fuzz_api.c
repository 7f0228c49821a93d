/* The whole interface on virtual threads, against a model. */
#include "fuzz/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(&fuzz_whole_interface, data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed);
}
