/*
 * LiteRT (TensorFlow Lite) as an engine program: runs .tflite files on the CPU, with XNNPACK unless told otherwise.
 * Inputs come in the file's own types; quantised outputs are converted outside the timed window, by the scale and zero
 * point in the file.
 *
 * Options: kernels (xnnpack, builtin, reference), delegate (gpu, npu).
 */
#include "farm_engine.h"

#include "litert_api.h"

#define LIBRARY "libLiteRt.so"

struct tensor {
    const char *name;
    const char *element; /* f32, i8, … */
    LiteRtQuantizationPerTensor quantization; /* scale is 0 where there is none */
    LiteRtRankedTensorType type;
    LiteRtTensorBuffer buffer;
    size_t bytes; /* that the buffer has room for */
};

static LiteRtEnvironment environment;
static LiteRtSignature signature;
static LiteRtCompiledModel compiled;
static LiteRtParamIndex input_count, output_count;
static struct tensor *inputs, *outputs;
static LiteRtTensorBuffer *input_buffers, *output_buffers;
static LiteRtLayout *layouts; /* of the outputs */
static uint64_t inferences;
static LiteRtParamIndex *input_at; /* the file's input of each input in the order in which values come */

#define LITERT_UNSUPPORTED 5

/* What LiteRT's more frequent answers mean, as its litert_common.h has them. */
static const char *status_words(LiteRtStatus status) {
    switch (status) {
    case 1: return "an invalid argument";
    case 2: return "not enough memory";
    case 3: return "a failure while it ran";
    case LITERT_UNSUPPORTED: return "not supported by LiteRT's compiled models, as variable tensors of recurrent layers";
    case 6: return "not found";
    default: return "see its own words";
    }
}

static void must(LiteRtStatus status, const char *kind, const char *what) {
    if (!status) return;
    if (status == LITERT_UNSUPPORTED) kind = FARM_UNSUPPORTED;
    farm_fail(kind, "failed to %s: LiteRT answers with status %d (%s)", what, status, status_words(status));
}

static const char *element_word(int element) {
    static const struct {
        int element;
        const char *word;
    } known[] = {{LITERT_FLOAT32, "f32"}, {LITERT_INT32, "i32"},   {LITERT_UINT8, "u8"},    {LITERT_INT64, "i64"},
                 {LITERT_STRING, "string"}, {LITERT_BOOL, "bool"}, {LITERT_INT16, "i16"},   {LITERT_INT8, "i8"},
                 {LITERT_FLOAT16, "f16"}, {LITERT_FLOAT64, "f64"}, {LITERT_UINT64, "u64"},  {LITERT_UINT32, "u32"},
                 {LITERT_UINT16, "u16"},  {LITERT_BFLOAT16, "bf16"}};
    for (size_t index = 0; index < sizeof known / sizeof *known; index++)
        if (known[index].element == element) return known[index].word;
    return "an unknown type";
}

/* Reads what a tensor is made of. */
static void inspect(LiteRtTensor handle, struct tensor *tensor) {
    int quantized = 0;
    if (LiteRt.GetRankedTensorType(handle, &tensor->type))
        farm_fail(FARM_UNSUPPORTED, "%s has no type and rank that LiteRT tells", tensor->name);
    tensor->element = element_word(tensor->type.element_type);
    must(LiteRt.GetQuantizationTypeId(handle, &quantized), FARM_MODEL_LOAD, "read the quantisation of a tensor");
    if (!quantized) return;
    if (quantized != LITERT_PER_TENSOR || LiteRt.GetPerTensorQuantization(handle, &tensor->quantization))
        farm_fail(FARM_UNSUPPORTED, "%s is not quantised by one scale and zero point", tensor->name);
}

/* The one accelerator that the whole model is to run on, or 0 for the processor. */
static int accelerator(const struct farm_job *job) {
    const char *delegate = farm_option(job, "delegate", "");
    if (!*delegate) return 0;
    if (!strcmp(delegate, "gpu")) return LITERT_GPU;
    if (!strcmp(delegate, "npu")) return LITERT_NPU;
    if (!strcmp(delegate, "nnapi"))
        farm_fail(FARM_UNSUPPORTED, "LiteRT 2 has no NNAPI any more: its delegates are gpu and npu");
    farm_fail(FARM_UNSUPPORTED, "LiteRT has no delegate %s, only gpu and npu", delegate);
    return 0;
}

/* What the delegate leaves to the processor would be measured as its own. */
static void must_be_accelerated(const struct farm_job *job) {
    bool whole = false;
    must(LiteRt.CompiledModelIsNonCpuFullyAccelerated(compiled, &whole), FARM_UNSUPPORTED, "learn what runs on the delegate");
    if (!whole)
        farm_fail(FARM_UNSUPPORTED, "the delegate %s does not run the whole model here", farm_option(job, "delegate", ""));
}

static LiteRtOptions options(const struct farm_job *job) {
    const char *kernels = farm_option(job, "kernels", "xnnpack");
    const char *mode = !strcmp(kernels, "xnnpack")     ? "delegate"
                       : !strcmp(kernels, "builtin")   ? "builtin"
                       : !strcmp(kernels, "reference") ? "reference"
                                                       : NULL;
    if (!mode) farm_fail(FARM_UNSUPPORTED, "LiteRT has no kernels %s", kernels);
    LiteRtOptions options;
    LiteRtOpaqueOptions cpu;
    int delegate = accelerator(job);
    if (delegate) {
        must(LiteRt.CreateOptions(&options), FARM_INTERNAL, "make the options");
        must(LiteRt.SetOptionsHardwareAccelerators(options, delegate), FARM_UNSUPPORTED, "choose the delegate");
        return options;
    }
    char *text = (char *)malloc(128);
    if (!text) farm_fail(FARM_MEMORY, "memory allocation of the options failed");
    snprintf(text, 128, "kernel_mode = \"%s\"\nnum_threads = %d\n", mode, job->threads);
    must(LiteRt.CreateOptions(&options), FARM_INTERNAL, "make the options");
    must(LiteRt.SetOptionsHardwareAccelerators(options, LITERT_CPU), FARM_INTERNAL, "choose the processor");
    must(LiteRt.CreateOpaqueOptions("xnnpack", text, free, &cpu), FARM_INTERNAL, "make the processor's options");
    must(LiteRt.AddOpaqueOptions(options, cpu), FARM_INTERNAL, "set the processor's options");
    return options;
}

/* Whether an input has this shape already: a file that leaves dimensions open has sizes for them, too. */
static int has_shape(LiteRtParamIndex index, const LiteRtLayout *wanted) {
    LiteRtLayout now;
    if (LiteRt.GetCompiledModelInputTensorLayout(compiled, 0, index, &now) || now.rank != wanted->rank) return 0;
    return !memcmp(now.dimensions, wanted->dimensions, wanted->rank * sizeof *wanted->dimensions);
}

/* Whether the file leaves a dimension open that has a size for now: LiteRT does not tell, and lets only such be changed. */
static int is_left_open(const struct farm_job *job, LiteRtParamIndex index, const struct tensor *tensor) {
    const struct farm_tensor *wanted = farm_meant(job, (int)index, tensor->name);
    int dimensions[LITERT_MAX_RANK];
    if (!wanted || wanted->rank != (int)tensor->type.layout.rank) return 0;
    for (int dimension = 0; dimension < wanted->rank; dimension++) {
        if (wanted->shape[dimension] > INT32_MAX) return 0;
        dimensions[dimension] = (int)wanted->shape[dimension];
    }
    return !LiteRt.CompiledModelResizeInputTensor(compiled, 0, index, dimensions, (size_t)wanted->rank);
}

/* Settles an input's shape, and sets it where the file leaves something open. Gives its place among the job's inputs. */
static int settle(struct farm_job *job, LiteRtParamIndex index, struct tensor *tensor) {
    LiteRtLayout *layout = &tensor->type.layout;
    int64_t shape[LITERT_MAX_RANK];
    int rank = (int)layout->rank, is_open = 0;
    int is_resized = is_left_open(job, index, tensor);
    for (int dimension = 0; dimension < rank; dimension++) {
        shape[dimension] = is_resized ? -1 : layout->dimensions[dimension];
        is_open |= shape[dimension] < 0;
    }
    int place = farm_input(job, (int)index, tensor->name, tensor->element, rank, shape);
    if (tensor->quantization.scale > 0)
        farm_quantized_input(job, place, tensor->quantization.scale, tensor->quantization.zero_point);
    for (int dimension = 0; dimension < rank; dimension++) {
        if (shape[dimension] > INT32_MAX) farm_fail(FARM_UNSUPPORTED, "dimension %d of %s is too large", dimension, tensor->name);
        layout->dimensions[dimension] = (int32_t)shape[dimension];
    }
    if (is_open && !is_resized && !has_shape(index, layout) &&
        LiteRt.CompiledModelResizeInputTensorNonStrict(compiled, 0, index, layout->dimensions, layout->rank))
        farm_fail(FARM_UNSUPPORTED, "LiteRT does not give input %s its shape", tensor->name);
    return place;
}

static void make_room(struct tensor *tensor, LiteRtTensorBufferRequirements needs) {
    must(LiteRt.CreateManagedTensorBufferFromRequirements(environment, &tensor->type, needs, &tensor->buffer), FARM_MODEL_LOAD,
         "make room for a tensor");
    must(LiteRt.GetTensorBufferPackedSize(tensor->buffer, &tensor->bytes), FARM_MODEL_LOAD, "learn the size of a tensor");
}

static void load_inputs(struct farm_job *job) {
    LiteRtTensor handle;
    for (LiteRtParamIndex index = 0; index < input_count; index++) {
        must(LiteRt.GetSignatureInputName(signature, index, &inputs[index].name), FARM_MODEL_LOAD, "read an input's name");
        must(LiteRt.GetSignatureInputTensorByIndex(signature, index, &handle), FARM_MODEL_LOAD, "find an input");
        inspect(handle, &inputs[index]);
        input_at[settle(job, index, &inputs[index])] = index;
    }
    for (LiteRtParamIndex index = 0; index < input_count; index++) {
        LiteRtTensorBufferRequirements needs;
        must(LiteRt.GetCompiledModelInputBufferRequirements(compiled, 0, index, &needs), FARM_MODEL_LOAD,
             "learn an input's size");
        make_room(&inputs[index], needs);
        input_buffers[index] = inputs[index].buffer;
    }
}

static void load_outputs(void) {
    LiteRtTensor handle;
    layouts = (LiteRtLayout *)farm_allocate(output_count * sizeof *layouts, "the outputs");
    /* Shapes behind inputs that were set are known only now. */
    must(LiteRt.GetCompiledModelOutputTensorLayouts(compiled, 0, output_count, layouts, true), FARM_UNSUPPORTED,
         "learn the outputs' shapes, which may depend on the input's values");
    for (LiteRtParamIndex index = 0; index < output_count; index++) {
        LiteRtTensorBufferRequirements needs;
        must(LiteRt.GetSignatureOutputName(signature, index, &outputs[index].name), FARM_MODEL_LOAD, "read an output's name");
        must(LiteRt.GetSignatureOutputTensorByIndex(signature, index, &handle), FARM_MODEL_LOAD, "find an output");
        inspect(handle, &outputs[index]);
        outputs[index].type.layout = layouts[index];
        must(LiteRt.GetCompiledModelOutputBufferRequirements(compiled, 0, index, &needs), FARM_MODEL_LOAD,
             "learn an output's size");
        make_room(&outputs[index], needs);
        output_buffers[index] = outputs[index].buffer;
    }
}

static void load(struct farm_job *job) {
    static const char *const known[] = {"kernels", "delegate", NULL};
    farm_known_options(job, known);
    if (strcmp(job->format, "tflite")) farm_fail(FARM_UNSUPPORTED, "LiteRT loads tflite, not %s", job->format);
    const char *error = litert_open(LIBRARY);
    if (error) farm_fail(FARM_MODEL_LOAD, "failed to load " LIBRARY ": %s", error);
    LiteRtModel model;
    must(LiteRt.CreateEnvironment(0, NULL, &environment), FARM_INTERNAL, "start LiteRT");
    must(LiteRt.CreateModelFromFile(environment, job->model, &model), FARM_MODEL_LOAD, "read the model");
    must(LiteRt.GetModelSignature(model, 0, &signature), FARM_MODEL_LOAD, "find the model's first signature");
    must(LiteRt.GetNumSignatureInputs(signature, &input_count), FARM_MODEL_LOAD, "count the inputs");
    must(LiteRt.GetNumSignatureOutputs(signature, &output_count), FARM_MODEL_LOAD, "count the outputs");
    inputs = (struct tensor *)calloc(input_count + 1, sizeof *inputs);
    outputs = (struct tensor *)calloc(output_count + 1, sizeof *outputs);
    if (!inputs || !outputs) farm_fail(FARM_MEMORY, "memory allocation of the tensors failed");
    input_at = (LiteRtParamIndex *)farm_allocate(input_count * sizeof *input_at, "the inputs");
    input_buffers = (LiteRtTensorBuffer *)farm_allocate(input_count * sizeof *input_buffers, "the inputs");
    output_buffers = (LiteRtTensorBuffer *)farm_allocate(output_count * sizeof *output_buffers, "the outputs");
    const char *delegate = farm_option(job, "delegate", "");
    LiteRtStatus status = LiteRt.CreateCompiledModel(environment, model, options(job), &compiled);
    if (status && *delegate)
        farm_fail(FARM_UNSUPPORTED, "the delegate %s is not there, or can't run the model: LiteRT answers with status %d",
                  delegate, status);
    must(status, FARM_MODEL_LOAD, "compile the model");
    if (*delegate) must_be_accelerated(job);
    load_inputs(job);
    load_outputs();
    if (*delegate) farm_engine_name(job, "LiteRT (delegate %s)", delegate);
    else farm_engine_name(job, "LiteRT (kernels %s)", farm_option(job, "kernels", "xnnpack"));
}

static void set_input(struct farm_job *job, int index, const void *values) {
    struct tensor *tensor = &inputs[input_at[index]];
    size_t bytes = job->inputs.list[index].bytes;
    void *target;
    if (bytes > tensor->bytes) farm_fail(FARM_INFERENCE, "LiteRT has %zu bytes for %s, it takes %zu", tensor->bytes, tensor->name, bytes);
    must(LiteRt.LockTensorBuffer(tensor->buffer, &target, LITERT_WRITE), FARM_INFERENCE, "write an input");
    memcpy(target, values, bytes);
    must(LiteRt.UnlockTensorBuffer(tensor->buffer), FARM_INFERENCE, "write an input");
}

/* An output may be found to be dynamic by the first inference: it then has memory of its own, which LiteRT shows nobody,
 * and refuses the next inference. */
static void refuse_dynamic_outputs(void) {
    farm_fail(FARM_UNSUPPORTED, "the sizes of the outputs are only settled by each inference, and such models LiteRT runs once");
}

static void infer(struct farm_job *job) {
    (void)job;
    LiteRtStatus status = LiteRt.RunCompiledModel(compiled, 0, input_count, input_buffers, output_count, output_buffers);
    if (!status) inferences++;
    else if (inferences == 1) refuse_dynamic_outputs();
    else must(status, FARM_INFERENCE, "infer");
}

static void describe_outputs(struct farm_job *job) {
    must(LiteRt.GetCompiledModelOutputTensorLayouts(compiled, 0, output_count, layouts, false), FARM_INFERENCE,
         "learn the outputs' shapes");
    for (LiteRtParamIndex index = 0; index < output_count; index++) {
        const LiteRtLayout *now = &layouts[index], *bound = &outputs[index].type.layout;
        if (now->rank != bound->rank || memcmp(now->dimensions, bound->dimensions, now->rank * sizeof *now->dimensions))
            refuse_dynamic_outputs();
    }
    for (LiteRtParamIndex index = 0; index < output_count; index++) {
        const LiteRtLayout *layout = &outputs[index].type.layout;
        int64_t shape[LITERT_MAX_RANK];
        for (unsigned int place = 0; place < layout->rank; place++) shape[place] = layout->dimensions[place];
        farm_output(job, outputs[index].name, outputs[index].element, (int)layout->rank, shape);
    }
}

static int answer(struct farm_job *job, int index, float *values) {
    const struct tensor *tensor = &outputs[index];
    size_t count = job->outputs.list[index].values;
    if (job->outputs.list[index].bytes > tensor->bytes) return 0;
    void *source;
    must(LiteRt.LockTensorBuffer(tensor->buffer, &source, LITERT_READ), FARM_INFERENCE, "read an output");
    int are_numbers = farm_to_floats(tensor->element, source, count, values);
    must(LiteRt.UnlockTensorBuffer(tensor->buffer), FARM_INFERENCE, "read an output");
    float zero = (float)tensor->quantization.zero_point, scale = tensor->quantization.scale;
    for (size_t at = 0; are_numbers && scale > 0 && at < count; at++) values[at] = (values[at] - zero) * scale;
    return are_numbers;
}

int main(void) {
    static const struct farm_engine engine = {load, set_input, infer, describe_outputs, answer};
    return farm_engine_main(&engine);
}
