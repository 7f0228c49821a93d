/* The table of stacks. Each stack is kept once. The table only grows, and has no lock. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "verify/audit_site.h"
#include "verify/audit_unwind.h"

#define FRAMES 8u /* the most return addresses of a site */

struct site {
    _Atomic uint64_t hash; /* 0: free */
    const void *frames[FRAMES];
};

static struct site sites[HAK_AUDIT_SITES]; /* zero pages until they are used */

static uint32_t site_keep(uint64_t hash, const void *const *frames) {
    if (hash == 0) hash = 1;
    for (uint32_t probe = 0; probe < 16; probe++) {
        struct site *site = &sites[((uint32_t)(hash >> 20) + probe) & (HAK_AUDIT_SITES - 1)];
        uint64_t known = atomic_load_explicit(&site->hash, memory_order_acquire);
        uint64_t expected = 0;
        if (known == 0 && atomic_compare_exchange_strong(&site->hash, &expected, hash)) {
            memcpy(site->frames, frames, sizeof site->frames);
            known = hash;
        }
        if (known == hash || expected == hash) return (uint32_t)(site - sites) + 1;
    }
    return 0; /* all probed entries are taken: an unknown site is better than a wrong one */
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* A static libc allocates while it starts, when _dl_find_object still crashes. Soon afterwards libc
 * sets this name. */
static bool objects_are_known(void) {
    return program_invocation_name[0] != '\0';
}

static void add_word(struct hak_audit_walk *walk, uintptr_t word) {
    walk->words[walk->count++] = word;
    walk->hash = HAK_AUDIT_HASH(walk->hash, word);
}

void hak_audit_walk_elsewhere(struct hak_audit_walk *walk, uintptr_t frame) {
    struct hak_audit_proof proof = hak_audit_proof_begin(frame);
    uintptr_t above, word;
    walk->count = 0;
    walk->hash = 0;
    while (walk->count < HAK_AUDIT_WALK && hak_audit_read(&proof, frame, &above) &&
           hak_audit_read(&proof, frame + sizeof word, &word)) {
        add_word(walk, word);
        if (!hak_audit_is_step(above - frame)) break;
        frame = above;
    }
}

/* Leaves out the allocator's frames below `frame`. */
HAK_NOINLINE void hak_audit_walk_unwind_tables(struct hak_audit_walk *walk, uintptr_t frame) {
    struct hak_unwind unwind = {.proof =
                                    hak_audit_proof_begin((uintptr_t)__builtin_frame_address(0))};
    HAK_UNWIND_HERE(&unwind);
    walk->count = 0;
    walk->hash = 0;
    if (!objects_are_known()) return;
    while (walk->count < HAK_AUDIT_WALK && hak_unwind_step(&unwind))
        if (unwind.registers[HAK_UNWIND_SP] > frame)
            add_word(walk, unwind.registers[HAK_UNWIND_PC]);
}

/* ---- what is code ---------------------------------------------------------------------------- */

/* True if an address of the object lies in an executable segment, by the program headers at the
 * object's beginning. In a static program glibc's object begins with the code, not with the
 * headers, and consists of code alone. */
static bool is_code(const struct dl_find_object *object, uintptr_t address) {
    const ElfW(Ehdr) *header = object->dlfo_map_start;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return true;
    const ElfW(Phdr) *segments = (const void *)((const char *)header + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        uintptr_t start = object->dlfo_link_map->l_addr + segments[i].p_vaddr;
        if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & PF_X) != 0 &&
            address - start < segments[i].p_memsz)
            return true;
    }
    return false;
}

/* Keeps the return addresses up to the first that does not lie in code: where code has no frame
 * pointers, a walk reads arbitrary words. Addresses in the allocator's library are left out. If the
 * allocator is linked into the program, they cannot be told from the program's own addresses and
 * are kept. _dl_find_object takes no lock and no memory. */
static uint32_t site_of(const struct hak_audit_walk *walk) {
    if (!objects_are_known()) return 0;
    const void *frames[FRAMES] = {NULL};
    unsigned count = 0;
    uint64_t hash = 0;
    struct dl_find_object own, object;
    bool is_library = _dl_find_object((void *)(uintptr_t)&hak_audit_site_new, &own) == 0 &&
                      own.dlfo_link_map->l_name[0] != '\0';
    for (unsigned i = 0; i < walk->count && count < FRAMES; i++) {
        uintptr_t word = walk->words[i];
        if (_dl_find_object((void *)word, &object) != 0 || !is_code(&object, word)) break;
        if (is_library && object.dlfo_link_map == own.dlfo_link_map) continue;
        frames[count++] = (const void *)word;
        hash = HAK_AUDIT_HASH(hash, word);
    }
    return count == 0 ? 0 : site_keep(hash, frames);
}

/* ---- both ------------------------------------------------------------------------------------ */

_Atomic uint64_t hak_audit_shortcuts[1u << HAK_AUDIT_SHORTCUTS_LOG];

uint32_t hak_audit_site_new(const struct hak_audit_walk *walk) {
    uint32_t site = site_of(walk);
    if (site == 0) return 0;
    _Atomic uint64_t *shortcut = &hak_audit_shortcuts[walk->hash >> (64 - HAK_AUDIT_SHORTCUTS_LOG)];
    hak_hook_atomic(shortcut, sizeof *shortcut);
    atomic_store_explicit(shortcut, (walk->hash & ~(uint64_t)0xffff) | (site - 1),
                          memory_order_relaxed);
    return site;
}

size_t hak_audit_site_frames(uint32_t site, const void *const **frames) {
    if (site == 0 || site > HAK_AUDIT_SITES) return 0;
    *frames = sites[site - 1].frames;
    size_t count = 0;
    while (count < FRAMES && sites[site - 1].frames[count] != NULL)
        count++;
    return count;
}
