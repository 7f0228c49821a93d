/* The clock of test programs. The linker puts it in the place of the clock of core/os.c
 * (--wrap=hak_os_now_ms). It stands still until the test lets time pass, so a test does not depend
 * on how fast or busy the machine is, or how long it has been up. It begins one second before its
 * 32 bits wrap. */
#ifndef HAK_VERIFY_CLOCK_H
#define HAK_VERIFY_CLOCK_H

#include <stdint.h>

/* Lets time pass. Any thread. */
void hak_clock_passes(uint32_t milliseconds);

#endif
