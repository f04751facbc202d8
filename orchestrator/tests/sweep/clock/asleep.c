/* What a process sees of a host that was asleep: the clock of the day and the one that counts sleep are later, by as
   many milliseconds as the file SLEPT_FILE says. The clock that does not count sleep stays as it is. Stands before
   libfaketime in LD_PRELOAD: what that one makes of the clock of the day is what this one begins with. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long slept_ms(void) {
    const char *path = getenv("SLEPT_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    long ms = 0;
    if (!file) return 0;
    if (fscanf(file, "%ld", &ms) != 1) ms = 0;
    fclose(file);
    return ms;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, now);
    if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)) return failed;
    long ms = slept_ms();
    now->tv_sec += ms / 1000;
    now->tv_nsec += ms % 1000 * 1000000;
    if (now->tv_nsec >= 1000000000) {
        now->tv_sec += 1;
        now->tv_nsec -= 1000000000;
    }
    return 0;
}
