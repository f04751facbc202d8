/*
 * LiteRT (TensorFlow Lite) as an engine program: runs .tflite files on the CPU, with XNNPACK unless told otherwise.
 * Quantised inputs and outputs are converted outside the timed window, by the scale and zero point in the file.
 *
 * Options: kernels (xnnpack, builtin, reference), delegate (gpu, npu).
 */
#include "farm_engine.h"

#include <math.h>

#include "litert_api.h"

#define LIBRARY "libLiteRt.so"

struct tensor {
    int element; /* LITERT_FLOAT32, … */
    LiteRtQuantizationPerTensor quantization;
    LiteRtRankedTensorType type;
};

static LiteRtCompiledModel compiled;
static struct tensor inputs[FARM_MAX_TENSORS], outputs[FARM_MAX_TENSORS];
static LiteRtTensorBuffer input_buffers[FARM_MAX_TENSORS], output_buffers[FARM_MAX_TENSORS];

static void must(LiteRtStatus status, const char *kind, const char *what) {
    if (status) farm_fail(kind, "failed to %s: LiteRT answers with status %d", what, status);
}

static const char *element_word(int element) {
    return element == LITERT_FLOAT32 ? "f32" : element == LITERT_INT8 ? "i8" : element == LITERT_UINT8 ? "u8" : NULL;
}

/* Reads what a tensor is made of. */
static void inspect(LiteRtTensor handle, const char *name, struct tensor *tensor) {
    int quantized = 0;
    must(LiteRt.GetRankedTensorType(handle, &tensor->type), FARM_MODEL_LOAD, "read the type of a tensor");
    tensor->element = tensor->type.element_type;
    if (!element_word(tensor->element))
        farm_fail(FARM_UNSUPPORTED, "%s is made of elements of type %d; 32-bit floats and 8-bit integers are known", name,
                  tensor->element);
    tensor->quantization.scale = 1;
    if (tensor->element == LITERT_FLOAT32) return;
    must(LiteRt.GetQuantizationTypeId(handle, &quantized), FARM_MODEL_LOAD, "read the quantisation of a tensor");
    if (quantized != LITERT_PER_TENSOR || LiteRt.GetPerTensorQuantization(handle, &tensor->quantization))
        farm_fail(FARM_UNSUPPORTED, "%s is not quantised by one scale and zero point", name);
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

/* Gives an input the job's batch, where the file has another. */
static void resize(const struct farm_job *job, LiteRtParamIndex index, struct tensor *tensor) {
    LiteRtLayout *layout = &tensor->type.layout;
    if (layout->rank == 0 || layout->dimensions[0] == job->batch) return;
    layout->dimensions[0] = job->batch;
    if (LiteRt.CompiledModelResizeInputTensorNonStrict(compiled, 0, index, layout->dimensions, layout->rank))
        farm_fail(FARM_UNSUPPORTED, "the model can't be given a batch of %d", job->batch);
}

static void describe(struct farm_job *job, const char *name, const struct tensor *tensor,
                     void (*add)(struct farm_job *, const char *, const char *, int, const int64_t *)) {
    int64_t shape[LITERT_MAX_RANK];
    for (unsigned int place = 0; place < tensor->type.layout.rank; place++)
        shape[place] = tensor->type.layout.dimensions[place];
    add(job, name, element_word(tensor->element), (int)tensor->type.layout.rank, shape);
}

static void make_room(LiteRtEnvironment environment, const struct tensor *tensor, LiteRtTensorBufferRequirements needs,
                      LiteRtTensorBuffer *buffer) {
    must(LiteRt.CreateManagedTensorBufferFromRequirements(environment, &tensor->type, needs, buffer), FARM_MODEL_LOAD,
         "make room for a tensor");
}

static void load(struct farm_job *job) {
    static const char *const known[] = {"kernels", "delegate", NULL};
    farm_known_options(job, known);
    if (strcmp(job->format, "tflite")) farm_fail(FARM_UNSUPPORTED, "LiteRT loads tflite, not %s", job->format);
    const char *error = litert_open(LIBRARY);
    if (error) farm_fail(FARM_MODEL_LOAD, "failed to load " LIBRARY ": %s", error);
    LiteRtEnvironment environment;
    LiteRtModel model;
    LiteRtSignature signature;
    LiteRtParamIndex input_count, output_count;
    LiteRtTensor handle;
    LiteRtLayout layouts[FARM_MAX_TENSORS];
    must(LiteRt.CreateEnvironment(0, NULL, &environment), FARM_INTERNAL, "start LiteRT");
    must(LiteRt.CreateModelFromFile(environment, job->model, &model), FARM_MODEL_LOAD, "read the model");
    must(LiteRt.GetModelSignature(model, 0, &signature), FARM_MODEL_LOAD, "find the model's first signature");
    must(LiteRt.GetNumSignatureInputs(signature, &input_count), FARM_MODEL_LOAD, "count the inputs");
    must(LiteRt.GetNumSignatureOutputs(signature, &output_count), FARM_MODEL_LOAD, "count the outputs");
    if (input_count > FARM_MAX_TENSORS || output_count > FARM_MAX_TENSORS)
        farm_fail(FARM_UNSUPPORTED, "more than %d inputs or outputs", FARM_MAX_TENSORS);
    const char *delegate = farm_option(job, "delegate", "");
    LiteRtStatus status = LiteRt.CreateCompiledModel(environment, model, options(job), &compiled);
    if (status && *delegate)
        farm_fail(FARM_UNSUPPORTED, "the delegate %s is not there, or can't run the model: LiteRT answers with status %d",
                  delegate, status);
    must(status, FARM_MODEL_LOAD, "compile the model");
    if (*delegate) must_be_accelerated(job);
    for (LiteRtParamIndex index = 0; index < input_count; index++) {
        LiteRtTensorBufferRequirements needs;
        const char *name;
        must(LiteRt.GetSignatureInputName(signature, index, &name), FARM_MODEL_LOAD, "read an input's name");
        must(LiteRt.GetSignatureInputTensorByIndex(signature, index, &handle), FARM_MODEL_LOAD, "find an input");
        inspect(handle, name, &inputs[index]);
        resize(job, index, &inputs[index]);
        describe(job, name, &inputs[index], farm_input);
        must(LiteRt.GetCompiledModelInputBufferRequirements(compiled, 0, index, &needs), FARM_MODEL_LOAD,
             "learn an input's size");
        make_room(environment, &inputs[index], needs, &input_buffers[index]);
    }
    /* Shapes behind a batch that was changed are known only now. */
    must(LiteRt.GetCompiledModelOutputTensorLayouts(compiled, 0, output_count, layouts, true), FARM_MODEL_LOAD,
         "learn the outputs' shapes");
    for (LiteRtParamIndex index = 0; index < output_count; index++) {
        LiteRtTensorBufferRequirements needs;
        const char *name;
        must(LiteRt.GetSignatureOutputName(signature, index, &name), FARM_MODEL_LOAD, "read an output's name");
        must(LiteRt.GetSignatureOutputTensorByIndex(signature, index, &handle), FARM_MODEL_LOAD, "find an output");
        inspect(handle, name, &outputs[index]);
        outputs[index].type.layout = layouts[index];
        describe(job, name, &outputs[index], farm_output);
        must(LiteRt.GetCompiledModelOutputBufferRequirements(compiled, 0, index, &needs), FARM_MODEL_LOAD,
             "learn an output's size");
        make_room(environment, &outputs[index], needs, &output_buffers[index]);
    }
    if (*delegate) farm_engine_name(job, "LiteRT (delegate %s)", delegate);
    else farm_engine_name(job, "LiteRT (kernels %s)", farm_option(job, "kernels", "xnnpack"));
}

static float clamped(float value, float low, float high) { return value < low ? low : value > high ? high : value; }

static void set_input(struct farm_job *job, int index, const float *values) {
    const struct tensor *tensor = &inputs[index];
    size_t count = job->inputs[index].values;
    void *target;
    must(LiteRt.LockTensorBuffer(input_buffers[index], &target, LITERT_WRITE), FARM_INFERENCE, "write an input");
    for (size_t at = 0; at < count; at++) {
        float steps = rintf(values[at] / tensor->quantization.scale) + (float)tensor->quantization.zero_point;
        if (tensor->element == LITERT_FLOAT32) ((float *)target)[at] = values[at];
        if (tensor->element == LITERT_INT8) ((int8_t *)target)[at] = (int8_t)clamped(steps, -128, 127);
        if (tensor->element == LITERT_UINT8) ((uint8_t *)target)[at] = (uint8_t)clamped(steps, 0, 255);
    }
    must(LiteRt.UnlockTensorBuffer(input_buffers[index]), FARM_INFERENCE, "write an input");
}

static void infer(struct farm_job *job) {
    LiteRtStatus status = LiteRt.RunCompiledModel(compiled, 0, (size_t)job->input_count, input_buffers,
                                                  (size_t)job->output_count, output_buffers);
    if (status) must(status, FARM_INFERENCE, "infer");
}

static void answer(struct farm_job *job, int index, float *values) {
    const struct tensor *tensor = &outputs[index];
    void *source;
    must(LiteRt.LockTensorBuffer(output_buffers[index], &source, LITERT_READ), FARM_INFERENCE, "read an output");
    for (size_t at = 0; at < job->outputs[index].values; at++) {
        float zero = (float)tensor->quantization.zero_point, scale = tensor->quantization.scale;
        values[at] = tensor->element == LITERT_FLOAT32 ? ((const float *)source)[at]
                     : tensor->element == LITERT_INT8  ? ((float)((const int8_t *)source)[at] - zero) * scale
                                                       : ((float)((const uint8_t *)source)[at] - zero) * scale;
    }
    must(LiteRt.UnlockTensorBuffer(output_buffers[index]), FARM_INFERENCE, "read an output");
}

int main(void) {
    static const struct farm_engine engine = {load, set_input, infer, answer};
    return farm_engine_main(&engine);
}
