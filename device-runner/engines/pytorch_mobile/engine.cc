// PyTorch Mobile as an engine program: runs files of the lite interpreter (.ptl) on the CPU.
//
// A file says nothing of inputs: the order tells their names, types and shapes, an inference the outputs'.
#include "farm_engine.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/mobile/import.h>

#include <malloc.h>

#include <climits>
#include <exception>
#include <new>
#include <string>
#include <vector>

#ifndef ENGINE_TORCH_VERSION
#define ENGINE_TORCH_VERSION "of unknown version"
#endif

namespace {

torch::jit::mobile::Module *module;
std::vector<c10::IValue> feed;
std::vector<at::Tensor> outputs;

// The first line of what went wrong: a backtrace follows it.
std::string reason(const std::exception &error) {
    std::string text = error.what();
    return text.substr(0, text.find('\n'));
}

// Each inference frees its tensors. The C library would give that memory back to the kernel, and the next inference
// pay for every page of it anew; whether it does depends on what else lies at the heap's end, so by luck.
void keep_memory() {
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

const struct {
    const char *word;
    at::ScalarType type;
} types[] = {{"bool", at::kBool}, {"i8", at::kChar},  {"u8", at::kByte},     {"i16", at::kShort}, {"i32", at::kInt},
             {"i64", at::kLong},  {"f16", at::kHalf}, {"bf16", at::kBFloat16}, {"f32", at::kFloat}, {"f64", at::kDouble}};

at::ScalarType type_of(const farm_tensor &input) {
    for (const auto &known : types)
        if (!strcmp(known.word, input.element)) return known.type;
    farm_fail(FARM_UNSUPPORTED, "PyTorch 1 has no tensors of %s, of which input %s is made", input.element, input.name);
}

const char *word_of(at::ScalarType type) {
    for (const auto &known : types)
        if (known.type == type) return known.word;
    return c10::toString(type);
}

void load(farm_job *job) {
    keep_memory();
    static const char *const known[] = {nullptr};
    farm_known_options(job, known);
    if (std::string(job->format) != "torchscript_lite")
        farm_fail(FARM_UNSUPPORTED, "PyTorch Mobile loads torchscript_lite, not %s", job->format);
    if (!job->wanted.count)
        farm_fail(FARM_UNSUPPORTED, "the model's file does not tell the shapes of its inputs, nor does its entry");
    // Sets both pools: ATen's own, and the one of XNNPACK and QNNPACK.
    at::set_num_threads(job->threads);
    try {
        module = new torch::jit::mobile::Module(torch::jit::_load_for_mobile(job->model, c10::Device(c10::kCPU)));
    } catch (const std::bad_alloc &) {
        farm_fail(FARM_MEMORY, "memory for the model was refused");
    } catch (const std::exception &error) {
        farm_fail(FARM_MODEL_LOAD, "failed to load the model: %s", reason(error).c_str());
    }
    for (int index = 0; index < job->wanted.count; index++) {
        const farm_tensor &input = job->wanted.list[index];
        type_of(input);
        std::vector<int64_t> shape(input.shape, input.shape + input.rank);
        farm_input(job, index, input.name, input.element, input.rank, shape.data());
    }
    farm_engine_name(job, "PyTorch Mobile " ENGINE_TORCH_VERSION " (lite interpreter, XNNPACK %s)",
                     at::globalContext().isXNNPACKAvailable() ? "available" : "not available");
}

void set_input(farm_job *job, int index, const void *values) {
    const farm_tensor &input = job->inputs.list[index];
    at::Tensor tensor = at::from_blob(const_cast<void *>(values), at::IntArrayRef(input.shape, input.rank), type_of(input));
    feed.resize(static_cast<size_t>(job->inputs.count));
    feed[static_cast<size_t>(index)] = tensor.clone();  // aligned as the engine's own allocator does it
}

// Takes apart what a model answers: a tensor, or tensors in tuples and lists.
void collect(const c10::IValue &value) {
    if (value.isTensor()) {
        outputs.push_back(value.toTensor());
    } else if (value.isTuple()) {
        for (const auto &element : value.toTuple()->elements()) collect(element);
    } else if (value.isTensorList()) {
        for (const at::Tensor &element : value.toTensorVector()) outputs.push_back(element);
    } else {
        farm_fail(FARM_UNSUPPORTED, "the model answers with %s, not with tensors", value.tagKind().c_str());
    }
}

void describe(farm_job *job) {
    for (size_t index = 0; index < outputs.size(); index++) {
        const at::Tensor &output = outputs[index];
        std::string name = outputs.size() == 1 ? "output" : "output_" + std::to_string(index);
        farm_output(job, name.c_str(), word_of(output.scalar_type()), static_cast<int>(output.dim()), output.sizes().data());
    }
}

void infer(farm_job *job) {
    try {
        c10::InferenceMode guard;
        c10::IValue answer = module->forward(feed);
        outputs.clear();
        collect(answer);
    } catch (const std::bad_alloc &) {
        farm_fail(FARM_MEMORY, "memory for an inference was refused");
    } catch (const std::exception &error) {
        farm_fail(FARM_INFERENCE, "failed to infer: %s", reason(error).c_str());
    }
}

int answer(farm_job *job, int index, float *values) {
    try {
        at::Tensor output = outputs[static_cast<size_t>(index)];
        if (output.is_quantized()) output = output.dequantize();
        output = output.to(at::kFloat).contiguous();
        memcpy(values, output.data_ptr<float>(), job->outputs.list[index].values * sizeof(float));
    } catch (const std::exception &) {
        return 0;
    }
    return 1;
}

}  // namespace

int main() {
    static const farm_engine engine = {load, set_input, infer, describe, answer};
    return farm_engine_main(&engine);
}
