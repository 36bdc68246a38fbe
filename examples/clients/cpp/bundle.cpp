#include "bundle.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "file.hpp"
#include "npz.hpp"
#include "preprocess.hpp"

using nlohmann::json;

namespace {
const double TOLERANCE = 1e-4;  // the largest difference from the golden outputs, relative to the largest of them
}

Bundle::Bundle(const std::string& folder) : folder_(folder), manifest_(json::parse(read_file(folder + "/bundle.json"))) {
    if (manifest_["schema"] != 1) throw std::runtime_error("bundle.json: this client reads schema 1");
    // The device computes in bfloat16 where it can, unless told otherwise.
    ov::Core core;
    auto model = core.compile_model(folder + "/model.onnx", "CPU", ov::hint::inference_precision(ov::element::f32));
    request_ = model.create_infer_request();
}

json Bundle::check() {
    auto golden = read_npz(folder_ + "/golden.npz");
    Array &samples = golden["samples"], &wanted = golden["outputs"];
    auto type = samples.type == "|u1" ? ov::element::u8 : ov::element::f32;
    request_.set_input_tensor(ov::Tensor(type, ov::Shape(samples.shape), samples.bytes.data()));
    request_.infer();
    auto found = output(manifest_["outputs"]["classes"].empty() ? "image" : "logits");
    if (found.size() * sizeof(float) != wanted.bytes.size()) throw std::runtime_error("golden.npz has another shape");
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < found.size(); i++) {
        float value;
        std::memcpy(&value, &wanted.bytes[i * sizeof value], sizeof value);
        largest = std::max(largest, double(std::abs(value)));
        difference = std::max(difference, double(std::abs(value - found[i])));
    }
    if (!(difference / largest < TOLERANCE))
        throw std::runtime_error("the outputs differ from golden.npz by " + std::to_string(difference / largest));
    return {{"samples", samples.shape[0]}, {"difference", difference / largest}};
}

json Bundle::predict(const std::string& path) {
    const json& inputs = manifest_["inputs"];
    if (manifest_["task"]["name"] != "classification" || inputs["modality"] != "images" ||
        !inputs["preprocess"]["white"].is_null() || (inputs["shape"][0] != 1 && inputs["shape"][0] != 3))
        throw std::runtime_error("this client predicts the classes of images of 8 bits, not those of this bundle");
    auto planes = preprocess(read_image(path, inputs["shape"][0]), inputs);
    ov::Shape shape{1, inputs["shape"][0], inputs["shape"][1], inputs["shape"][2]};
    request_.set_input_tensor(ov::Tensor(ov::element::u8, shape, planes.data()));
    request_.infer();
    auto probabilities = output("probabilities");
    std::vector<int> order(probabilities.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return probabilities[a] > probabilities[b]; });
    json top = json::array();
    for (int i : order) top.push_back({{"class", manifest_["outputs"]["classes"][i]}, {"probability", probabilities[i]}});
    return {{"class", top[0]["class"]}, {"probability", top[0]["probability"]},
            {"unknown", unknown(probabilities)}, {"top", top}};
}

std::vector<float> Bundle::output(const std::string& name) {
    ov::Tensor tensor = request_.get_tensor(name);
    return {tensor.data<float>(), tensor.data<float>() + tensor.get_size()};
}

// Whether the score of a sample is below the threshold of known ones.
bool Bundle::unknown(const std::vector<float>& probabilities) {
    const json& calibration = manifest_["outputs"]["calibration"];
    if (calibration.is_null() || calibration["unknown"].is_null()) return false;
    const json& rule = calibration["unknown"];
    double threshold = rule["threshold"], temperature = calibration["temperature"];
    if (rule["score"] == "max-probability")
        return *std::max_element(probabilities.begin(), probabilities.end()) < threshold;
    auto logits = output("logits");
    double largest = *std::max_element(logits.begin(), logits.end()) / temperature, sum = 0;
    for (float logit : logits) sum += std::exp(logit / temperature - largest);
    return largest + std::log(sum) < threshold;
}
