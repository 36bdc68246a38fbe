#include "npz.hpp"

#include <zlib.h>

#include <cstring>
#include <regex>
#include <stdexcept>

#include "file.hpp"

namespace {

template <typename Number>
Number number(const std::string& content, std::size_t at) {
    Number value;
    if (at + sizeof value > content.size()) throw std::runtime_error("the .npz file is cut off");
    std::memcpy(&value, content.data() + at, sizeof value);
    return value;
}

std::string inflated(std::string data, std::size_t length) {
    std::string made(length, 0);
    z_stream stream{};
    stream.next_in = reinterpret_cast<Bytef*>(data.data());
    stream.avail_in = uInt(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(made.data());
    stream.avail_out = uInt(length);
    inflateInit2(&stream, -MAX_WBITS);  // zip files have no header around the compressed data
    int status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    if (status != Z_STREAM_END) throw std::runtime_error("the .npz file is damaged");
    return made;
}

Array parsed(const std::string& content) {
    auto header = content.substr(10, number<std::uint16_t>(content, 8));
    std::smatch match;
    Array array;
    if (!std::regex_search(header, match, std::regex("'descr': *'([^']+)'"))) throw std::runtime_error("not an .npy");
    array.type = match[1];
    std::regex_search(header, match, std::regex("'shape': *\\(([^)]*)\\)"));
    std::string shape = match[1];
    const std::regex digits("\\d+");
    for (std::sregex_iterator i(shape.begin(), shape.end(), digits), end; i != end; ++i)
        array.shape.push_back(std::stoull(i->str()));
    array.bytes.assign(content.begin() + 10 + header.size(), content.end());
    return array;
}

}  // namespace

std::map<std::string, Array> read_npz(const std::string& path) {
    std::string content = read_file(path);
    auto end = content.rfind("PK\x05\x06");
    if (end == std::string::npos) throw std::runtime_error(path + ": not an .npz file");
    std::map<std::string, Array> arrays;
    std::size_t entry = number<std::uint32_t>(content, end + 16);
    for (int left = number<std::uint16_t>(content, end + 10); left > 0; left--) {
        auto method = number<std::uint16_t>(content, entry + 10);
        auto packed = number<std::uint32_t>(content, entry + 20);
        auto name = content.substr(entry + 46, number<std::uint16_t>(content, entry + 28));
        std::size_t local = number<std::uint32_t>(content, entry + 42);
        auto start = local + 30 + number<std::uint16_t>(content, local + 26) + number<std::uint16_t>(content, local + 28);
        std::string data = content.substr(start, packed);
        if (method == 8) data = inflated(data, number<std::uint32_t>(content, entry + 24));
        arrays[name.substr(0, name.rfind(".npy"))] = parsed(data);
        entry += 46 + name.size() + number<std::uint16_t>(content, entry + 30) + number<std::uint16_t>(content, entry + 32);
    }
    return arrays;
}
