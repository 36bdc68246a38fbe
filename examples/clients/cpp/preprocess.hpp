// Pixels as the model takes them: the same integers as convnet's own preprocessing.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "image.hpp"

// Resize, crop or pad an image as `inputs` of bundle.json says; returns planes C×H×W.
std::vector<std::uint8_t> preprocess(Image image, const nlohmann::json& inputs);
