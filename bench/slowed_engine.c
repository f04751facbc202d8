/* LiteRT's engine, each inference of which is followed by a busy wait of SLOWER_PERCENT of the time that it took: a side
   of bench/ab-real whose true change is known. Everything else is the engine as it is. */
#define infer infer_alone
#define main main_alone
#include "engine.c"
#undef infer
#undef main

static uint64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void infer(struct farm_job *job) {
    uint64_t begun_ns = monotonic_ns();
    infer_alone(job);
    uint64_t took_ns = monotonic_ns() - begun_ns;
    while (monotonic_ns() - begun_ns < took_ns + took_ns * SLOWER_PERCENT / 100) {
    }
}

int main(void) {
    static const struct farm_engine engine = {load, set_input, infer, describe_outputs, answer};
    return farm_engine_main(&engine);
}
