/*
 * What an inference engine in C or C++ needs to measure for farmctl: the child protocol and the timed loop, in one
 * file without dependencies. The same for engines in Rust is the crate beside it, whose lib.rs describes the protocol.
 *
 * An engine is a struct farm_engine of four functions, and a main that hands it on:
 *
 *     static const struct farm_engine engine = {load, set_input, infer, answer};
 *     int main(void) { return farm_engine_main(&engine); }
 *
 * load() opens the model and says with farm_input(), farm_output() and farm_engine_name() what it found; set_input()
 * gets an input's values, and later those of images to classify; infer() is what is timed; answer() copies an output of the last inference. Outputs
 * that only an inference shows are described by the first infer(). What goes
 * wrong is said with farm_fail(), which does not return. Compile with -pthread; one source file includes this one.
 *
 * Nothing here writes, allocates or calls the system inside a timed window, but for the clock.
 */
#ifndef FARM_ENGINE_H
#define FARM_ENGINE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FARM_ENGINE_PROTOCOL 1
#define FARM_MAX_TENSORS 64
#define FARM_MAX_RANK 8
#define FARM_MAX_PAIRS 64
#define FARM_MAX_ORDER_BYTES (1 << 20)
#define FARM_SAMPLES_PER_MESSAGE 4096
#define FARM_VALUES_PER_MESSAGE 65536
#define FARM_TOP_CLASSES 5

/* Whose fault a failure is; the words are those of the messages. */
#define FARM_UNSUPPORTED "backend_unsupported" /* the engine can't do what the job asks */
#define FARM_MODEL_LOAD "model_load"           /* it does not take the model */
#define FARM_INFERENCE "inference"             /* an inference failed */
#define FARM_MEMORY "out_of_memory"
#define FARM_DEVICE "device"                   /* the device refused a setting */
#define FARM_INTERNAL "internal"

/* An input or output. */
struct farm_tensor {
    char name[128];
    char element[16];
    int rank;
    int64_t shape[FARM_MAX_RANK];
    size_t values; /* product of the shape */
};

/* What is to be done, and what load() found. */
struct farm_job {
    const char *model;     /* the model's file */
    const char *format;    /* its format */
    const char *precision; /* fp32, fp16, int8 */
    const char *scenario;  /* single_stream, offline */
    int threads;           /* at least 1 */
    int batch;             /* images in one inference, at least 1 */
    int input_count, output_count;
    struct farm_tensor inputs[FARM_MAX_TENSORS], outputs[FARM_MAX_TENSORS];
    void *engine; /* the engine's own */

    /* The rest is this file's. */
    int pair_count;
    const char *keys[FARM_MAX_PAIRS], *values[FARM_MAX_PAIRS];
    uint64_t warmup_min_runs, warmup_min_ns, warmup_max_ns, min_runs, max_runs, min_ns, max_ns, evaluate_images;
    float *input_values[FARM_MAX_TENSORS];
    char engine_name[256];
    int threads_used;
};

struct farm_engine {
    void (*load)(struct farm_job *job);
    /* `values` are the input's tensor.values 32-bit floats; they stay where they are until the process ends, and what is
     * there changes only before set_input() is called again. */
    void (*set_input)(struct farm_job *job, int index, const float *values);
    void (*infer)(struct farm_job *job);
    /* Writes the output's tensor.values 32-bit floats. */
    void (*answer)(struct farm_job *job, int index, float *values);
};

static int farm_messages = -1; /* standard output as it was: libraries that print there can't disturb the messages */

/* ---- Writing messages ---- */

static char *farm_buffer;
static size_t farm_length, farm_capacity;

static void farm_put(const char *bytes, size_t count) {
    if (farm_length + count > farm_capacity) {
        farm_capacity = (farm_length + count) * 2 + 4096;
        farm_buffer = (char *)realloc(farm_buffer, farm_capacity);
        if (!farm_buffer) {
            fputs("memory allocation of a message failed\n", stderr);
            abort();
        }
    }
    memcpy(farm_buffer + farm_length, bytes, count);
    farm_length += count;
}

__attribute__((format(printf, 1, 2))) static void farm_put_format(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    farm_put(text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
}

/* A JSON string. What is no UTF-8 becomes question marks: the supervisor takes nothing else. */
static void farm_put_string(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    farm_put("\"", 1);
    while (*at) {
        int more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : *at >= 0xf0 && *at < 0xf5 ? 3 : -1;
        int right = more;
        for (int index = 1; index <= more; index++)
            if ((at[index] & 0xc0) != 0x80) {
                right = -1;
                break;
            }
        /* Overlong forms, surrogates, and what lies beyond the last character. */
        if ((more == 2 && ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f))) ||
            (more == 3 && ((*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))))
            right = -1;
        if (right < 0)
            farm_put("?", 1);
        else if (*at < 0x20 || *at == '"' || *at == '\\')
            farm_put_format("\\u%04x", *at);
        else
            farm_put((const char *)at, (size_t)right + 1);
        at += right < 0 ? 1 : right + 1;
    }
    farm_put("\"", 1);
}

static void farm_send(void) {
    farm_put("\n", 1);
    for (size_t sent = 0; sent < farm_length;) {
        ssize_t count = write(farm_messages, farm_buffer + sent, farm_length - sent);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) _exit(1); /* a supervisor that can't be told is gone */
        sent += (size_t)count;
    }
    farm_length = 0;
}

static void farm_send_phase(const char *phase) {
    farm_put_format("{\"kind\":\"phase\",\"phase\":\"%s\"}", phase);
    farm_send();
}

/* Ends the process with a failed run: a kind from above, and what happened, in words. */
__attribute__((noreturn, format(printf, 2, 3))) static void farm_fail(const char *kind, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    farm_length = 0;
    farm_put_format("{\"kind\":\"failed\",\"failure\":\"%s\",\"message\":", kind);
    farm_put_string(text);
    farm_put_format(",\"signal\":null,\"exit_code\":null,\"stderr_tail\":[]}");
    farm_send();
    _exit(1); /* not exit: a library that is broken may hang in its destructors */
}

/* ---- What an engine says and asks ---- */

static void farm_tensor_set(struct farm_tensor *tensor, const char *name, const char *element, int rank,
                            const int64_t *shape) {
    if (rank < 0 || rank > FARM_MAX_RANK)
        farm_fail(FARM_UNSUPPORTED, "%s has %d dimensions; %d are the most", name, rank, FARM_MAX_RANK);
    snprintf(tensor->name, sizeof tensor->name, "%s", name);
    snprintf(tensor->element, sizeof tensor->element, "%s", element);
    tensor->rank = rank;
    tensor->values = 1;
    for (int index = 0; index < rank; index++) {
        if (shape[index] < 0 || (shape[index] > 0 && tensor->values > ((size_t)1 << 30) / (size_t)shape[index]))
            farm_fail(FARM_UNSUPPORTED, "dimension %d of %s is %" PRId64, index, name, shape[index]);
        tensor->shape[index] = shape[index];
        tensor->values *= (size_t)shape[index];
    }
}

/* Describes the next input, with the batch in its shape. `element` is the type in the file: f32, i8, … */
__attribute__((unused)) static void farm_input(struct farm_job *job, const char *name, const char *element, int rank,
                                               const int64_t *shape) {
    if (job->input_count == FARM_MAX_TENSORS) farm_fail(FARM_UNSUPPORTED, "more than %d inputs", FARM_MAX_TENSORS);
    farm_tensor_set(&job->inputs[job->input_count++], name, element, rank, shape);
}

/* Describes the next output. */
__attribute__((unused)) static void farm_output(struct farm_job *job, const char *name, const char *element, int rank,
                                                const int64_t *shape) {
    if (job->output_count == FARM_MAX_TENSORS) farm_fail(FARM_UNSUPPORTED, "more than %d outputs", FARM_MAX_TENSORS);
    farm_tensor_set(&job->outputs[job->output_count++], name, element, rank, shape);
}

/* Says what the engine is, as it says itself: name, version, what it computes with. */
__attribute__((unused, format(printf, 2, 3))) static void farm_engine_name(struct farm_job *job, const char *format,
                                                                           ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(job->engine_name, sizeof job->engine_name, format, arguments);
    va_end(arguments);
}

/* Says that the engine uses another number of threads than the job asks for. */
__attribute__((unused)) static void farm_threads_used(struct farm_job *job, int threads) { job->threads_used = threads; }

static const char *farm_find(const struct farm_job *job, const char *prefix, const char *name) {
    size_t length = strlen(prefix);
    for (int index = 0; index < job->pair_count; index++)
        if (!strncmp(job->keys[index], prefix, length) && !strcmp(job->keys[index] + length, name))
            return job->values[index];
    return NULL;
}

/* The value of an option, or `otherwise`. An engine refuses with farm_fail() what it does not know. */
__attribute__((unused)) static const char *farm_option(const struct farm_job *job, const char *name,
                                                       const char *otherwise) {
    const char *value = farm_find(job, "option.", name);
    return value ? value : otherwise;
}

/* A further file of the model, or NULL. */
__attribute__((unused)) static const char *farm_model_part(const struct farm_job *job, const char *name) {
    return farm_find(job, "model.", name);
}

/* The shape of the model's one input, with the batch in it, for files that don't tell it: room for FARM_MAX_RANK. Gives
 * the rank. */
__attribute__((unused)) static int farm_input_shape(const struct farm_job *job, int64_t *shape) {
    const char *list = farm_find(job, "", "input_shape");
    int rank = 0;
    if (!list) farm_fail(FARM_UNSUPPORTED, "the model's file does not tell the shape of its input, nor does its entry");
    for (const char *at = list; *at;) {
        char *end;
        errno = 0;
        long long size = strtoll(at, &end, 10);
        if (end == at || errno || rank == FARM_MAX_RANK) farm_fail(FARM_INTERNAL, "input_shape=%s is not understood", list);
        shape[rank++] = size;
        at = *end == ',' ? end + 1 : end;
    }
    return rank;
}

/* Fails when the job sets an option that is not in the list, which ends with NULL. */
__attribute__((unused)) static void farm_known_options(const struct farm_job *job, const char *const *known) {
    for (int index = 0; index < job->pair_count; index++) {
        if (strncmp(job->keys[index], "option.", 7)) continue;
        const char *const *name = known;
        while (*name && strcmp(*name, job->keys[index] + 7)) name++;
        if (!*name) farm_fail(FARM_UNSUPPORTED, "the engine has no option %s", job->keys[index] + 7);
    }
}

/* ---- Reading the order and the inputs ---- */

static void farm_read_all(void *target, size_t count) {
    char *at = (char *)target;
    while (count) {
        ssize_t got = read(0, at, count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) _exit(1); /* the supervisor is gone */
        at += got;
        count -= (size_t)got;
    }
}

static uint64_t farm_number(const struct farm_job *job, const char *key) {
    const char *text = farm_find(job, "", key);
    char *end = NULL;
    errno = 0;
    uint64_t number = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end || errno) farm_fail(FARM_INTERNAL, "failed to read the order: %s is missing or no number", key);
    return number;
}

static const char *farm_text(const struct farm_job *job, const char *key) {
    const char *text = farm_find(job, "", key);
    if (!text) farm_fail(FARM_INTERNAL, "failed to read the order: %s is missing", key);
    return text;
}

static void farm_read_order(struct farm_job *job) {
    char *text = (char *)malloc(FARM_MAX_ORDER_BYTES);
    size_t length = 0;
    if (!text) farm_fail(FARM_MEMORY, "memory allocation of the order failed");
    /* Byte by byte, so that nothing of the inputs behind it is read. */
    do {
        if (length + 1 >= FARM_MAX_ORDER_BYTES) farm_fail(FARM_INTERNAL, "failed to read the order: it is too long");
        farm_read_all(text + length++, 1);
    } while (!(length == 1 ? text[0] == '\n' : text[length - 1] == '\n' && text[length - 2] == '\n'));
    text[length - 1] = 0;
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        *next++ = 0;
        char *value = strchr(line, '=');
        if (!value) farm_fail(FARM_INTERNAL, "failed to read the order: %s is no key=value", line);
        *value++ = 0;
        if (job->pair_count == FARM_MAX_PAIRS) farm_fail(FARM_INTERNAL, "failed to read the order: too many lines");
        job->keys[job->pair_count] = line;
        job->values[job->pair_count++] = value;
    }
    if (farm_number(job, "engine_protocol") != FARM_ENGINE_PROTOCOL)
        farm_fail(FARM_INTERNAL, "the runner speaks engine protocol %s, this engine %d: build both from the same source",
                  farm_text(job, "engine_protocol"), FARM_ENGINE_PROTOCOL);
    job->model = farm_text(job, "model");
    job->format = farm_text(job, "format");
    job->precision = farm_text(job, "precision");
    job->scenario = farm_text(job, "scenario");
    job->threads = (int)farm_number(job, "threads");
    job->batch = (int)farm_number(job, "batch");
    job->warmup_min_runs = farm_number(job, "warmup_min_runs");
    job->warmup_min_ns = farm_number(job, "warmup_min_ns");
    job->warmup_max_ns = farm_number(job, "warmup_max_ns");
    job->min_runs = farm_number(job, "min_runs");
    job->max_runs = farm_number(job, "max_runs");
    job->min_ns = farm_number(job, "min_ns");
    job->max_ns = farm_number(job, "max_ns");
    if (farm_find(job, "", "evaluate_images")) job->evaluate_images = farm_number(job, "evaluate_images");
    job->threads_used = job->threads;
}

/* ---- The process ---- */

static void *farm_leave_with_supervisor(void *unused) {
    /* The supervisor holds the other end of standard input as long as it lives. Only its end is waited for. */
    struct pollfd end = {0, 0, 0};
    while (poll(&end, 1, -1) < 0 && errno == EINTR) {
    }
    /* With all that this process started: the supervisor made it the leader of a group of its own. */
    if (getpgrp() == getpid()) kill(0, SIGKILL);
    _exit(1);
    return unused;
}

static void farm_set_up(void) {
    int score = open("/proc/self/oom_score_adj", O_WRONLY);
    if (score >= 0) {
        /* Without it the supervisor is as likely to be taken as this process: a worse report, but no wrong one. */
        if (write(score, "1000", 4) < 0) errno = 0;
        close(score);
    }
    farm_messages = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (farm_messages < 0 || dup2(2, 1) < 0) {
        perror("failed to set up the messages");
        _exit(1);
    }
    /* Inherited blocked from the supervisor, which waits for it in another way. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &signals, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, farm_leave_with_supervisor, NULL)) farm_fail(FARM_DEVICE, "failed to start a thread");
    pthread_detach(thread);
}

static void farm_pin(const struct farm_job *job) {
    const char *list = farm_find(job, "", "cpus");
    if (!list) return;
    cpu_set_t wanted, got;
    CPU_ZERO(&wanted);
    for (const char *at = list; *at;) {
        char *end;
        unsigned long cpu = strtoul(at, &end, 10);
        if (end == at || cpu >= CPU_SETSIZE) farm_fail(FARM_DEVICE, "failed to pin the run to the processors %s", list);
        CPU_SET(cpu, &wanted);
        at = *end == ',' ? end + 1 : end;
    }
    /* The kernel drops processors that are offline in silence. */
    if (sched_setaffinity(0, sizeof wanted, &wanted) || sched_getaffinity(0, sizeof got, &got) || !CPU_EQUAL(&wanted, &got))
        farm_fail(FARM_DEVICE, "failed to pin the run to the processors %s: one is offline or not allowed", list);
}

static uint64_t farm_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t farm_timeval_ns(struct timeval time) {
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_usec * 1000u;
}

static uint64_t farm_peak_rss_bytes(void) {
    unsigned long long kilobytes = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %llu", &kilobytes) == 1) break;
    if (status) fclose(status);
    if (!kilobytes) farm_fail(FARM_DEVICE, "failed to read the peak memory: /proc/self/status has no VmHWM");
    return kilobytes * 1024;
}

/* ---- The run ---- */

static void farm_send_tensors(const char *name, const struct farm_tensor *tensors, int count) {
    farm_put_format(",\"%s\":[", name);
    for (int index = 0; index < count; index++) {
        farm_put_format("%s{\"name\":", index ? "," : "");
        farm_put_string(tensors[index].name);
        farm_put_format(",\"element\":\"%s\",\"shape\":[", tensors[index].element);
        for (int place = 0; place < tensors[index].rank; place++)
            farm_put_format("%s%" PRId64, place ? "," : "", tensors[index].shape[place]);
        farm_put("]}", 2);
    }
    farm_put("]", 1);
}

static void farm_load(const struct farm_engine *engine, struct farm_job *job) {
    farm_send_phase("load");
    uint64_t begun = farm_now_ns();
    engine->load(job);
    farm_put_format("{\"kind\":\"loaded\",\"load_ns\":%" PRIu64, farm_now_ns() - begun);
    farm_send_tensors("inputs", job->inputs, job->input_count);
    farm_send_tensors("outputs", job->outputs, job->output_count);
    if (job->engine_name[0]) {
        farm_put_format(",\"engine\":");
        farm_put_string(job->engine_name);
    }
    farm_put("}", 1);
    farm_send();
    for (int index = 0; index < job->input_count; index++) {
        float *values = (float *)malloc(job->inputs[index].values * sizeof(float) + 1);
        if (!values) farm_fail(FARM_MEMORY, "memory allocation of input %s failed", job->inputs[index].name);
        farm_read_all(values, job->inputs[index].values * sizeof(float));
        engine->set_input(job, index, values);
        job->input_values[index] = values;
    }
}

/* Warms up until its limits are met. */
static void farm_warm_up(const struct farm_engine *engine, struct farm_job *job) {
    farm_send_phase("warm_up");
    uint64_t begun = farm_now_ns(), elapsed, runs = 0;
    while ((elapsed = farm_now_ns() - begun),
           runs < job->warmup_min_runs || (elapsed < job->warmup_min_ns && elapsed < job->warmup_max_ns)) {
        engine->infer(job);
        runs++;
    }
    farm_put_format("{\"kind\":\"warmed_up\",\"runs\":%" PRIu64 ",\"duration_ns\":%" PRIu64 "}", runs, elapsed);
    farm_send();
}

/* Whether the timed loop ends after so many inferences and so long: both minima are met, or a maximum is. */
static int farm_met(const struct farm_job *job, uint64_t runs, uint64_t elapsed) {
    return (runs >= job->min_runs && elapsed >= job->min_ns) || runs >= job->max_runs || elapsed >= job->max_ns;
}

/* MLPerf's single stream: a sample is one query, the clock is read right before and right after it. */
static uint64_t farm_single_stream(const struct farm_engine *engine, struct farm_job *job, uint64_t *samples,
                                   uint64_t *count) {
    uint64_t begun = farm_now_ns();
    for (;;) {
        uint64_t before = farm_now_ns();
        engine->infer(job);
        uint64_t after = farm_now_ns();
        samples[(*count)++] = after - before;
        if (farm_met(job, *count, after - begun)) return after - begun;
    }
}

/* MLPerf's offline: batch after batch, a sample is the time from the end of the one before. */
static uint64_t farm_offline(const struct farm_engine *engine, struct farm_job *job, uint64_t *samples,
                             uint64_t *count) {
    uint64_t begun = farm_now_ns(), last = begun;
    for (;;) {
        engine->infer(job);
        uint64_t now = farm_now_ns();
        samples[(*count)++] = now - last;
        last = now;
        if (farm_met(job, *count, now - begun)) return now - begun;
    }
}

static void farm_measure(const struct farm_engine *engine, struct farm_job *job) {
    int offline = !strcmp(job->scenario, "offline");
    farm_send_phase("measure");
    size_t bytes = (size_t)job->max_runs * sizeof(uint64_t);
    uint64_t *samples = (uint64_t *)malloc(bytes), count = 0;
    if (!samples) farm_fail(FARM_MEMORY, "memory allocation of %" PRIu64 " samples failed", job->max_runs);
    memset(samples, 0xff, bytes); /* no page of it is first touched inside the loop */
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t wall = (offline ? farm_offline : farm_single_stream)(engine, job, samples, &count);
    getrusage(RUSAGE_SELF, &after);
    uint64_t peak = farm_peak_rss_bytes();
    for (uint64_t first = 0; first < count; first += FARM_SAMPLES_PER_MESSAGE) {
        uint64_t end = first + FARM_SAMPLES_PER_MESSAGE < count ? first + FARM_SAMPLES_PER_MESSAGE : count;
        farm_put_format("{\"kind\":\"samples\",\"latencies_ns\":[");
        for (uint64_t index = first; index < end; index++)
            farm_put_format("%s%" PRIu64, index > first ? "," : "", samples[index]);
        farm_put("]}", 2);
        farm_send();
    }
    farm_put_format("{\"kind\":\"measured\",\"samples\":%" PRIu64 ",\"wall_ns\":%" PRIu64, count, wall);
    farm_put_format(",\"cpu_user_ns\":%" PRIu64, farm_timeval_ns(after.ru_utime) - farm_timeval_ns(before.ru_utime));
    farm_put_format(",\"cpu_system_ns\":%" PRIu64, farm_timeval_ns(after.ru_stime) - farm_timeval_ns(before.ru_stime));
    farm_put_format(",\"peak_rss_bytes\":%" PRIu64 ",\"cpus\":[", peak);
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus)) farm_fail(FARM_DEVICE, "failed to read the processors of the run");
    for (int cpu = 0, more = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cpus)) farm_put_format("%s%d", more++ ? "," : "", cpu);
    farm_put_format("],\"threads\":%d}", job->threads_used);
    farm_send();
}

/* Little-endian floats as base64: every bit arrives. */
static void farm_put_base64(const float *values, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)values;
    size_t length = count * sizeof(float);
    for (size_t at = 0; at < length; at += 3) {
        size_t left = length - at;
        uint32_t group = (uint32_t)bytes[at] << 16;
        if (left > 1) group |= (uint32_t)bytes[at + 1] << 8;
        if (left > 2) group |= bytes[at + 2];
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        farm_put(text, sizeof text);
    }
}

static void farm_send_answer(const struct farm_tensor *tensor, const float *values) {
    for (size_t first = 0; first < tensor->values; first += FARM_VALUES_PER_MESSAGE) {
        size_t left = tensor->values - first;
        farm_put_format("{\"kind\":\"output\",\"name\":");
        farm_put_string(tensor->name);
        farm_put_format(",\"shape\":[");
        for (int place = 0; place < tensor->rank; place++)
            farm_put_format("%s%" PRId64, place ? "," : "", tensor->shape[place]);
        farm_put_format("],\"first\":%zu,\"values_base64\":\"", first);
        farm_put_base64(values + first, left < FARM_VALUES_PER_MESSAGE ? left : FARM_VALUES_PER_MESSAGE);
        farm_put("\"}", 2);
        farm_send();
    }
}

/* Writes the indices of the highest values, the highest first, the lower index of equal ones first; none of what is no
 * number. Gives how many there are. */
static int farm_best(const float *values, size_t count, size_t *best) {
    int known = 0;
    for (size_t index = 0; index < count; index++) {
        if (values[index] != values[index]) continue;
        int place = 0;
        while (place < known && values[best[place]] >= values[index]) place++;
        if (place == FARM_TOP_CLASSES) continue;
        if (known < FARM_TOP_CLASSES) known++;
        for (int later = known - 1; later > place; later--) best[later] = best[later - 1];
        best[place] = index;
    }
    return known;
}

/* Classifies the images that the supervisor sends, by the first output, which has one value a class. */
static void farm_evaluate(const struct farm_engine *engine, struct farm_job *job, float **answers) {
    size_t batch = (size_t)job->batch, values = job->output_count ? job->outputs[0].values : 0, classes = values / batch;
    farm_send_phase("evaluate");
    if (!classes || classes * batch != values)
        farm_fail(FARM_INFERENCE, "failed to infer: %zu values are no classes of %zu images", values, batch);
    for (uint64_t first = 0; first < job->evaluate_images; first += batch) {
        for (int index = 0; index < job->input_count; index++) {
            farm_read_all(job->input_values[index], job->inputs[index].values * sizeof(float));
            engine->set_input(job, index, job->input_values[index]);
        }
        engine->infer(job);
        engine->answer(job, 0, answers[0]);
        farm_put_format("{\"kind\":\"classified\",\"first\":%" PRIu64 ",\"best\":[", first);
        for (size_t image = 0; image < batch && first + image < job->evaluate_images; image++) {
            size_t best[FARM_TOP_CLASSES];
            int known = farm_best(answers[0] + image * classes, classes, best);
            farm_put_format("%s[", image ? "," : "");
            for (int place = 0; place < known; place++) farm_put_format("%s%zu", place ? "," : "", best[place]);
            farm_put("]", 1);
        }
        farm_put("]}", 2);
        farm_send();
    }
}

/* Does what standard input asks, and tells it on standard output. Gives the process's exit code. */
static int farm_engine_main(const struct farm_engine *engine) {
    static struct farm_job job;
    float *answers[FARM_MAX_TENSORS];
    farm_set_up();
    farm_read_order(&job);
    if (strcmp(job.scenario, "single_stream") && strcmp(job.scenario, "offline"))
        farm_fail(FARM_UNSUPPORTED, "this engine does not know the scenario %s", job.scenario);
    farm_pin(&job);
    farm_load(engine, &job);
    farm_send_phase("first_inference");
    uint64_t begun = farm_now_ns();
    engine->infer(&job);
    farm_put_format("{\"kind\":\"first_inference\",\"latency_ns\":%" PRIu64 "}", farm_now_ns() - begun);
    farm_send();
    for (int index = 0; index < job.output_count; index++) {
        answers[index] = (float *)malloc(job.outputs[index].values * sizeof(float) + 1);
        if (!answers[index]) farm_fail(FARM_MEMORY, "memory allocation of output %s failed", job.outputs[index].name);
        engine->answer(&job, index, answers[index]);
    }
    farm_warm_up(engine, &job);
    farm_measure(engine, &job);
    for (int index = 0; index < job.output_count; index++) farm_send_answer(&job.outputs[index], answers[index]);
    if (job.evaluate_images) farm_evaluate(engine, &job, answers);
    fflush(NULL);
    _exit(0); /* not return: what a library does at its end is not measured, and must not turn a good run bad */
}

#endif
