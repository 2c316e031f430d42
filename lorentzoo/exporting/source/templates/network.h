/* @TITLE@
 *
 * Written by @VERSION@; the numbers are in @STEM@.par. Specification: SHA-256
 * @SPEC@
 *
 * Momenta are p[event][particle][4] = (E, px, py, pz) in GeV, which is P(0:3, n, events) in Fortran. Particles:
@PARTICLES@
@CONTEXT_NOTE@ * Answers are ans[event][@OUTPUTS@]:
@ANSWERS@
 *
 * A network is read once and never written to afterwards: any number of threads may share one.
 * Events with a momentum@OR_CONTEXT@ that is not finite get NaN, the others their numbers; the status is then LZ_NOT_FINITE.
 *
 * Compile with -DLZ_PREFIX=name to call the functions name_load, ..., e.g. to link several networks into one program.
 */
#ifndef LZ_@GUARD@_H
#define LZ_@GUARD@_H

#include <stddef.h>

#ifdef LZ_PREFIX
#define LZ_JOIN(a, b) a##_##b
#define LZ_NAME(a, b) LZ_JOIN(a, b)
#define lz_network LZ_NAME(LZ_PREFIX, network)
#define lz_load LZ_NAME(LZ_PREFIX, load)
#define lz_free LZ_NAME(LZ_PREFIX, free)
#define lz_sizes LZ_NAME(LZ_PREFIX, sizes)
#define lz_message LZ_NAME(LZ_PREFIX, message)
#define lz_evaluate LZ_NAME(LZ_PREFIX, evaluate)
#define lz_setup LZ_NAME(LZ_PREFIX, setup)
#define lz_setup_ LZ_NAME(LZ_PREFIX, setup_)
#define lz_smatrix LZ_NAME(LZ_PREFIX, smatrix)
#define lz_smatrix_ LZ_NAME(LZ_PREFIX, smatrix_)
#define lz_smatrix_batch LZ_NAME(LZ_PREFIX, smatrix_batch)
#define lz_smatrix_batch_ LZ_NAME(LZ_PREFIX, smatrix_batch_)
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { LZ_PARTICLES = @PARTICLE_COUNT@, LZ_CONTEXT = @CONTEXT_COUNT@, LZ_OUTPUTS = @OUTPUTS@ };

enum {
    LZ_OK = 0,
    LZ_NO_FILE = 1,       /* the parameter file cannot be opened */
    LZ_NOT_PARAMETERS = 2, /* it is none, or of another byte order or version */
    LZ_OTHER_NETWORK = 3, /* it belongs to other source code */
    LZ_TRUNCATED = 4,     /* it ends too early, or too late */
    LZ_CORRUPTED = 5,     /* its checksum is wrong */
    LZ_NO_MEMORY = 6,
    LZ_NOT_FINITE = 7,    /* some momenta are NaN or infinite, and their answers NaN */
    LZ_NOT_LOADED = 8     /* no network was read */
};

typedef struct lz_network lz_network;

/* Read a parameter file; *network is NULL unless the status is LZ_OK. */
int lz_load(lz_network **network, const char *parameter_file);
void lz_free(lz_network *network);
/* LZ_PARTICLES, LZ_CONTEXT and LZ_OUTPUTS, for those who do not read this file. */
void lz_sizes(int sizes[3]);
/* One line in English for a status. */
const char *lz_message(int status);

/* Answers of `count` events. */
int lz_evaluate(const lz_network *network, size_t count, const double *p@CONTEXT_DECLARATION@, double *ans);

/* As MadGraph calls matrix elements, with one network of the process, which lz_setup reads before threads are started;
 * answers are NaN as long as there is none. Names with an underscore are for Fortran: CALL LZ_SMATRIX(P@CONTEXT_FORTRAN@, ANS). */
int lz_setup(const char *parameter_file);
void lz_setup_(const char *parameter_file, int *status, size_t length);
void lz_smatrix(const double *p@CONTEXT_DECLARATION@, double *ans);
void lz_smatrix_(const double *p@CONTEXT_DECLARATION@, double *ans);
void lz_smatrix_batch(int count, const double *p@CONTEXT_DECLARATION@, double *ans);
void lz_smatrix_batch_(const int *count, const double *p@CONTEXT_DECLARATION@, double *ans);
@COMPLEX@
#ifdef __cplusplus
}
#endif
#endif
