/* @TITLE@ as a matrix element of MadGraph 7 (UMAMI, the unified matrix element interface, version 1).
 * Written by @VERSION@ with @STEM@.c. The card is the parameter file @STEM@.par. */
#include "@STEM@.h"

#include <math.h>
#include <stdbool.h>

enum status {
    SUCCESS = 0,
    FAILURE = 1,
    UNSUPPORTED_INPUT = 3,
    UNSUPPORTED_OUTPUT = 4,
    UNINITIALIZED = 5,
    UNSUPPORTED_META = 6,
    MISSING_INPUT = 7
};
enum meta { DEVICE, PARTICLES, DIAGRAMS, HELICITIES, COLOURS, MASSES };
enum input { MOMENTA, ALPHA_S, FLAVOUR, INPUTS = 9 };
enum output { MATRIX_ELEMENT, OUTPUTS = 5 };

/* The strong coupling of the numbers, and the power with which they go; a power below zero is not known. */
static const double alpha_s = @ALPHA_S@;
enum { ALPHA_S_POWER = @ALPHA_S_POWER@, TOGETHER = 96 };
static const double masses[LZ_PARTICLES] = {@MASSES@};

int umami_get_meta(int key, void *out)
{
    switch (key) {
    case DEVICE: *(int *)out = 0; return SUCCESS; /* a CPU */
    case PARTICLES: *(int *)out = LZ_PARTICLES; return SUCCESS;
    case DIAGRAMS:
    case HELICITIES:
    case COLOURS: *(int *)out = 1; return SUCCESS;
    case MASSES:
        for (int k = 0; k < LZ_PARTICLES; ++k) ((double *)out)[k] = masses[k];
        return SUCCESS;
    default: return UNSUPPORTED_META;
    }
}

int umami_supported_inputs(bool const **keys, int *count)
{
    static const bool supported[INPUTS] = {true, ALPHA_S_POWER >= 0, true};
    *keys = supported;
    *count = INPUTS;
    return SUCCESS;
}

int umami_required_inputs(bool const **keys, int *count)
{
    static const bool required[INPUTS] = {true};
    *keys = required;
    *count = INPUTS;
    return SUCCESS;
}

int umami_supported_outputs(bool const **keys, int *count)
{
    static const bool supported[OUTPUTS] = {true};
    *keys = supported;
    *count = OUTPUTS;
    return SUCCESS;
}

int umami_initialize(void **handle, const char *card)
{
    lz_network *network;
    const int status = lz_load(&network, card);
    *handle = network;
    return status == LZ_OK ? SUCCESS : FAILURE;
}

int umami_free(void *handle)
{
    lz_free(handle);
    return SUCCESS;
}

int umami_matrix_element(void *handle, size_t count, size_t stride, size_t offset, size_t input_count,
                         const int *input_keys, void const *const *inputs, size_t output_count, const int *output_keys,
                         void *const *outputs)
{
    const double *momenta = NULL, *coupling = NULL;
    double *answers = NULL;
    if (!handle) return UNINITIALIZED;
    for (size_t k = 0; k < input_count; ++k) {
        if (input_keys[k] == MOMENTA) momenta = inputs[k];
        else if (input_keys[k] == ALPHA_S && ALPHA_S_POWER >= 0) coupling = inputs[k];
        else if (input_keys[k] == FLAVOUR) {
            /* The network knows one assignment of flavours, the first. */
            const int *flavour = inputs[k];
            for (size_t e = offset; e < offset + count; ++e) {
                if (flavour[e] != 0) return UNSUPPORTED_INPUT;
            }
        } else return UNSUPPORTED_INPUT;
    }
    for (size_t k = 0; k < output_count; ++k) {
        if (output_keys[k] != MATRIX_ELEMENT) return UNSUPPORTED_OUTPUT;
        answers = outputs[k];
    }
    if (!momenta) return MISSING_INPUT;
    if (!answers) return SUCCESS;
    for (size_t begin = 0; begin < count; begin += TOGETHER) {
        const size_t events = count - begin < TOGETHER ? count - begin : TOGETHER;
        const double *from = momenta + offset + begin;
        double *to = answers + offset + begin, p[TOGETHER][LZ_PARTICLES][4];
        for (size_t e = 0; e < events; ++e) {
            for (size_t i = 0; i < LZ_PARTICLES; ++i) {
                for (size_t c = 0; c < 4; ++c) p[e][i][c] = from[e + stride * (i + LZ_PARTICLES * c)];
            }
        }
        lz_evaluate(handle, events, &p[0][0][0], to);
        if (coupling) {
            for (size_t e = 0; e < events; ++e) to[e] *= pow(coupling[offset + begin + e] / alpha_s, ALPHA_S_POWER);
        }
    }
    return SUCCESS;
}
