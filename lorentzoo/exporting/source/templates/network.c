/* @TITLE@: see @STEM@.h. Written by @VERSION@. */
#include "@STEM@.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef @REAL@ real;

enum { VERSION = @FILE_VERSION@, NUMBERS = @NUMBERS@, BLOCK = 12 };
static const char SPEC[] = "@SPEC@";
static const char STEPS[] = "@LAYOUT@";

struct lz_network {
    double exact[NUMBERS > 0 ? NUMBERS : 1];
    real weight[NUMBERS > 0 ? NUMBERS : 1];
};

/* ---- tools ---------------------------------------------------------------------------------- */

@TOOLS@
/* ---- the network ---------------------------------------------------------------------------- */

/* Answers of at most BLOCK events. Numbers of step k are in v<k>. */
static void evaluate_block(const lz_network *network, int events, const double *p@CONTEXT_PARAMETER@, double *ans)
{
    const double *const exact = network->exact;
    const real *const weight = network->weight;
    (void)exact;
    (void)weight;
    if (events < 1) return;
@STEPS_CODE@
}

int lz_evaluate(const lz_network *network, size_t count, const double *p@CONTEXT_PARAMETER@, double *ans)
{
    int status = network ? LZ_OK : LZ_NOT_LOADED;
    for (size_t begin = 0; begin < count; begin += BLOCK) {
        const int events = count - begin < BLOCK ? (int)(count - begin) : BLOCK;
        double *block = ans + begin * LZ_OUTPUTS;
        if (network) evaluate_block(network, events, p + begin * 4 * LZ_PARTICLES@CONTEXT_BLOCK@, block);
        for (int e = 0; e < events; ++e) {
            int finite = network != NULL;
            for (int k = 0; k < 4 * LZ_PARTICLES; ++k) finite &= isfinite(p[(begin + e) * 4 * LZ_PARTICLES + k]) != 0;
@CONTEXT_FINITE@            if (finite) continue;
            for (int k = 0; k < LZ_OUTPUTS; ++k) block[e * LZ_OUTPUTS + k] = NAN;
            if (network) status = LZ_NOT_FINITE;
        }
    }
    return status;
}

/* ---- the parameter file --------------------------------------------------------------------- */

static uint32_t add_to_crc(uint32_t crc, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; ++bit) crc = crc & 1u ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
    }
    return crc;
}

static int read_numbers(FILE *file, lz_network *network)
{
    unsigned char header[@HEADER@];
    uint32_t sizes[4], found;
    uint64_t numbers;
    const size_t read = fread(header, 1, sizeof header, file);
    if (read < 8 || memcmp(header, "LZPARAM\n", 8) != 0) return LZ_NOT_PARAMETERS;
    if (read < sizeof header) return LZ_TRUNCATED;
    memcpy(sizes, header + 8, sizeof sizes);
    memcpy(&numbers, header + 24, sizeof numbers);
    if (sizes[0] != VERSION) return LZ_NOT_PARAMETERS;
    if (sizes[1] != LZ_PARTICLES || sizes[2] != LZ_CONTEXT || sizes[3] != LZ_OUTPUTS || numbers != NUMBERS ||
        memcmp(header + 32, SPEC, 64) != 0 || memcmp(header + 96, STEPS, 64) != 0) {
        return LZ_OTHER_NETWORK;
    }
    if (fread(network->exact, sizeof(double), NUMBERS, file) != NUMBERS) return LZ_TRUNCATED;
    if (fread(&found, 1, sizeof found, file) != sizeof found || fgetc(file) != EOF) return LZ_TRUNCATED;
    uint32_t crc = add_to_crc(0xffffffffu, header, sizeof header);
    crc = add_to_crc(crc, (const unsigned char *)network->exact, NUMBERS * sizeof(double));
    if ((crc ^ 0xffffffffu) != found) return LZ_CORRUPTED;
    for (size_t k = 0; k < NUMBERS; ++k) network->weight[k] = (real)network->exact[k];
    return LZ_OK;
}

int lz_load(lz_network **network, const char *parameter_file)
{
    *network = NULL;
    FILE *file = fopen(parameter_file, "rb");
    if (!file) return LZ_NO_FILE;
    lz_network *made = malloc(sizeof *made);
    const int status = made ? read_numbers(file, made) : LZ_NO_MEMORY;
    fclose(file);
    if (status == LZ_OK) *network = made;
    else free(made);
    return status;
}

void lz_free(lz_network *network) { free(network); }

void lz_sizes(int sizes[3])
{
    sizes[0] = LZ_PARTICLES;
    sizes[1] = LZ_CONTEXT;
    sizes[2] = LZ_OUTPUTS;
}

const char *lz_message(int status)
{
    switch (status) {
    case LZ_OK: return "no error";
    case LZ_NO_FILE: return "the parameter file cannot be opened";
    case LZ_NOT_PARAMETERS: return "the file is not a parameter file of this version and byte order";
    case LZ_OTHER_NETWORK: return "the parameter file belongs to the source code of another network";
    case LZ_TRUNCATED: return "the parameter file has not the length that it should have";
    case LZ_CORRUPTED: return "the parameter file is damaged: its checksum is wrong";
    case LZ_NO_MEMORY: return "there is not enough memory";
    case LZ_NOT_FINITE: return "some momenta are not finite, and their answers are NaN";
    case LZ_NOT_LOADED: return "no parameter file was read";
    default: return "unknown status";
    }
}

/* ---- with one network of the process -------------------------------------------------------- */

static lz_network *process_network = NULL;

int lz_setup(const char *parameter_file)
{
    lz_network *network;
    const int status = lz_load(&network, parameter_file);
    if (status == LZ_OK) {
        lz_free(process_network);
        process_network = network;
    }
    return status;
}

void lz_setup_(const char *parameter_file, int *status, size_t length)
{
    char name[4096];
    while (length > 0 && parameter_file[length - 1] == ' ') --length;
    if (length >= sizeof name) {
        *status = LZ_NO_FILE;
        return;
    }
    memcpy(name, parameter_file, length);
    name[length] = '\0';
    *status = lz_setup(name);
}

void lz_smatrix(const double *p@CONTEXT_PARAMETER@, double *ans) { lz_evaluate(process_network, 1, p@CONTEXT_ARGUMENT@, ans); }

void lz_smatrix_(const double *p@CONTEXT_PARAMETER@, double *ans) { lz_smatrix(p@CONTEXT_ARGUMENT@, ans); }

void lz_smatrix_batch(int count, const double *p@CONTEXT_PARAMETER@, double *ans)
{
    if (count > 0) lz_evaluate(process_network, (size_t)count, p@CONTEXT_ARGUMENT@, ans);
}

void lz_smatrix_batch_(const int *count, const double *p@CONTEXT_PARAMETER@, double *ans)
{
    lz_smatrix_batch(*count, p@CONTEXT_ARGUMENT@, ans);
}
