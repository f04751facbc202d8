/* An engine that answers with what it is asked, and does what its options say: to test the protocol and the loop. */
#include "farm_engine.h"

static const float *input;
static uint64_t inferences, sleep_ns;

static void load(struct farm_job *job) {
    static const char *const known[] = {"behave", "sleep_ns", "say", NULL};
    const char *behave = farm_option(job, "behave", "");
    int64_t shape[] = {job->batch, 2, 2, 3};
    farm_known_options(job, known);
    printf("a library that prints\n");
    fflush(stdout);
    farm_input(job, "x", "f32", 4, shape);
    farm_output(job, "the \"same\"\t\xc3\xa9\xff", "f32", 4, shape);
    farm_engine_name(job, "echo 1 (%s)", farm_model_part(job, "part") ? "in parts" : "whole");
    sleep_ns = strtoull(farm_option(job, "sleep_ns", "0"), NULL, 10);
    if (!strcmp(behave, "refuse")) farm_fail(FARM_UNSUPPORTED, "this engine refuses %s", job->format);
    if (!strcmp(behave, "huge")) job->inputs[0].shape[0] = INT64_MAX;
    if (!strcmp(behave, "crash")) {
        fprintf(stderr, "last words\n");
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (!strcmp(behave, "library") && !getenv("LD_LIBRARY_PATH")) farm_fail(FARM_INTERNAL, "no library path");
    if (!strcmp(behave, "library")) {
        FILE *beside = fopen("beside.txt", "r");
        if (!beside) farm_fail(FARM_INTERNAL, "beside.txt is not there");
    }
    const char *say = farm_option(job, "say", NULL);
    if (say) {
        farm_put_format("%s", say);
        farm_send();
    }
}

static void set_input(struct farm_job *job, int index, const float *values) {
    (void)job, (void)index;
    input = values;
}

static void infer(struct farm_job *job) {
    (void)job;
    struct timespec time = {(time_t)(sleep_ns / 1000000000u), (long)(sleep_ns % 1000000000u)};
    inferences++;
    if (sleep_ns) nanosleep(&time, NULL);
}

static void answer(struct farm_job *job, int index, float *values) {
    memcpy(values, input, job->outputs[index].values * sizeof(float));
    if (!strcmp(farm_option(job, "behave", ""), "no numbers"))
        for (size_t at = 0; at < job->outputs[index].values; at += 2) values[at] = strtof("nan", NULL);
}

int main(void) {
    static const struct farm_engine engine = {load, set_input, infer, answer};
    return farm_engine_main(&engine);
}
