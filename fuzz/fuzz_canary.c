/* fuzz_api with a planted bug: when three blocks of one slab are put back at once, `used` falls by
 * two only. If the fuzzer does not find this bug, it means nothing that the other targets find
 * none. */
#include "core/slab.h"
#include "fuzz/run.h"

void __real_hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                         uint32_t count);
void __wrap_hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                         uint32_t count);

void __wrap_hak_slab_put(struct hak_slab *slab, struct hak_block *head, struct hak_block *tail,
                         uint32_t count) {
    __real_hak_slab_put(slab, head, tail, count);
    if (count == 3) slab->used++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_run(&fuzz_whole_interface, data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return fuzz_mutate(data, size, max_size, seed);
}
