#include "core/vdso.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/strings.h"

/* The image's tables of function names. */
struct tables {
    const ElfW(Sym) * symbols;
    const char *names;
    const uint32_t *hash, *gnu_hash;
};

/* The number of symbols: one more than the last symbol of the highest chain. The last entry of a
 * chain has the low bit set. */
static uint32_t gnu_hash_count(const uint32_t *table) {
    uint32_t buckets = table[0], first = table[1], bloom = table[2], highest = 0;
    const uint32_t *bucket = table + 4 + (size_t)bloom * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        if (bucket[i] > highest) highest = bucket[i];
    if (highest < first) return 0;
    while ((chain[highest - first] & 1) == 0)
        highest++;
    return highest + 1;
}

static uint32_t symbol_count(const struct tables *tables) {
    if (tables->hash != NULL) return tables->hash[1];
    return tables->gnu_hash != NULL ? gnu_hash_count(tables->gnu_hash) : 0;
}

static void tables_read(struct tables *tables, const ElfW(Dyn) * entry, uintptr_t bias) {
    for (; entry->d_tag != DT_NULL; entry++) {
        uintptr_t address = bias + entry->d_un.d_ptr;
        if (entry->d_tag == DT_SYMTAB) tables->symbols = (const ElfW(Sym) *)address;
        if (entry->d_tag == DT_STRTAB) tables->names = (const char *)address;
        if (entry->d_tag == DT_HASH) tables->hash = (const uint32_t *)address;
        if (entry->d_tag == DT_GNU_HASH) tables->gnu_hash = (const uint32_t *)address;
    }
}

void *hak_vdso_find(uintptr_t image, const char *name) {
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(image + header->e_phoff), *dynamic = NULL;
    uintptr_t bias = image;
    for (int i = 0; i < header->e_phnum; i++, segment++) {
        if (segment->p_type == PT_LOAD && bias == image)
            bias = image + segment->p_offset - segment->p_vaddr;
        if (segment->p_type == PT_DYNAMIC) dynamic = segment;
    }
    if (dynamic == NULL) return NULL;
    struct tables tables = {.symbols = NULL};
    tables_read(&tables, (const ElfW(Dyn) *)(bias + dynamic->p_vaddr), bias);
    if (tables.symbols == NULL || tables.names == NULL) return NULL;
    for (uint32_t i = 0, count = symbol_count(&tables); i < count; i++) {
        const ElfW(Sym) *symbol = &tables.symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && hak_string_is(tables.names + symbol->st_name, name))
            return (void *)(bias + symbol->st_value);
    }
    return NULL;
}
