/* Where lines for the user go. */
#ifndef HAK_STDERR_H
#define HAK_STDERR_H

#include "core/types.h"

/* Writes to stderr, whole, whatever it takes. No cancellation point. */
void hak_os_write_error(const char *text, size_t length);

/* Programs close stderr before the last lines are written, and its number may become another file's. keep: at the start, by
 * a process that will write at its end: remembers which file stderr is, and duplicates it under a high number that exec
 * closes. find: at the end: lines go to stderr if it still is that file, else to the duplicate if that is, else nowhere. */
void hak_stderr_keep(void);
void hak_stderr_find(void);

/* An error is reported: if lines go nowhere, they go to stderr again. */
void hak_stderr_insist(void);

#endif
