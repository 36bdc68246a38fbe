#include "preprocess.hpp"

#include <algorithm>
#include <cmath>

namespace {

// The weights of every output place, as integers below 2¹⁵.
struct Filter {
    int taps, bits = 0;
    std::vector<int> starts;
    std::vector<double> weights;
};

double kernel(double distance, bool cubic) {
    if (!cubic) return std::max(0.0, 1 - distance);
    const double a = -0.5;
    if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
    return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0;
}

Filter filter(int length, int target, bool cubic) {
    double scale = double(length) / target, stretch = std::max(scale, 1.0), reach = (cubic ? 2 : 1) * stretch;
    Filter found{int(std::ceil(reach)) * 2 + 1, 0, std::vector<int>(target), {}};
    found.weights.resize(std::size_t(target) * found.taps);
    for (int i = 0; i < target; i++) {
        double center = scale * (i + 0.5), total = 0;
        found.starts[i] = std::max(int(center - reach + 0.5), 0);
        int end = std::min(int(center + reach + 0.5), length);
        double* weights = &found.weights[std::size_t(i) * found.taps];
        for (int k = 0; k < found.taps && found.starts[i] + k < end; k++)
            total += weights[k] = kernel(std::abs((found.starts[i] + k - center + 0.5) / stretch), cubic);
        for (int k = 0; k < found.taps; k++) weights[k] /= total ? total : 1;
    }
    double largest = *std::max_element(found.weights.begin(), found.weights.end());
    while (found.bits < 22 && int(0.5 + std::ldexp(largest, found.bits + 1)) < 1 << 15) found.bits++;
    for (double& weight : found.weights) weight = std::trunc(std::ldexp(weight, found.bits) + (weight < 0 ? -0.5 : 0.5));
    return found;
}

// Antialiased resizing of one axis. `count` values lie between neighbors on it, `outer` lines before it.
std::vector<std::uint8_t> resample_axis(
    const std::vector<std::uint8_t>& pixels, int outer, int length, int target, int count, bool cubic) {
    Filter rule = filter(length, target, cubic);
    std::vector<std::uint8_t> out(std::size_t(outer) * target * count);
    for (int line = 0; line < outer; line++)
        for (int place = 0; place < target; place++)
            for (int i = 0; i < count; i++) {
                long long sum = rule.bits ? 1LL << (rule.bits - 1) : 0;
                for (int k = 0; k < rule.taps; k++) {
                    double weight = rule.weights[std::size_t(place) * rule.taps + k];
                    if (weight == 0) continue;
                    sum += (long long)weight * pixels[(std::size_t(line) * length + rule.starts[place] + k) * count + i];
                }
                out[(std::size_t(line) * target + place) * count + i] =
                    std::uint8_t(std::clamp(sum >> rule.bits, 0LL, 255LL));
            }
    return out;
}

Image resample(Image image, int height, int width, bool cubic) {
    if (width != image.width)
        image.pixels = resample_axis(image.pixels, image.height, image.width, width, image.channels, cubic);
    if (height != image.height)
        image.pixels = resample_axis(image.pixels, 1, image.height, height, width * image.channels, cubic);
    return {height, width, image.channels, image.pixels};
}

// Copy a rectangle of one image into another.
void copy(const Image& from, int top, int left, Image& into, int row, int column, int rows, int columns) {
    for (int y = 0; y < rows; y++)
        std::copy_n(
            &from.pixels[(std::size_t(top + y) * from.width + left) * from.channels], columns * from.channels,
            &into.pixels[(std::size_t(row + y) * into.width + column) * into.channels]);
}

Image empty(int height, int width, int channels) {
    return {height, width, channels, std::vector<std::uint8_t>(std::size_t(height) * width * channels)};
}

int rounded(double value) { return int(std::nearbyint(value)); }  // halves to the even neighbor, as Python does

Image center_crop(const Image& image, int height, int width, double crop) {
    double scale = std::max(double(height) / image.height, double(width) / image.width) / crop;
    int rows = std::min(image.height, std::max(1, rounded(height / scale)));
    int columns = std::min(image.width, std::max(1, rounded(width / scale)));
    Image out = empty(rows, columns, image.channels);
    copy(image, (image.height - rows) / 2, (image.width - columns) / 2, out, 0, 0, rows, columns);
    return out;
}

Image letterbox(const Image& image, int height, int width, bool cubic) {
    double scale = std::min(double(height) / image.height, double(width) / image.width);
    int rows = std::min(height, std::max(1, rounded(image.height * scale)));
    int columns = std::min(width, std::max(1, rounded(image.width * scale)));
    Image inner = resample(image, rows, columns, cubic), out = empty(height, width, image.channels);
    copy(inner, 0, 0, out, (height - rows) / 2, (width - columns) / 2, rows, columns);
    return out;
}

}  // namespace

std::vector<std::uint8_t> preprocess(Image image, const nlohmann::json& inputs) {
    int channels = inputs["shape"][0], height = inputs["shape"][1], width = inputs["shape"][2];
    const auto& how = inputs["preprocess"];
    std::string policy = how["resize"];
    bool cubic = how["interpolation"] == "bicubic";
    double crop = how["crop_pct"];
    if (image.height != height || image.width != width || crop != 1) {
        if (policy == "letterbox")
            image = letterbox(image, height, width, cubic);
        else
            image = resample(policy == "crop" ? center_crop(image, height, width, crop) : image, height, width, cubic);
    }
    std::vector<std::uint8_t> planes(image.pixels.size());
    std::size_t count = std::size_t(height) * width;
    for (std::size_t i = 0; i < count; i++)
        for (int c = 0; c < channels; c++) planes[c * count + i] = image.pixels[i * channels + c];
    return planes;
}
