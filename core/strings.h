/* Strings without libc, whose functions may be wrapped. */
#ifndef HAK_STRINGS_H
#define HAK_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

/* What follows `start` in `string`; NULL if it begins otherwise. */
static inline const char *hak_text_after(const char *string, const char *start) {
    while (*start != '\0' && *string == *start)
        string++, start++;
    return *start == '\0' ? string : NULL;
}

static inline bool hak_text_is(const char *string, const char *other) {
    const char *rest = hak_text_after(string, other);
    return rest != NULL && *rest == '\0';
}

#endif
