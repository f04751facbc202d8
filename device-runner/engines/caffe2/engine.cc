// Caffe2 as an engine program: runs a network of two files on the CPU, `predict` (the model) and `init` (its weights).
//
// The files say nothing of shapes: the order tells the input's, the first inference the outputs'. Networks are never
// built or changed here, only read: of protobuf's classes the library exports little more.
//
// Options: engine (default, nnpack).
#include "farm_engine.h"

#include <caffe2/core/init.h>
#include <caffe2/core/net.h>
#include <caffe2/core/operator.h>
#include <caffe2/core/workspace.h>
#include <caffe2/utils/proto_utils.h>
#include <caffe2/utils/threadpool/ThreadPool.h>

#include <exception>
#include <new>
#include <set>
#include <string>
#include <vector>

extern "C" void omp_set_num_threads(int count);  // of the OpenMP library that Caffe2 comes with

#ifndef ENGINE_TORCH_VERSION
#define ENGINE_TORCH_VERSION "of unknown version"
#endif

// protobuf's header promises that the library has these, and it has not.
template int google::protobuf::RepeatedPtrField<std::string>::size() const;
template const std::string &google::protobuf::RepeatedPtrField<std::string>::Get(int) const;

namespace {

caffe2::Workspace *workspace;
caffe2::NetBase *net;
caffe2::NetDef init_net, predict_net;
std::vector<std::string> output_names;
std::string input_blob;

// The first line of what went wrong: a backtrace follows it.
std::string reason(const std::exception &error) {
    std::string text = error.what();
    return text.substr(0, text.find('\n'));
}

void read(const char *path, const char *what, caffe2::NetDef *net) {
    if (!path) farm_fail(FARM_MODEL_LOAD, "failed to load the model: it has no part %s", what);
    bool read = false;
    try {
        read = caffe2::ReadProtoFromBinaryFile(path, net);
    } catch (const std::exception &error) {
        farm_fail(FARM_MODEL_LOAD, "failed to read the model's part %s: %s", what, reason(error).c_str());
    }
    if (!read || net->op_size() == 0) farm_fail(FARM_MODEL_LOAD, "the model's part %s is no network of Caffe2", what);
}

// The input: what the weights' network does not make. Caffe2's own exporter lets it make a placeholder for the input too, which
// is then the first that the network names.
std::string input_name() {
    std::set<std::string> weights;
    for (int op = 0; op < init_net.op_size(); op++)
        for (int index = 0; index < init_net.op(op).output_size(); index++) weights.insert(init_net.op(op).output(index));
    std::vector<std::string> inputs;
    for (int index = 0; index < predict_net.external_input_size(); index++)
        if (!weights.count(predict_net.external_input(index))) inputs.push_back(predict_net.external_input(index));
    if (inputs.empty() && predict_net.external_input_size() > 0) return predict_net.external_input(0);
    if (inputs.size() != 1)
        farm_fail(FARM_UNSUPPORTED, "the network has %zu inputs that are no weights; one is known", inputs.size());
    return inputs[0];
}

void prefer(const std::string &engine) {
    if (engine == "default") return;
    if (engine != "nnpack") farm_fail(FARM_UNSUPPORTED, "Caffe2 has no engine %s here; it has default and nnpack", engine.c_str());
    caffe2::SetGlobalEnginePref({{caffe2::CPU, {"NNPACK"}}});
}

void load(farm_job *job) {
    static const char *const known[] = {"engine", nullptr};
    farm_known_options(job, known);
    if (std::string(job->format) != "caffe2") farm_fail(FARM_UNSUPPORTED, "Caffe2 loads caffe2, not %s", job->format);
    if (job->wanted.count != 1 || strcmp(job->wanted.list[0].element, "f32"))
        farm_fail(FARM_UNSUPPORTED, "of a network of Caffe2 one input of f32 is known, the job says %d inputs", job->wanted.count);
    const farm_tensor &wanted = job->wanted.list[0];
    std::vector<int64_t> shape(wanted.shape, wanted.shape + wanted.rank);
    std::string engine = farm_option(job, "engine", "default");
    try {
        caffe2::GlobalInit();
        prefer(engine);
        read(job->model, "predict", &predict_net);
        read(farm_model_part(job, "init"), "init", &init_net);
        workspace = new caffe2::Workspace();
        // Both pools: that of Eigen's operators, and that of NNPACK's.
        omp_set_num_threads(job->threads);
        workspace->GetThreadPool()->setNumThreads(static_cast<size_t>(job->threads));
        input_blob = input_name();
        if (!workspace->RunNetOnce(init_net)) farm_fail(FARM_MODEL_LOAD, "failed to make the model's weights");
        caffe2::BlobGetMutableTensor(workspace->CreateBlob(input_blob), caffe2::CPU)->Resize(shape);
        net = workspace->CreateNet(predict_net, true);
        if (!net) farm_fail(FARM_MODEL_LOAD, "failed to make the network");
        for (int index = 0; index < predict_net.external_output_size(); index++)
            output_names.push_back(predict_net.external_output(index));
        farm_input(job, 0, wanted.name, "f32", wanted.rank, shape.data());
    } catch (const std::bad_alloc &) {
        farm_fail(FARM_MEMORY, "memory for the model was refused");
    } catch (const std::exception &error) {
        farm_fail(FARM_MODEL_LOAD, "failed to load the model: %s", reason(error).c_str());
    }
    farm_engine_name(job, "Caffe2 of PyTorch " ENGINE_TORCH_VERSION " (engine %s)", engine.c_str());
}

void set_input(farm_job *job, int index, const void *values) {
    caffe2::Tensor *input = caffe2::BlobGetMutableTensor(workspace->GetBlob(input_blob), caffe2::CPU);
    memcpy(input->mutable_data<float>(), values, job->inputs.list[index].bytes);
}

const caffe2::Tensor &output(size_t index) { return workspace->GetBlob(output_names[index])->Get<caffe2::Tensor>(); }

const char *element_of(const caffe2::Tensor &tensor) {
    return tensor.IsType<float>()     ? "f32"
           : tensor.IsType<int64_t>() ? "i64"
           : tensor.IsType<int32_t>() ? "i32"
           : tensor.IsType<uint8_t>() ? "u8"
           : tensor.IsType<bool>()    ? "bool"
           : tensor.IsType<double>()  ? "f64"
                                      : "an unknown type";
}

void describe(farm_job *job) {
    for (size_t index = 0; index < output_names.size(); index++) {
        const caffe2::Tensor &tensor = output(index);
        farm_output(job, output_names[index].c_str(), element_of(tensor), static_cast<int>(tensor.dim()), tensor.sizes().data());
    }
}

void infer(farm_job *job) {
    try {
        if (!net->Run()) farm_fail(FARM_INFERENCE, "failed to infer: the network says no more");
    } catch (const std::bad_alloc &) {
        farm_fail(FARM_MEMORY, "memory for an inference was refused");
    } catch (const std::exception &error) {
        farm_fail(FARM_INFERENCE, "failed to infer: %s", reason(error).c_str());
    }
}

int answer(farm_job *job, int index, float *values) {
    const caffe2::Tensor &tensor = output(static_cast<size_t>(index));
    return farm_to_floats(element_of(tensor), tensor.raw_data(), job->outputs.list[index].values, values);
}

}  // namespace

int main() {
    static const farm_engine engine = {load, set_input, infer, describe, answer};
    return farm_engine_main(&engine);
}
