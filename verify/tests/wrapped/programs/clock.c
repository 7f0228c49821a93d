/* A preloaded library that tells a program another time. WRAPPED_CLOCK is "still" (always the
 * first time), "back" (a second earlier at each call), or "jump" (every other call is thirty
 * years ahead). */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define YEARS_30 (30 * 365 * 86400)

static time_t other_time(time_t seconds) {
    static _Atomic time_t first, calls;
    const char *kind = getenv("WRAPPED_CLOCK");
    time_t none = 0, turn = ++calls;
    free(malloc(100));
    __atomic_compare_exchange_n((time_t *)&first, &none, seconds, 0, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
    if (kind == NULL) abort();
    if (strcmp(kind, "still") == 0) return first;
    if (strcmp(kind, "back") == 0) return first - turn;
    return turn % 2 == 0 ? seconds : seconds + YEARS_30;
}

#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL) real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(clock_gettime);
    int result = real(clock, now);
    now->tv_sec = other_time(now->tv_sec);
    if (strcmp(getenv("WRAPPED_CLOCK"), "still") == 0) now->tv_nsec = 0;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(gettimeofday);
    int result = real(now, zone);
    now->tv_sec = other_time(now->tv_sec);
    return result;
}

time_t time(time_t *out) {
    REAL(time);
    time_t now = other_time(real(NULL));
    if (out != NULL) *out = now;
    return now;
}
