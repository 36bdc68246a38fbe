// Images: pixels in memory, and their files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// uint8 pixels, rows of channels: H×W×C.
struct Image {
    int height, width, channels;
    std::vector<std::uint8_t> pixels;
};

// Decode a PNG or JPEG file, to gray or color. Files that have to be turned or have transparent pixels are refused.
Image read_image(const std::string& path, int channels);
