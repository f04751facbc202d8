/*
 * What an inference engine in C or C++ needs to measure for farmctl: the child protocol and the timed loop, in one
 * file without dependencies. The same for engines in Rust is the crate beside it, whose lib.rs describes the protocol.
 *
 * An engine is a struct farm_engine of five functions, and a main that hands it on:
 *
 *     static const struct farm_engine engine = {load, set_input, infer, outputs, answer};
 *     int main(void) { return farm_engine_main(&engine); }
 *
 * load() opens the model, says with farm_input() which inputs it has, and sets exactly the shapes that it gets back;
 * set_input() gets an input's values, and later those of images to classify; infer() is what is timed; outputs() describes
 * with farm_output() what the last inference answered; answer() copies one of these outputs. What goes wrong is said with
 * farm_fail(), which does not return. Compile with -pthread; one source file includes this one.
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
#ifdef __cplusplus
#include <exception>
#include <new>
#endif

#define FARM_ENGINE_PROTOCOL 3
#define FARM_MAX_TENSORS 1024
#define FARM_MAX_RANK 64
#define FARM_MAX_NAME_BYTES 1024
#define FARM_MAX_LINE_BYTES (1 << 20)
#define FARM_MAX_OUTPUT_VALUES (1 << 24) /* of a run; an output that is larger is left out */
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

#define FARM_EXIT_NO_MEMORY 83 /* memory was refused, and nothing can be written any more */

/* An input or output. */
struct farm_tensor {
    const char *name;
    const char *element; /* f32, i64, … */
    int rank;
    const int64_t *shape;
    size_t values; /* product of the shape */
    size_t bytes;  /* of all values; 0 where the element type can't be fed */
    /* How its whole numbers stand for real ones: scale × (number − zero_point); scale is 0 where they do not. */
    float scale;
    int64_t zero_point;
    int is_settled; /* of an input that the job wants: the model's file has it */
};

struct farm_tensors {
    struct farm_tensor *list;
    int count, room;
};

/* What is to be done, and what load() found. */
struct farm_job {
    const char *model;     /* the model's file */
    const char *format;    /* its format */
    const char *precision; /* fp32, fp16, int8 */
    const char *scenario;  /* single_stream, offline, sustained */
    int threads;           /* at least 1 */
    int batch;             /* images in one inference, at least 1 */
    struct farm_tensors wanted; /* the inputs as the job says; none where the host can't read the model's file */
    struct farm_tensors inputs; /* as they were settled, in the order in which their values come */
    struct farm_tensors outputs;
    void *engine; /* the engine's own */

    /* The rest is this file's. */
    int pair_count, pair_room;
    const char **keys, **values;
    uint64_t warmup_min_runs, warmup_min_ns, warmup_max_ns, min_runs, max_runs, min_ns, max_ns, evaluate_images;
    int warmup_asks, asks; /* whether the supervisor says if a loop is long enough */
    void **input_values;
    char engine_name[256];
    int threads_used;
};

struct farm_engine {
    void (*load)(struct farm_job *job);
    /* `values` are the input's tensor.bytes bytes: its tensor.values numbers, in its own type. They stay where they are until
     * the process ends, and what is there changes only before set_input() is called again. */
    void (*set_input)(struct farm_job *job, int index, const void *values);
    void (*infer)(struct farm_job *job);
    /* Describes all outputs of the last inference, with farm_output(). */
    void (*outputs)(struct farm_job *job);
    /* Writes the output's tensor.values 32-bit floats; gives 0 when it is not made of numbers. */
    int (*answer)(struct farm_job *job, int index, float *values);
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
            _exit(FARM_EXIT_NO_MEMORY);
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

static void farm_fail(const char *kind, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

static void farm_send(void) {
    if (farm_length >= FARM_MAX_LINE_BYTES)
        farm_fail(FARM_UNSUPPORTED, "a message of %zu bytes is longer than the protocol allows", farm_length);
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
static void farm_fail(const char *kind, const char *format, ...) {
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

static void *farm_allocate(size_t bytes, const char *what) {
    void *memory = malloc(bytes + 1);
    if (!memory) farm_fail(FARM_MEMORY, "memory allocation of %s failed: %zu bytes", what, bytes);
    return memory;
}

static char *farm_copy_text(const char *text) {
    size_t bytes = strlen(text) + 1;
    return (char *)memcpy(farm_allocate(bytes, "a name"), text, bytes);
}

/* Bytes of an element that can be fed; 0 of any other. */
static size_t farm_element_bytes(const char *element) {
    static const struct {
        const char *word;
        size_t bytes;
    } known[] = {{"bool", 1}, {"i8", 1},  {"u8", 1},  {"i16", 2}, {"u16", 2}, {"f16", 2},
                 {"i32", 4},  {"u32", 4}, {"f32", 4}, {"i64", 8}, {"u64", 8}, {"f64", 8}};
    for (size_t index = 0; index < sizeof known / sizeof *known; index++)
        if (!strcmp(known[index].word, element)) return known[index].bytes;
    return 0;
}

/* How a shape is written: [1, 3, ?]. */
static const char *farm_shape_text(char *text, size_t bytes, int rank, const int64_t *shape) {
    size_t length = (size_t)snprintf(text, bytes, "[");
    for (int place = 0; place < rank && length < bytes; place++) {
        const char *comma = place ? ", " : "";
        int added = shape[place] < 0 ? snprintf(text + length, bytes - length, "%s?", comma)
                                     : snprintf(text + length, bytes - length, "%s%" PRId64, comma, shape[place]);
        length += (size_t)added;
    }
    if (length < bytes) snprintf(text + length, bytes - length, "]");
    return text;
}

static int farm_add(struct farm_tensors *tensors, const char *name, const char *element, int rank, const int64_t *shape) {
    if (tensors->count == tensors->room) {
        tensors->room = tensors->room * 2 + 8;
        tensors->list = (struct farm_tensor *)realloc(tensors->list, (size_t)tensors->room * sizeof *tensors->list);
        if (!tensors->list) farm_fail(FARM_MEMORY, "memory allocation of the tensors failed");
    }
    int64_t *sizes = (int64_t *)farm_allocate((size_t)rank * sizeof *shape, "a shape");
    struct farm_tensor tensor = {farm_copy_text(name), farm_copy_text(element), rank, sizes, 1, 0, 0, 0, 0};
    for (int place = 0; place < rank; place++) {
        sizes[place] = shape[place];
        /* What is larger than any memory stays so. */
        if (shape[place] < 0 || __builtin_mul_overflow(tensor.values, (size_t)shape[place], &tensor.values))
            tensor.values = SIZE_MAX;
    }
    if (__builtin_mul_overflow(tensor.values, farm_element_bytes(element), &tensor.bytes)) tensor.bytes = SIZE_MAX;
    tensors->list[tensors->count] = tensor;
    return tensors->count++;
}

static void farm_clear(struct farm_tensors *tensors) {
    for (int index = 0; index < tensors->count; index++) {
        free((void *)tensors->list[index].name);
        free((void *)tensors->list[index].element);
        free((void *)tensors->list[index].shape);
    }
    tensors->count = 0;
}

/* The input that the job means by this one of the file: that of its name, or where there is none that of its place. */
static struct farm_tensor *farm_meant(const struct farm_job *job, int index, const char *name) {
    for (int place = 0; place < job->wanted.count; place++)
        if (!strcmp(job->wanted.list[place].name, name)) return &job->wanted.list[place];
    return index < job->wanted.count ? &job->wanted.list[index] : NULL;
}

/* Holds what the model's file has against what the job wants; writes the settled shape. */
static void farm_settle(const char *name, const char *element, int rank, int64_t *shape, const struct farm_tensor *wanted) {
    int fits = rank == wanted->rank && !strcmp(element, wanted->element);
    for (int place = 0; fits && place < rank; place++) fits = shape[place] < 0 || shape[place] == wanted->shape[place];
    if (!fits) {
        char file[512], job[512];
        farm_fail(FARM_UNSUPPORTED, "input %s is %s %s in the model's file, the job says %s %s", name, element,
                  farm_shape_text(file, sizeof file, rank, shape), wanted->element,
                  farm_shape_text(job, sizeof job, wanted->rank, wanted->shape));
    }
    for (int place = 0; place < rank; place++) shape[place] = wanted->shape[place];
}

/* The same where the job says nothing: an open first dimension is the batch. */
static void farm_settle_by_batch(const struct farm_job *job, const char *name, int rank, int64_t *shape) {
    if (job->batch != 1 && (rank == 0 || (shape[0] >= 0 && shape[0] != job->batch))) {
        char file[512];
        farm_fail(FARM_UNSUPPORTED, "input %s is %s in the model's file, the job asks for a batch of %d", name,
                  farm_shape_text(file, sizeof file, rank, shape), job->batch);
    }
    if (rank > 0 && shape[0] < 0) shape[0] = job->batch;
    for (int place = 0; place < rank; place++)
        if (shape[place] < 0)
            farm_fail(FARM_UNSUPPORTED, "dimension %d of input %s is not fixed in the model's file", place, name);
}

/* Says that the model's file has this input: its element type (f32, i8, …) and its shape, in which -1 is an open dimension.
 * Writes into `shape` what it is to be, or fails. `index` is its place in the file, by which an input of another name than the
 * job's is taken. Gives its place in the order in which values come: the job's, or the file's where the job says nothing. */
__attribute__((unused)) static int farm_input(struct farm_job *job, int index, const char *name, const char *element,
                                              int rank, int64_t *shape) {
    if (rank < 0 || rank > FARM_MAX_RANK)
        farm_fail(FARM_UNSUPPORTED, "%s has %d dimensions; %d are the most", name, rank, FARM_MAX_RANK);
    if (!farm_element_bytes(element)) farm_fail(FARM_UNSUPPORTED, "input %s is made of %s, which can't be fed", name, element);
    if (!job->wanted.count) {
        farm_settle_by_batch(job, name, rank, shape);
        return farm_add(&job->inputs, name, element, rank, shape);
    }
    /* The settled inputs are those that the job wants, each with what the file has. */
    struct farm_tensor *wanted = farm_meant(job, index, name);
    if (!wanted || wanted->is_settled)
        farm_fail(FARM_UNSUPPORTED, "the model's file has an input %s of which the job says nothing", name);
    farm_settle(name, element, rank, shape, wanted);
    wanted->is_settled = 1;
    for (int place = job->inputs.count; place < job->wanted.count; place++) {
        const struct farm_tensor *next = &job->wanted.list[place];
        farm_add(&job->inputs, next->name, next->element, next->rank, next->shape);
    }
    return (int)(wanted - job->wanted.list);
}

/* Says how the whole numbers of the input at this place stand for real ones. */
__attribute__((unused)) static void farm_quantized_input(struct farm_job *job, int place, float scale, int64_t zero_point) {
    job->inputs.list[place].scale = scale;
    job->inputs.list[place].zero_point = zero_point;
}

/* Describes the next output of the last inference. `element` is its type, however answer() converts it. */
__attribute__((unused)) static void farm_output(struct farm_job *job, const char *name, const char *element, int rank,
                                                const int64_t *shape) {
    farm_add(&job->outputs, name, element, rank, shape);
}

static float farm_half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023, bits;
    float number;
    if (exponent == 31) bits = sign | 0x7f800000u | fraction << 13;
    else if (exponent) bits = sign | (exponent + 112) << 23 | fraction << 13;
    else {
        number = (float)fraction / 16777216.0f; /* 2^-24: no normal number */
        return sign ? -number : number;
    }
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Converts numbers of a type to 32-bit floats; gives 0 for a type that is none of numbers. */
__attribute__((unused)) static int farm_to_floats(const char *element, const void *source, size_t count, float *values) {
#define FARM_CONVERT(word, type)                                                                                       \
    if (!strcmp(element, word)) {                                                                                      \
        for (size_t at = 0; at < count; at++) values[at] = (float)((const type *)source)[at];                          \
        return 1;                                                                                                      \
    }
    FARM_CONVERT("f32", float)
    FARM_CONVERT("f64", double)
    FARM_CONVERT("i8", int8_t)
    FARM_CONVERT("i16", int16_t)
    FARM_CONVERT("i32", int32_t)
    FARM_CONVERT("i64", int64_t)
    FARM_CONVERT("u8", uint8_t)
    FARM_CONVERT("u16", uint16_t)
    FARM_CONVERT("u32", uint32_t)
    FARM_CONVERT("u64", uint64_t)
    FARM_CONVERT("bool", uint8_t)
#undef FARM_CONVERT
    int is_half = !strcmp(element, "f16");
    if (!is_half && strcmp(element, "bf16")) return 0;
    for (size_t at = 0; at < count; at++) {
        uint16_t bits = ((const uint16_t *)source)[at];
        uint32_t wide = (uint32_t)bits << 16;
        if (is_half) values[at] = farm_half_to_float(bits);
        else memcpy(&values[at], &wide, sizeof wide);
    }
    return 1;
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

static void farm_add_pair(struct farm_job *job, const char *key, const char *value) {
    if (job->pair_count == job->pair_room) {
        job->pair_room = job->pair_room * 2 + 64;
        job->keys = (const char **)realloc(job->keys, (size_t)job->pair_room * sizeof *job->keys);
        job->values = (const char **)realloc(job->values, (size_t)job->pair_room * sizeof *job->values);
        if (!job->keys || !job->values) farm_fail(FARM_MEMORY, "memory allocation of the order failed");
    }
    job->keys[job->pair_count] = key;
    job->values[job->pair_count++] = value;
}

/* The inputs as the job says: `input.0=f32 [1,3,224,224] name`. */
static void farm_read_inputs(struct farm_job *job) {
    char key[32], element[16];
    const char *text;
    for (int index = 0; snprintf(key, sizeof key, "input.%d", index), (text = farm_find(job, "", key)); index++) {
        int64_t shape[FARM_MAX_RANK];
        int rank = 0, used = 0;
        if (sscanf(text, "%15s [%n", element, &used) != 1 || !used) farm_fail(FARM_INTERNAL, "failed to read the order: %s=%s", key, text);
        const char *at = text + used;
        while (*at != ']') {
            char *end;
            errno = 0;
            long long size = strtoll(at, &end, 10);
            if (end == at || errno || size < 0) farm_fail(FARM_INTERNAL, "failed to read the order: %s=%s", key, text);
            if (rank == FARM_MAX_RANK) farm_fail(FARM_UNSUPPORTED, "%s has more than %d dimensions", text, FARM_MAX_RANK);
            shape[rank++] = size;
            at = *end == ',' ? end + 1 : end;
        }
        farm_add(&job->wanted, at[1] ? at + 2 : "", element, rank, shape);
    }
}

static void farm_read_order(struct farm_job *job) {
    char *text = (char *)farm_allocate(FARM_MAX_LINE_BYTES, "the order");
    size_t length = 0;
    /* Byte by byte, so that nothing of the inputs behind it is read. */
    do {
        if (length + 1 >= FARM_MAX_LINE_BYTES) farm_fail(FARM_INTERNAL, "failed to read the order: it is too long");
        farm_read_all(text + length++, 1);
    } while (!(length == 1 ? text[0] == '\n' : text[length - 1] == '\n' && text[length - 2] == '\n'));
    text[length - 1] = 0;
    for (char *line = text, *next; *line; line = next) {
        next = strchr(line, '\n');
        *next++ = 0;
        char *value = strchr(line, '=');
        if (!value) farm_fail(FARM_INTERNAL, "failed to read the order: %s is no key=value", line);
        *value++ = 0;
        farm_add_pair(job, line, value);
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
    job->warmup_asks = farm_find(job, "", "warmup_asks") != NULL;
    job->asks = farm_find(job, "", "asks") != NULL;
    if (farm_find(job, "", "evaluate_images")) job->evaluate_images = farm_number(job, "evaluate_images");
    job->threads_used = job->threads;
    farm_read_inputs(job);
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

static void farm_put_shape(const struct farm_tensor *tensor) {
    farm_put_format(",\"shape\":[");
    for (int place = 0; place < tensor->rank; place++) farm_put_format("%s%" PRId64, place ? "," : "", tensor->shape[place]);
    farm_put("]", 1);
}

/* Whether a tensor can be told of at all. */
static int farm_is_told(const struct farm_tensor *tensor) {
    return tensor->rank <= FARM_MAX_RANK && strlen(tensor->name) <= FARM_MAX_NAME_BYTES && tensor->values != SIZE_MAX;
}

/* Writes as many tensors, from the first on, as are told in one message; gives how many these are. */
static int farm_put_tensors(const char *name, const struct farm_tensors *tensors) {
    int index = 0;
    farm_put_format(",\"%s\":[", name);
    for (; index < tensors->count && index < FARM_MAX_TENSORS && farm_length < FARM_MAX_LINE_BYTES / 2; index++) {
        const struct farm_tensor *tensor = &tensors->list[index];
        if (!farm_is_told(tensor)) break;
        farm_put_format("%s{\"name\":", index ? "," : "");
        farm_put_string(tensor->name);
        farm_put_format(",\"element\":");
        farm_put_string(tensor->element);
        farm_put_shape(tensor);
        if (tensor->scale > 0)
            farm_put_format(",\"quantization\":{\"scale\":%.9g,\"zero_point\":%" PRId64 "}", (double)tensor->scale,
                            tensor->zero_point);
        farm_put("}", 1);
    }
    farm_put("]", 1);
    return index;
}

/* Reads the values of all inputs, and hands them on. */
static void farm_set_inputs(const struct farm_engine *engine, struct farm_job *job) {
    for (int index = 0; index < job->inputs.count; index++) {
        farm_read_all(job->input_values[index], job->inputs.list[index].bytes);
        engine->set_input(job, index, job->input_values[index]);
    }
}

static void farm_load(const struct farm_engine *engine, struct farm_job *job) {
    farm_send_phase("load");
    uint64_t begun = farm_now_ns();
    engine->load(job);
    uint64_t load_ns = farm_now_ns() - begun;
    for (int index = 0; index < job->wanted.count; index++)
        if (!job->wanted.list[index].is_settled)
            farm_fail(FARM_UNSUPPORTED, "the model's file has no input %s", job->wanted.list[index].name);
    farm_put_format("{\"kind\":\"loaded\",\"load_ns\":%" PRIu64, load_ns);
    if (farm_put_tensors("inputs", &job->inputs) < job->inputs.count)
        farm_fail(FARM_UNSUPPORTED, "%d inputs, or their names and shapes, are more than can be told", job->inputs.count);
    if (job->engine_name[0]) {
        farm_put_format(",\"engine\":");
        farm_put_string(job->engine_name);
    }
    farm_put("}", 1);
    farm_send();
    job->input_values = (void **)farm_allocate((size_t)job->inputs.count * sizeof *job->input_values, "the inputs");
    for (int index = 0; index < job->inputs.count; index++)
        job->input_values[index] = farm_allocate(job->inputs.list[index].bytes, "an input");
    farm_set_inputs(engine, job);
}

/* Tells the supervisor latencies of this loop that follow those before. */
static void farm_tell(const uint64_t *latencies, uint64_t count) {
    for (uint64_t first = 0; first < count; first += FARM_SAMPLES_PER_MESSAGE) {
        uint64_t end = first + FARM_SAMPLES_PER_MESSAGE < count ? first + FARM_SAMPLES_PER_MESSAGE : count;
        farm_put_format("{\"kind\":\"look\",\"latencies_ns\":[");
        for (uint64_t index = first; index < end; index++)
            farm_put_format("%s%" PRIu64, index > first ? "," : "", latencies[index]);
        farm_put_format("],\"asks\":false}");
        farm_send();
    }
}

/* Asks the supervisor whether the loop is long enough; gives 0 if so, else the number of inferences after which it is asked
 * again. `word` gets what the supervisor says of a warm-up. */
static uint64_t farm_ask(char word[16]) {
    char line[64];
    size_t length = 0;
    farm_put_format("{\"kind\":\"look\",\"latencies_ns\":[],\"asks\":true}");
    farm_send();
    do {
        if (length + 1 >= sizeof line) farm_fail(FARM_INTERNAL, "failed to read whether the loop is long enough: a long line");
        farm_read_all(line + length, 1);
    } while (line[length++] != '\n');
    line[length] = 0;
    uint64_t next;
    if (sscanf(line, "%" SCNu64 " %15[a-z]", &next, word) != 2)
        farm_fail(FARM_INTERNAL, "failed to read whether the loop is long enough: %s", line);
    return next;
}

/* Warms up until its limits are met, and where the job says so until the supervisor finds it steady. */
static void farm_warm_up(const struct farm_engine *engine, struct farm_job *job) {
    static uint64_t untold[1024];
    const uint64_t room = sizeof untold / sizeof *untold;
    char steady[16] = "";
    farm_send_phase("warm_up");
    uint64_t begun = farm_now_ns(), elapsed, runs = 0, waiting = 0, next = job->warmup_min_runs;
    for (;;) {
        elapsed = farm_now_ns() - begun;
        int is_last = runs >= job->warmup_min_runs && elapsed >= job->warmup_max_ns;
        if (is_last || (runs >= next && elapsed >= job->warmup_min_ns)) {
            if (!job->warmup_asks) break;
            farm_tell(untold, waiting);
            waiting = 0;
            next = farm_ask(steady);
            if (is_last || !next) break;
            if (next <= runs) next = runs + 1;
        }
        uint64_t before = farm_now_ns();
        engine->infer(job);
        runs++;
        if (job->warmup_asks) untold[waiting++] = farm_now_ns() - before;
        if (waiting == room) {
            farm_tell(untold, waiting);
            waiting = 0;
        }
    }
    farm_put_format("{\"kind\":\"warmed_up\",\"runs\":%" PRIu64 ",\"duration_ns\":%" PRIu64, runs, elapsed);
    if (*steady) farm_put_format(",\"steady\":\"%s\"", steady);
    farm_put("}", 1);
    farm_send();
}

/* The samples of a timed loop, and how far it is. */
struct farm_loop {
    uint64_t *samples;
    uint64_t count, told, min_runs, wall;
    const char *ended_by;
};

/* Whether the timed loop may end after so long: both minima are met, or a maximum is. */
static int farm_met(const struct farm_job *job, const struct farm_loop *loop, uint64_t elapsed) {
    return (loop->count >= loop->min_runs && elapsed >= job->min_ns) || loop->count >= job->max_runs || elapsed >= job->max_ns;
}

/* Whether it does: notes what ended it. Where the supervisor says that it is not long enough, the fewest inferences are
 * those after which it is asked again. */
static int farm_ended(const struct farm_job *job, struct farm_loop *loop, uint64_t elapsed) {
    char unused[16];
    loop->wall = elapsed;
    loop->ended_by = NULL;
    if (loop->count >= loop->min_runs && elapsed >= job->min_ns) {
        if (!job->asks) {
            loop->ended_by = "minima";
            return 1;
        }
        farm_tell(loop->samples + loop->told, loop->count - loop->told);
        loop->told = loop->count;
        uint64_t next = farm_ask(unused);
        if (!next) loop->ended_by = "interval";
        loop->min_runs = next > loop->count ? next : loop->count + 1;
    }
    if (!loop->ended_by && loop->count >= job->max_runs) loop->ended_by = "max_runs";
    if (!loop->ended_by && elapsed >= job->max_ns) loop->ended_by = "max_seconds";
    return loop->ended_by != NULL;
}

/* MLPerf's single stream: a sample is one query, the clock is read right before and right after it. */
static void farm_single_stream(const struct farm_engine *engine, struct farm_job *job, struct farm_loop *loop) {
    uint64_t begun = farm_now_ns();
    for (;;) {
        uint64_t before = farm_now_ns();
        engine->infer(job);
        uint64_t after = farm_now_ns();
        loop->samples[loop->count++] = after - before;
        if (farm_met(job, loop, after - begun)) {
            if (farm_ended(job, loop, after - begun)) return;
            engine->infer(job); /* as after any other: this one is in no sample */
            begun += farm_now_ns() - after;
        }
    }
}

/* MLPerf's offline, and sustained: batch after batch, a sample is the time from the end of the one before. */
static void farm_back_to_back(const struct farm_engine *engine, struct farm_job *job, struct farm_loop *loop) {
    uint64_t begun = farm_now_ns(), last = begun;
    for (;;) {
        engine->infer(job);
        uint64_t now = farm_now_ns();
        loop->samples[loop->count++] = now - last;
        last = now;
        if (farm_met(job, loop, now - begun)) {
            if (farm_ended(job, loop, now - begun)) return;
            engine->infer(job);
            last = farm_now_ns();
            begun += last - now;
        }
    }
}

static void farm_measure(const struct farm_engine *engine, struct farm_job *job) {
    int is_stream = !strcmp(job->scenario, "single_stream");
    farm_send_phase("measure");
    size_t bytes = (size_t)job->max_runs * sizeof(uint64_t);
    uint64_t *samples = (uint64_t *)malloc(bytes);
    struct farm_loop loop = {samples, 0, 0, job->min_runs, 0, NULL};
    if (!samples) farm_fail(FARM_MEMORY, "memory allocation of %" PRIu64 " samples failed", job->max_runs);
    memset(samples, 0xff, bytes); /* no page of it is first touched inside the loop */
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    (is_stream ? farm_single_stream : farm_back_to_back)(engine, job, &loop);
    getrusage(RUSAGE_SELF, &after);
    uint64_t peak = farm_peak_rss_bytes(), count = loop.count;
    for (uint64_t first = 0; first < count; first += FARM_SAMPLES_PER_MESSAGE) {
        uint64_t end = first + FARM_SAMPLES_PER_MESSAGE < count ? first + FARM_SAMPLES_PER_MESSAGE : count;
        farm_put_format("{\"kind\":\"samples\",\"latencies_ns\":[");
        for (uint64_t index = first; index < end; index++)
            farm_put_format("%s%" PRIu64, index > first ? "," : "", samples[index]);
        farm_put("]}", 2);
        farm_send();
    }
    farm_put_format("{\"kind\":\"measured\",\"samples\":%" PRIu64 ",\"wall_ns\":%" PRIu64, count, loop.wall);
    farm_put_format(",\"cpu_user_ns\":%" PRIu64, farm_timeval_ns(after.ru_utime) - farm_timeval_ns(before.ru_utime));
    farm_put_format(",\"cpu_system_ns\":%" PRIu64, farm_timeval_ns(after.ru_stime) - farm_timeval_ns(before.ru_stime));
    farm_put_format(",\"peak_rss_bytes\":%" PRIu64 ",\"cpus\":[", peak);
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus)) farm_fail(FARM_DEVICE, "failed to read the processors of the run");
    for (int cpu = 0, more = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cpus)) farm_put_format("%s%d", more++ ? "," : "", cpu);
    farm_put_format("],\"threads\":%d,\"ended_by\":\"%s\"}", job->threads_used, loop.ended_by);
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

/* What is kept of the first inference's answer, in the order of the outputs. */
struct farm_answer {
    struct farm_tensors outputs;
    float **values; /* NULL for an output that is left out */
};

static void farm_describe(const struct farm_engine *engine, struct farm_job *job) {
    farm_clear(&job->outputs);
    engine->outputs(job);
}

/* Copies the outputs that are kept, each whole or not at all. */
static void farm_keep_answer(const struct farm_engine *engine, struct farm_job *job, struct farm_answer *answer) {
    size_t left = FARM_MAX_OUTPUT_VALUES;
    answer->values = (float **)farm_allocate((size_t)job->outputs.count * sizeof *answer->values, "the outputs");
    for (int index = 0; index < job->outputs.count; index++) {
        const struct farm_tensor *output = &job->outputs.list[index];
        farm_add(&answer->outputs, output->name, output->element, output->rank, output->shape);
        answer->values[index] = NULL;
        if (index >= FARM_MAX_TENSORS || !farm_is_told(output) || output->values > left) continue;
        left -= output->values;
        float *values = (float *)farm_allocate(output->values * sizeof(float), "an output");
        if (engine->answer(job, index, values)) answer->values[index] = values;
        else free(values);
    }
}

static void farm_send_output(const struct farm_tensor *tensor, const float *values) {
    /* An output without values is one, too. */
    size_t first = 0;
    do {
        size_t left = tensor->values - first;
        farm_put_format("{\"kind\":\"output\",\"name\":");
        farm_put_string(tensor->name);
        farm_put_shape(tensor);
        farm_put_format(",\"first\":%zu,\"values_base64\":\"", first);
        farm_put_base64(values + first, left < FARM_VALUES_PER_MESSAGE ? left : FARM_VALUES_PER_MESSAGE);
        farm_put("\"}", 2);
        farm_send();
        first += FARM_VALUES_PER_MESSAGE;
    } while (first < tensor->values);
}

static void farm_send_answer(const struct farm_answer *answer) {
    int left_out = 0;
    const struct farm_tensor *one = NULL;
    for (int index = 0; index < answer->outputs.count; index++) {
        if (answer->values[index]) farm_send_output(&answer->outputs.list[index], answer->values[index]);
        else if (!left_out++) one = &answer->outputs.list[index];
    }
    if (!one) return;
    char text[2048], shape[512];
    snprintf(text, sizeof text, "outputs are left out (of a run, %d values are kept): %.1024s (%s %s) and %d more",
             FARM_MAX_OUTPUT_VALUES, one->name, one->element, farm_shape_text(shape, sizeof shape, one->rank, one->shape), left_out - 1);
    farm_put_format("{\"kind\":\"remark\",\"remark\":\"outputs_left_out\",\"message\":");
    farm_put_string(text);
    farm_put("}", 1);
    farm_send();
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

/* The output that ranks the classes. */
static int farm_ranked_output(const struct farm_job *job) {
    const char *scores = farm_find(job, "", "scores");
    for (int index = 0; index < job->outputs.count; index++)
        if (!scores || !strcmp(job->outputs.list[index].name, scores)) return index;
    farm_fail(FARM_INFERENCE, "failed to infer: the network answers no output %s", scores ? scores : "at all");
}

/* Classifies the images that the supervisor sends, by an output that has one value a class. */
static void farm_evaluate(const struct farm_engine *engine, struct farm_job *job) {
    size_t batch = (size_t)job->batch, classes = (size_t)farm_number(job, "classes");
    float *scores = (float *)farm_allocate(batch * classes * sizeof *scores, "the classes");
    farm_send_phase("evaluate");
    for (uint64_t first = 0; first < job->evaluate_images; first += batch) {
        farm_set_inputs(engine, job);
        engine->infer(job);
        farm_describe(engine, job);
        int ranked = farm_ranked_output(job);
        if (job->outputs.list[ranked].values != batch * classes)
            farm_fail(FARM_INFERENCE, "failed to infer: %zu values are not %zu classes of %zu images",
                      job->outputs.list[ranked].values, classes, batch);
        if (!engine->answer(job, ranked, scores))
            farm_fail(FARM_INFERENCE, "failed to infer: %s is not made of numbers", job->outputs.list[ranked].name);
        farm_put_format("{\"kind\":\"classified\",\"first\":%" PRIu64 ",\"best\":[", first);
        for (size_t image = 0; image < batch && first + image < job->evaluate_images; image++) {
            size_t best[FARM_TOP_CLASSES];
            int known = farm_best(scores + image * classes, classes, best);
            farm_put_format("%s[", image ? "," : "");
            for (int place = 0; place < known; place++) farm_put_format("%s%zu", place ? "," : "", best[place]);
            farm_put("]", 1);
        }
        farm_put("]}", 2);
        farm_send();
    }
}

/* Does what standard input asks, and tells it on standard output. Gives the process's exit code. */
#ifdef __cplusplus
static std::terminate_handler farm_terminate;

/* An exception that nobody catches, on a thread of the library for example: want of memory is told by the exit code. */
static void farm_terminated() {
    try {
        std::exception_ptr exception = std::current_exception();
        if (exception) std::rethrow_exception(exception);
    } catch (const std::bad_alloc &) {
        fputs("memory was refused\n", stderr);
        _exit(FARM_EXIT_NO_MEMORY);
    } catch (...) {
    }
    if (farm_terminate) farm_terminate();
    abort();
}
#endif

static int farm_engine_main(const struct farm_engine *engine) {
    static struct farm_job job;
    static struct farm_answer answer;
#ifdef __cplusplus
    farm_terminate = std::set_terminate(farm_terminated);
#endif
    farm_set_up();
    farm_read_order(&job);
    if (strcmp(job.scenario, "single_stream") && strcmp(job.scenario, "offline") && strcmp(job.scenario, "sustained"))
        farm_fail(FARM_UNSUPPORTED, "this engine does not know the scenario %s", job.scenario);
    farm_pin(&job);
    farm_load(engine, &job);
    farm_send_phase("first_inference");
    uint64_t begun = farm_now_ns();
    engine->infer(&job);
    uint64_t first_ns = farm_now_ns() - begun;
    farm_describe(engine, &job);
    farm_put_format("{\"kind\":\"first_inference\",\"latency_ns\":%" PRIu64, first_ns);
    farm_put_tensors("outputs", &job.outputs);
    farm_put("}", 1);
    farm_send();
    farm_keep_answer(engine, &job, &answer);
    farm_warm_up(engine, &job);
    farm_measure(engine, &job);
    farm_send_answer(&answer);
    if (job.evaluate_images) farm_evaluate(engine, &job);
    fflush(NULL);
    _exit(0); /* not return: what a library does at its end is not measured, and must not turn a good run bad */
}

#endif
