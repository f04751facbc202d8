// PyTorch Mobile as an engine program: runs files of the lite interpreter (.ptl) on the CPU.
//
// A file says nothing of shapes: the order tells the input's, the first inference the outputs'.
#include "farm_engine.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/mobile/import.h>

#include <malloc.h>

#include <climits>
#include <exception>
#include <string>
#include <vector>

#ifndef ENGINE_TORCH_VERSION
#define ENGINE_TORCH_VERSION "of unknown version"
#endif

namespace {

torch::jit::mobile::Module *module;
std::vector<c10::IValue> feed;
std::vector<at::Tensor> outputs;
bool described = false;

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

void load(farm_job *job) {
    keep_memory();
    static const char *const known[] = {nullptr};
    farm_known_options(job, known);
    if (std::string(job->format) != "torchscript_lite")
        farm_fail(FARM_UNSUPPORTED, "PyTorch Mobile loads torchscript_lite, not %s", job->format);
    int64_t shape[FARM_MAX_RANK];
    int rank = farm_input_shape(job, shape);
    // Sets both pools: ATen's own, and the one of XNNPACK and QNNPACK.
    at::set_num_threads(job->threads);
    try {
        module = new torch::jit::mobile::Module(torch::jit::_load_for_mobile(job->model, c10::Device(c10::kCPU)));
    } catch (const std::exception &error) {
        farm_fail(FARM_MODEL_LOAD, "failed to load the model: %s", reason(error).c_str());
    }
    farm_input(job, "input", "f32", rank, shape);
    farm_engine_name(job, "PyTorch Mobile " ENGINE_TORCH_VERSION " (lite interpreter, XNNPACK %s)",
                     at::globalContext().isXNNPACKAvailable() ? "available" : "not available");
}

void set_input(farm_job *job, int index, const float *values) {
    const farm_tensor &input = job->inputs[index];
    at::Tensor tensor = at::from_blob(const_cast<float *>(values), at::IntArrayRef(input.shape, input.rank), at::kFloat);
    feed.resize(static_cast<size_t>(job->input_count));
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
    described = true;
    for (size_t index = 0; index < outputs.size(); index++) {
        const at::Tensor &output = outputs[index];
        std::string name = outputs.size() == 1 ? "output" : "output_" + std::to_string(index);
        farm_output(job, name.c_str(), output.scalar_type() == at::kFloat ? "f32" : c10::toString(output.scalar_type()),
                    static_cast<int>(output.dim()), output.sizes().data());
    }
}

void infer(farm_job *job) {
    try {
        c10::InferenceMode guard;
        c10::IValue answer = module->forward(feed);
        outputs.clear();
        collect(answer);
    } catch (const std::exception &error) {
        farm_fail(FARM_INFERENCE, "failed to infer: %s", reason(error).c_str());
    }
    if (!described) describe(job);
}

void answer(farm_job *job, int index, float *values) {
    at::Tensor output = outputs[static_cast<size_t>(index)].to(at::kFloat).contiguous();
    memcpy(values, output.data_ptr<float>(), job->outputs[index].values * sizeof(float));
}

}  // namespace

int main() {
    static const farm_engine engine = {load, set_input, infer, answer};
    return farm_engine_main(&engine);
}
