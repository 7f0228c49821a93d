/* Strings without libc: another library may wrap libc's functions. */
#ifndef HAK_STRINGS_H
#define HAK_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

/* The rest of `string` after `start`; NULL if `string` does not begin with `start`. */
static inline const char *hak_string_after(const char *string, const char *start) {
    while (*start != '\0' && *string == *start)
        string++, start++;
    return *start == '\0' ? string : NULL;
}

static inline bool hak_string_is(const char *string, const char *other) {
    const char *rest = hak_string_after(string, other);
    return rest != NULL && *rest == '\0';
}

#endif
