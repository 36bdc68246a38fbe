// Arrays of .npz files, as far as convnet writes them.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct Array {
    std::string type;  // as NumPy writes it: "|u1", "<f4"
    std::vector<std::size_t> shape;
    std::vector<std::uint8_t> bytes;
};

std::map<std::string, Array> read_npz(const std::string& path);
