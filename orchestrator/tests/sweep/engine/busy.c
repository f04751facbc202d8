/* A benchmark program whose inferences keep a processor busy for BUSY_NS each, and for half as long again while a file
   is there: so that a test can make a device slower, with nothing else changed. Its clock is that of its own time
   on a processor: what else a test machine does makes no difference. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int count, char **words) {
    uint64_t busy_ns = access(SLOW_FILE, F_OK) ? BUSY_NS : BUSY_NS + BUSY_NS / 2;
    for (int left = count > 1 ? atoi(words[1]) : 1; left > 0; left--) {
        uint64_t from_ns = now_ns(), to_ns;
        do to_ns = now_ns();
        while (to_ns - from_ns < busy_ns);
        printf("{\"latency_ns\": %" PRIu64 "}\n", to_ns - from_ns);
    }
    return 0;
}
