/* Compares @STEM@ with its golden numbers: @STEM@_example_c [parameter file] [golden numbers] */
#include "@STEM@.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int read_numbers(FILE *file, int count, double *numbers)
{
    for (int k = 0; k < count; ++k) {
        if (fscanf(file, "%lf", numbers + k) != 1) return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    lz_network *network;
    const int status = lz_load(&network, argc > 1 ? argv[1] : "@STEM@.par");
    if (status != LZ_OK) {
        fprintf(stderr, "%s\n", lz_message(status));
        return 1;
    }
    FILE *file = fopen(argc > 2 ? argv[2] : "@STEM@_golden.txt", "r");
    int events = 0;
    if (!file || fscanf(file, "%d", &events) != 1 || events < 1) {
        fprintf(stderr, "the golden numbers cannot be read\n");
        return 1;
    }
    double worst = 0.0;
    for (int e = 0; e < events; ++e) {
        double p[4 * LZ_PARTICLES], @CONTEXT_ARRAY@ans[LZ_OUTPUTS], wanted[LZ_OUTPUTS], scale = 0.0;
        if (!read_numbers(file, 4 * LZ_PARTICLES, p) || @CONTEXT_READ@!read_numbers(file, LZ_OUTPUTS, wanted) ||
            fscanf(file, "%lf", &scale) != 1) {
            fprintf(stderr, "the golden numbers cannot be read\n");
            return 1;
        }
        lz_evaluate(network, 1, p@CONTEXT_ARGUMENT@, ans);
        if (e == 0) printf("first answer: %.16g\n", ans[0]);
        for (int k = 0; k < LZ_OUTPUTS; ++k) {
            const double difference = fabs(ans[k] - wanted[k]) / scale;
            if (!(difference <= worst)) worst = difference;
        }
    }
    fclose(file);
    lz_free(network);
    printf("largest difference: %.1e\n", worst);
    return worst <= @TOLERANCE@ ? 0 : 1;
}
