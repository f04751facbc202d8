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
bool described = false;

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
    int64_t shape[FARM_MAX_RANK];
    int rank = farm_input_shape(job, shape);
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
        std::string input = input_name();
        if (!workspace->RunNetOnce(init_net)) farm_fail(FARM_MODEL_LOAD, "failed to make the model's weights");
        caffe2::BlobGetMutableTensor(workspace->CreateBlob(input), caffe2::CPU)->Resize(std::vector<int64_t>(shape, shape + rank));
        net = workspace->CreateNet(predict_net, true);
        if (!net) farm_fail(FARM_MODEL_LOAD, "failed to make the network");
        for (int index = 0; index < predict_net.external_output_size(); index++)
            output_names.push_back(predict_net.external_output(index));
        farm_input(job, input.c_str(), "f32", rank, shape);
    } catch (const std::exception &error) {
        farm_fail(FARM_MODEL_LOAD, "failed to load the model: %s", reason(error).c_str());
    }
    farm_engine_name(job, "Caffe2 of PyTorch " ENGINE_TORCH_VERSION " (engine %s)", engine.c_str());
}

void set_input(farm_job *job, int index, const float *values) {
    caffe2::Tensor *input = caffe2::BlobGetMutableTensor(workspace->GetBlob(job->inputs[index].name), caffe2::CPU);
    memcpy(input->mutable_data<float>(), values, job->inputs[index].values * sizeof(float));
}

const caffe2::Tensor &output(size_t index) { return workspace->GetBlob(output_names[index])->Get<caffe2::Tensor>(); }

void describe(farm_job *job) {
    described = true;
    for (size_t index = 0; index < output_names.size(); index++) {
        const caffe2::Tensor &tensor = output(index);
        if (!tensor.IsType<float>())
            farm_fail(FARM_UNSUPPORTED, "output %s is not made of 32-bit floats", output_names[index].c_str());
        farm_output(job, output_names[index].c_str(), "f32", static_cast<int>(tensor.dim()), tensor.sizes().data());
    }
}

void infer(farm_job *job) {
    try {
        if (!net->Run()) farm_fail(FARM_INFERENCE, "failed to infer: the network says no more");
        if (!described) describe(job);
    } catch (const std::exception &error) {
        farm_fail(FARM_INFERENCE, "failed to infer: %s", reason(error).c_str());
    }
}

void answer(farm_job *job, int index, float *values) {
    memcpy(values, output(static_cast<size_t>(index)).data<float>(), job->outputs[index].values * sizeof(float));
}

}  // namespace

int main() {
    static const farm_engine engine = {load, set_input, infer, answer};
    return farm_engine_main(&engine);
}
