// A bundle's ONNX model with its preprocessing, classes and rule for unknown images.
#pragma once
#include <nlohmann/json.hpp>
#include <openvino/openvino.hpp>
#include <string>
#include <vector>

class Bundle {
public:
    explicit Bundle(const std::string& folder);

    // Compare with the golden outputs: the number of samples and the largest difference, relative to the
    // largest output. Throws if it is too large.
    nlohmann::json check();

    // The classes of an image file, most probable first, and whether it is unknown.
    nlohmann::json predict(const std::string& path);

private:
    std::vector<float> output(const std::string& name);
    bool unknown(const std::vector<float>& probabilities);

    std::string folder_;
    nlohmann::json manifest_;
    ov::InferRequest request_;
};
