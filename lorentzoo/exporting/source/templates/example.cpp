// Compares @STEM@ with its golden numbers, all at once: @STEM@_example_cpp [parameter file] [golden numbers]
#include "@STEM@.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

int main(int argc, char **argv)
{
    lz_network *loaded = nullptr;
    const int status = lz_load(&loaded, argc > 1 ? argv[1] : "@STEM@.par");
    const std::unique_ptr<lz_network, decltype(&lz_free)> network(loaded, &lz_free);
    if (status != LZ_OK) {
        std::fprintf(stderr, "%s\n", lz_message(status));
        return 1;
    }
    std::ifstream file(argc > 2 ? argv[2] : "@STEM@_golden.txt");
    std::size_t events = 0;
    file >> events;
    std::vector<double> p, @CONTEXT_VECTOR@wanted, scale;
    const auto read = [&file](std::size_t count, std::vector<double> &into) {
        double number = 0.0;
        for (; count > 0 && file >> number; --count) into.push_back(number);
    };
    for (std::size_t e = 0; e < events; ++e) {
        read(4 * LZ_PARTICLES, p);
@CONTEXT_READ_CPP@        read(LZ_OUTPUTS, wanted);
        read(1, scale);
    }
    if (events == 0 || scale.size() != events) {
        std::fprintf(stderr, "the golden numbers cannot be read\n");
        return 1;
    }
    std::vector<double> ans(events * LZ_OUTPUTS);
    lz_evaluate(network.get(), events, p.data()@CONTEXT_DATA@, ans.data());
    double worst = 0.0;
    for (std::size_t k = 0; k < ans.size(); ++k) {
        const double difference = std::fabs(ans[k] - wanted[k]) / scale[k / LZ_OUTPUTS];
        if (!(difference <= worst)) worst = difference;
    }
    std::printf("first answer: %.16g\nlargest difference: %.1e\n", ans[0], worst);
    return worst <= @TOLERANCE@ ? 0 : 1;
}
