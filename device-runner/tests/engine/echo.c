/* An engine that answers with what it is asked, and does what its options say: to test the protocol and the loop. */
#include "farm_engine.h"

static const void *input;
static int64_t shape[FARM_MAX_RANK];
static int rank = 4;
static uint64_t inferences, sleep_ns, slower_ns;

static void load(struct farm_job *job) {
    static const char *const known[] = {"behave", "sleep_ns", "slower_ns", "say", "element", "wide", "name", NULL};
    const char *behave = farm_option(job, "behave", ""), *element = farm_option(job, "element", "f32");
    static const int64_t in_file[] = {-1, 2, 2, 3};
    memcpy(shape, in_file, sizeof in_file);
    farm_known_options(job, known);
    printf("a library that prints\n");
    fflush(stdout);
    if (!strcmp(behave, "high rank")) {
        for (rank = 0; rank < 12; rank++) shape[rank] = 1;
        farm_input(job, 0, "x", element, rank, shape);
    } else farm_input(job, 0, "x", element, rank, shape);
    if (!strcmp(element, "i8")) farm_quantized_input(job, 0, 1, -28);
    farm_engine_name(job, "echo 1 (%s)", farm_model_part(job, "part") ? "in parts" : "whole");
    sleep_ns = strtoull(farm_option(job, "sleep_ns", "0"), NULL, 10);
    slower_ns = strtoull(farm_option(job, "slower_ns", "0"), NULL, 10);
    if (!strcmp(behave, "refuse")) farm_fail(FARM_UNSUPPORTED, "this engine refuses %s", job->format);
    if (!strcmp(behave, "huge")) ((int64_t *)job->inputs.list[0].shape)[0] = INT64_MAX;
    if (!strcmp(behave, "other")) ((int64_t *)job->inputs.list[0].shape)[1] = 4;
    if (!strcmp(behave, "starve")) _exit(FARM_EXIT_NO_MEMORY);
    if (!strcmp(behave, "crash")) {
        fprintf(stderr, "last words\n");
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    if (!strcmp(behave, "beside")) {
        char path[4096];
        const char *folder = strrchr(job->model, '/');
        snprintf(path, sizeof path, "%.*s/weights/a b=\xc3\xa9.bin", (int)(folder - job->model), job->model);
        FILE *beside = fopen(path, "r");
        if (!beside || !farm_model_part(job, "init")) farm_fail(FARM_INTERNAL, "%s is not there", path);
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

static void set_input(struct farm_job *job, int index, const void *values) {
    (void)job, (void)index;
    input = values;
}

static void infer(struct farm_job *job) {
    (void)job;
    struct timespec time = {(time_t)(sleep_ns / 1000000000u), (long)(sleep_ns % 1000000000u)};
    inferences++;
    sleep_ns += slower_ns;
    if (sleep_ns) nanosleep(&time, NULL);
}

static void outputs(struct farm_job *job) {
    int64_t wide[] = {strtoll(farm_option(job, "wide", "0"), NULL, 10), 1024, 1024}, sizes[] = {0};
    char name[32];
    if (wide[0]) farm_output(job, "wide", "f32", 3, wide);
    if (!strcmp(farm_option(job, "behave", ""), "text")) farm_output(job, "text", "string", 1, sizes);
    if (!strcmp(farm_option(job, "behave", ""), "many"))
        for (int index = 0; index < 300; index++) {
            snprintf(name, sizeof name, "empty %d", index);
            farm_output(job, name, "i64", 1, sizes);
        }
    const char *odd = farm_option(job, "name", "the \"same\"\t\xc3\xa9\xff");
    farm_output(job, odd, farm_option(job, "element", "f32"), rank, shape);
}

static int answer(struct farm_job *job, int index, float *values) {
    const struct farm_tensor *output = &job->outputs.list[index];
    if (!strcmp(output->element, "string")) return 0;
    size_t count = job->inputs.list[0].values;
    if (!strcmp(output->name, "wide")) return memset(values, 0, output->values * sizeof *values) != NULL;
    if (output->values) farm_to_floats(output->element, input, count, values);
    for (size_t at = 0; !strcmp(output->element, "i8") && at < output->values; at++) values[at] += 28;
    if (!strcmp(farm_option(job, "behave", ""), "no numbers"))
        for (size_t at = 0; at < output->values; at += 2) values[at] = strtof("nan", NULL);
    return 1;
}

int main(void) {
    static const struct farm_engine engine = {load, set_input, infer, outputs, answer};
    return farm_engine_main(&engine);
}
