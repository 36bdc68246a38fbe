#include "image.hpp"

#include <stdexcept>

#include "file.hpp"

#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace {

// Whether EXIF says that the image has to be turned.
bool turned(const std::string& content) {
    auto start = content.substr(0, 1 << 16).find(std::string("Exif\0\0", 6));
    if (start == std::string::npos || start + 14 > content.size()) return false;
    auto tiff = content.substr(start + 6);
    auto little = tiff[0] == 'I';
    auto number = [&](std::size_t at) {
        if (at + 2 > tiff.size()) return 0;
        int first = std::uint8_t(tiff[at]), second = std::uint8_t(tiff[at + 1]);
        return little ? first | second << 8 : first << 8 | second;
    };
    std::size_t entry = std::size_t(number(little ? 4 : 6));
    for (int left = number(entry); left > 0; left--, entry += 12)
        if (number(entry + 2) == 0x0112) return number(entry + 10) > 1;
    return false;
}

}  // namespace

Image read_image(const std::string& path, int channels) {
    int width, height, found;
    std::string content = read_file(path);
    auto* bytes = reinterpret_cast<const stbi_uc*>(content.data());
    if (turned(content)) throw std::runtime_error(path + ": EXIF turns it; store it upright");
    stbi_uc* data = stbi_load_from_memory(bytes, int(content.size()), &width, &height, &found, 0);
    if (!data) throw std::runtime_error(path + ": " + stbi_failure_reason());
    Image image{height, width, channels, std::vector<std::uint8_t>(std::size_t(height) * width * channels)};
    bool color = found >= 3;
    for (std::size_t i = 0; i < std::size_t(height) * width; i++) {
        const stbi_uc* from = data + i * found;
        std::uint8_t* into = image.pixels.data() + i * channels;
        if (found % 2 == 0 && from[found - 1] < 255) throw std::runtime_error(path + ": has transparent pixels");
        if (channels == 1 && color)  // by ITU-R 601
            into[0] = std::uint8_t((19595 * from[0] + 38470 * from[1] + 7471 * from[2] + 0x8000) >> 16);
        else
            for (int c = 0; c < channels; c++) into[c] = from[color ? c : 0];
    }
    stbi_image_free(data);
    return image;
}
