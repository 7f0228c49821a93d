/* The clock of test programs, which the linker puts in the place of core/os.c's (--wrap=hak_os_now_ms). It stands still until
 * the test lets time pass: what a test sees does not depend on how fast or busy the machine is, or how long it has been up.
 * It begins a second before its 32 bits wrap. */
#ifndef HAK_VERIFY_CLOCK_H
#define HAK_VERIFY_CLOCK_H

#include <stdint.h>

/* Any thread may call it. */
void hak_clock_passes(uint32_t milliseconds);

#endif
