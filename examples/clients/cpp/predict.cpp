// predict BUNDLE [IMAGE…]: compare a bundle with its golden outputs, or predict images, one JSON per line.
#include <exception>
#include <iostream>

#include "bundle.hpp"

int main(int count, char** arguments) {
    if (count < 2) {
        std::cerr << "usage: predict BUNDLE [IMAGE…]\n";
        return 2;
    }
    try {
        Bundle bundle(arguments[1]);
        if (count == 2) std::cout << bundle.check() << "\n";
        for (int i = 2; i < count; i++) {
            auto found = bundle.predict(arguments[i]);
            found["image"] = arguments[i];
            std::cout << found << "\n";
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 2;
    }
}
