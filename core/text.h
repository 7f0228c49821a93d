/* Lines for stderr, built in a fixed buffer, because stdio may call malloc. The caller begins a
 * line with `length = 0`: for an initializer a compiler may call memset. What does not fit is cut
 * off. */
#ifndef HAK_TEXT_H
#define HAK_TEXT_H

#include "core/os.h"
#include "core/os_process.h"
#include "core/stderr.h"
#include "core/strings.h"

struct hak_text {
    size_t length;
    char bytes[1000];
};

static inline void hak_text_add(struct hak_text *text, const char *string) {
    while (*string != '\0' && text->length < sizeof text->bytes - 1)
        text->bytes[text->length++] = *string++;
}

static inline void hak_text_add_base(struct hak_text *text, uint64_t number, unsigned base) {
    char digits[24];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do {
        digits[--first] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    hak_text_add(text, digits + first);
}

static inline void hak_text_add_number(struct hak_text *text, uint64_t number) {
    hak_text_add_base(text, number, 10);
}

/* Adds blanks before the number, so that it has at least `width` characters. */
static inline void hak_text_add_padded(struct hak_text *text, uint64_t number, unsigned width) {
    unsigned digits = 1;
    for (uint64_t left = number / 10; left != 0; left /= 10)
        digits++;
    for (; digits < width; digits++)
        hak_text_add(text, " ");
    hak_text_add_number(text, number);
}

static inline void hak_text_add_hex(struct hak_text *text, uint64_t number) {
    hak_text_add(text, "0x");
    hak_text_add_base(text, number, 16);
}

/* Adds the words `before` and an address. In a process with raised rights it adds neither: the user
 * that started the process must not learn where its memory lies. */
static inline void hak_text_add_address(struct hak_text *text, const char *before,
                                        uintptr_t address) {
    if (hak_os_is_secure()) return;
    hak_text_add(text, before);
    hak_text_add_hex(text, address);
}

static inline void hak_text_add_pointer(struct hak_text *text, const char *before,
                                        const void *pointer) {
    hak_text_add_address(text, before, (uintptr_t)pointer);
}

/* Writes the line and a newline to stderr in one call, and begins a new line. */
static inline void hak_text_print(struct hak_text *text) {
    text->bytes[text->length] = '\n';
    hak_os_write_error(text->bytes, text->length + 1);
    text->length = 0;
}

#endif
