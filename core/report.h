/* One line about an error of the program, then the end of the process by SIGABRT (abort.h).
 *
 *   hakmem: free(): double free: pointer 0x7f.., block 0x7f.., size 79, tiny class 4, state free,
 *   owner thread 17
 *
 * `size` is the number of bytes that the block can hold. "owner thread" is the thread whose heap
 * the block came from. */
#ifndef HAK_REPORT_H
#define HAK_REPORT_H

#include "core/types.h"

/* `ptr` was given to `operation` ("free", "realloc", ...) and is no live block. The line says
 * why. */
_Noreturn void hak_report_bad_pointer(const char *operation, const void *ptr);

/* `block` was found in `bin` and does not belong there. */
_Noreturn void hak_report_bad_list(const char *operation, const void *block, unsigned bin);

/* For an operator new that can neither allocate nor throw. */
_Noreturn void hak_report_no_memory(const char *operation, size_t size);

#endif
