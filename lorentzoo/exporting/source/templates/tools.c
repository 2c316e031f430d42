/* @tool inner_products */
/* All p_i.p_j, in rows; summed as the model does, since nearly parallel momenta lose digits. */
#if defined(__GNUC__) && !defined(__clang__)
__attribute__((optimize("fp-contract=off")))
#endif
static void inner_products(int n, const double *p, double *all)
{
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif
    for (int i = 0; i < n; ++i) {
        for (int j = i; j < n; ++j) {
            const double *a = p + 4 * i, *b = p + 4 * j;
            const double e = a[0] * b[0], x = a[1] * b[1], y = a[2] * b[2], z = a[3] * b[3];
            all[i * n + j] = all[j * n + i] = ((e - x) - y) - z;
        }
    }
}

/* @tool largest_product */
/* The largest p_i.p_j of pairs, and which has it. */
static double largest_product(int n, const double *all, int *first, int *second)
{
    double largest = all[1];
    *first = 0;
    *second = 1;
    for (int i = 0; i < n; ++i) {
        for (int j = i + 1; j < n; ++j) {
            if (all[i * n + j] > largest) {
                largest = all[i * n + j];
                *first = i;
                *second = j;
            }
        }
    }
    return largest;
}

/* @tool mass_squared */
/* (E - |p|)(E + |p|) of the sum of n momenta. */
static double mass_squared(int n, const double *p)
{
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int i = 0; i < n; ++i) {
        for (int c = 0; c < 4; ++c) sum[c] += p[4 * i + c];
    }
    const double space = sqrt(sum[1] * sum[1] + sum[2] * sum[2] + sum[3] * sum[3]);
    return (sum[0] - space) * (sum[0] + space);
}

/* @tool boost_to_rest mass_squared */
/* All momenta in the rest frame of their sum; sums of boosts above a million are kept from the light cone. */
static void boost_to_rest(int n, const double *p, double *out)
{
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int i = 0; i < n; ++i) {
        for (int c = 0; c < 4; ++c) sum[c] += p[4 * i + c];
    }
    if (!(sum[0] > 0.0)) {
        sum[0] = 1.0;
        sum[1] = sum[2] = sum[3] = 0.0;
    }
    const double least = (sum[0] / 1e6) * (sum[0] / 1e6);
    if (mass_squared(1, sum) < least) {
        sum[0] = sqrt(sum[1] * sum[1] + sum[2] * sum[2] + sum[3] * sum[3] + least);
    }
    const double mass = sqrt(mass_squared(1, sum));
    const double x = sum[1] / mass, y = sum[2] / mass, z = sum[3] / mass;
    const double time = sqrt(1.0 + x * x + y * y + z * z);
    for (int i = 0; i < n; ++i, p += 4, out += 4) {
        const double along = x * p[1] + y * p[2] + z * p[3];
        const double step = along / (1.0 + time) - p[0];
        out[0] = time * p[0] - along;
        out[1] = p[1] + step * x;
        out[2] = p[2] + step * y;
        out[3] = p[3] + step * z;
    }
}

/* @tool order inner_products */
/* Particles of each group in a row by falling sum of squared products with all; equal ones stay as they are. */
static void order(int groups, const int *sizes, int n, const double *p, double *out)
{
    double all[LZ_PARTICLES * LZ_PARTICLES];
    inner_products(n, p, all);
    for (int g = 0, begin = 0; g < groups; begin += sizes[g], ++g) {
        double keys[LZ_PARTICLES];
        int places[LZ_PARTICLES];
        for (int i = 0; i < sizes[g]; ++i) {
            const double *mine = all + (begin + i) * n;
            double key = 0.0;
            for (int j = 0; j < n; ++j) key += mine[j] * mine[j];
            int place = i;
            for (; place > 0 && keys[place - 1] < key; --place) {
                keys[place] = keys[place - 1];
                places[place] = places[place - 1];
            }
            keys[place] = key;
            places[place] = begin + i;
        }
        for (int i = 0; i < sizes[g]; ++i) {
            for (int c = 0; c < 4; ++c) out[4 * (begin + i) + c] = p[4 * places[i] + c];
        }
    }
}

/* @tool products inner_products */
/* p_i.p_j of all pairs. */
static void products(int n, const double *p, double *out)
{
    double all[LZ_PARTICLES * LZ_PARTICLES];
    inner_products(n, p, all);
    for (int i = 0; i < n; ++i) {
        for (int j = i + 1; j < n; ++j) *out++ = all[i * n + j];
    }
}

/* @tool log_products inner_products largest_product */
/* ln p_i.p_j of all pairs, with a floor relative to the largest. */
static void log_products(int n, const double *p, double floor, double tiny, double *out)
{
    double all[LZ_PARTICLES * LZ_PARTICLES];
    int first, second;
    inner_products(n, p, all);
    double least = floor * largest_product(n, all, &first, &second);
    if (!(least > tiny)) least = tiny;
    for (int i = 0; i < n; ++i) {
        for (int j = i + 1; j < n; ++j) *out++ = log(all[i * n + j] > least ? all[i * n + j] : least);
    }
}

/* @tool log_masses inner_products largest_product */
/* ln |(sum of +-p)^2| of systems of particles, with a minus for the pair of largest product: the incoming ones. */
static void log_masses(int n, const double *p, int systems, const int *members, double floor, double tiny, double *out)
{
    double all[LZ_PARTICLES * LZ_PARTICLES];
    int first, second;
    inner_products(n, p, all);
    double least = floor * largest_product(n, all, &first, &second);
    if (!(least > tiny)) least = tiny;
    for (int s = 0; s < systems; ++s) {
        const int count = *members++;
        double total = 0.0;
        for (int a = 0; a < count; ++a) {
            const int i = members[a];
            for (int b = a + 1; b < count; ++b) {
                const int j = members[b];
                const int incoming = (i == first || i == second) + (j == first || j == second);
                const double product = 2.0 * all[i * n + j];
                total += incoming == 1 ? -product : product;
            }
        }
        for (int a = 0; a < count; ++a) total += all[members[a] * n + members[a]];
        members += count;
        total = fabs(total);
        out[s] = log(total > least ? total : least);
    }
}

/* @tool standardise */
/* (x - mean)/deviation. */
static void standardise(int n, const double *mean, const double *deviation, const double *x, double *out)
{
    for (int k = 0; k < n; ++k) out[k] = (x[k] - mean[k]) / deviation[k];
}

/* @tool scale */
/* x factor + shift. */
static void scale(int n, const double *factor, const double *shift, const double *x, double *out)
{
    for (int k = 0; k < n; ++k) out[k] = x[k] * factor[k] + shift[k];
}

/* @tool abs_log_inverse */
/* sign(x) (exp|x| - 1). */
static double abs_log_inverse(double x)
{
    return copysign(expm1(fabs(x)), x);
}

/* @tool polynomial */
/* Sum of all monomials up to a degree: each is one of the degree before times a variable that is not before its last. */
static double polynomial(int variables, int degree, int monomials, const double *coefficients, const double *x,
                         double *value, int *last)
{
    double sum = coefficients[0];
    int begin = 0, end = 1;
    value[0] = 1.0;
    last[0] = 0;
    for (int d = 1; d <= degree; ++d) {
        int next = end;
        for (int parent = begin; parent < end; ++parent) {
            for (int v = last[parent]; v < variables && next < monomials; ++v, ++next) {
                value[next] = value[parent] * x[v];
                last[next] = v;
                sum += coefficients[next] * value[next];
            }
        }
        begin = end;
        end = next;
    }
    return sum;
}

/* @tool exact_affine */
/* W x + b in double precision. */
static void exact_affine(int in, int out, const double *w, const double *b, const double *x, double *y)
{
    for (int j = 0; j < out; ++j) y[j] = b[j];
    for (int k = 0; k < in; ++k) {
        for (int j = 0; j < out; ++j) y[j] += w[k * out + j] * x[k];
    }
}

/* @tool affine */
/* W x + b of some events, W by inputs. Six events share the weights that are loaded; outputs stand side by side. */
#if defined(__GNUC__)
#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64 };
#elif defined(__AVX__)
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif
typedef real lanes __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose_lanes __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
enum { LANES = VECTOR_BYTES / sizeof(real), WIDTH = 2 * LANES, TOGETHER = 6 };

static inline lanes take(const real *p) { return *(const loose_lanes *)p; }
static inline void put(real *p, lanes v) { *(loose_lanes *)p = v; }

/* So many vectors of outputs of so many events, at most 2 TOGETHER of both. */
static inline __attribute__((always_inline)) void affine_some(int events, int vectors, int in, int out, const real *w,
                                                              const real *b, const real *x, real *y)
{
    lanes sum[TOGETHER * 2];
    for (int e = 0; e < events; ++e) {
        for (int v = 0; v < vectors; ++v) sum[e * vectors + v] = take(b + v * LANES);
    }
    for (int k = 0; k < in; ++k, w += out) {
        for (int v = 0; v < vectors; ++v) {
            const lanes weights = take(w + v * LANES);
            for (int e = 0; e < events; ++e) sum[e * vectors + v] += weights * x[e * in + k];
        }
    }
    for (int e = 0; e < events; ++e) {
        for (int v = 0; v < vectors; ++v) put(y + e * out + v * LANES, sum[e * vectors + v]);
    }
}

static void affine_wide(int events, int in, int out, int wide, const real *w, const real *b, const real *x, real *y)
{
    int e = events - events % TOGETHER;
    for (int j = 0; j < wide; j += WIDTH) {
        for (int six = 0; six < e; six += TOGETHER) {
            affine_some(TOGETHER, 2, in, out, w + j, b + j, x + six * in, y + six * out + j);
        }
    }
    /* Few events take more outputs at a time, so that sums enough are under way. */
    for (; e + 2 <= events; e += 2) {
        int j = 0;
        for (; j + 2 * WIDTH <= wide; j += 2 * WIDTH) {
            affine_some(2, 4, in, out, w + j, b + j, x + e * in, y + e * out + j);
        }
        for (; j < wide; j += WIDTH) affine_some(2, 2, in, out, w + j, b + j, x + e * in, y + e * out + j);
    }
    for (; e < events; ++e) {
        int j = 0;
        for (; j + 4 * WIDTH <= wide; j += 4 * WIDTH) {
            affine_some(1, 8, in, out, w + j, b + j, x + e * in, y + e * out + j);
        }
        for (; j < wide; j += WIDTH) affine_some(1, 2, in, out, w + j, b + j, x + e * in, y + e * out + j);
    }
}
#else
enum { WIDTH = 1 };

static void affine_wide(int events, int in, int out, int wide, const real *w, const real *b, const real *x, real *y)
{
    for (int e = 0; e < events; ++e) {
        for (int j = 0; j < wide; ++j) y[e * out + j] = b[j];
        for (int k = 0; k < in; ++k) {
            for (int j = 0; j < wide; ++j) y[e * out + j] += w[k * out + j] * x[e * in + k];
        }
    }
}
#endif

static void affine(int events, int in, int out, const real *w, const real *b, const real *x, real *y)
{
    const int wide = out - out % WIDTH;
    affine_wide(events, in, out, wide, w, b, x, y);
    for (int j = wide; j < out; ++j) {
        for (int e = 0; e < events; ++e) {
            /* Four sums, of which none waits for the other; in double, whatever the weights are. */
            double sum[4] = {0.0, 0.0, 0.0, 0.0};
            const int even = in - in % 4;
            for (int k = 0; k < even; k += 4) {
                for (int s = 0; s < 4; ++s) sum[s] += (double)w[(k + s) * out + j] * x[e * in + k + s];
            }
            for (int k = even; k < in; ++k) sum[0] += (double)w[k * out + j] * x[e * in + k];
            y[e * out + j] = (real)(b[j] + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
        }
    }
}

/* @tool relu */
static void relu(int n, const real *x, real *out)
{
    for (int k = 0; k < n; ++k) out[k] = x[k] < 0 ? 0 : x[k];
}

/* @tool exp_below */
/* exp(x) for x <= 0, zero below -700, without a branch, so that a compiler makes vectors of it: 2^k exp(r), |r| < 0.35. */
static inline double exp_below(double x)
{
    const double shift = 6755399441055744.0; /* 3 2^51: what is added to it is rounded to a whole number */
    x = x > -700.0 ? x : -700.0;
    const double shifted = x * 1.4426950408889634 + shift;
    const double k = shifted - shift;
    const double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    double sum = 1.0 / 6227020800.0;
    sum = sum * r + 1.0 / 479001600.0;
    sum = sum * r + 1.0 / 39916800.0;
    sum = sum * r + 1.0 / 3628800.0;
    sum = sum * r + 1.0 / 362880.0;
    sum = sum * r + 1.0 / 40320.0;
    sum = sum * r + 1.0 / 5040.0;
    sum = sum * r + 1.0 / 720.0;
    sum = sum * r + 1.0 / 120.0;
    sum = sum * r + 1.0 / 24.0;
    sum = sum * r + 1.0 / 6.0;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + 0x3ff0000000000000u;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* @tool gelu exp_below */
/* x Phi(x), with erfc(z) = exp(-z^2) P(z)/Q(z) within 2e-17 up to z = 6.2, where it is below 1e-17. */
static inline double gelu_of(double x)
{
    double z = fabs(x) * 0.70710678118654752440;
    z = z < 6.2 ? z : 6.2;
    double p = 0.00012892061469478505;
    p = p * z + 0.0023673971497827973;
    p = p * z + 0.020742165433921142;
    p = p * z + 0.11226998854015706;
    p = p * z + 0.40913266060320475;
    p = p * z + 1.0286013043975497;
    p = p * z + 1.7524005684114425;
    p = p * z + 1.8746764135966237;
    p = p * z + 1.0;
    double q = 0.00022850583605819538;
    q = q * z + 0.0041961024324514878;
    q = q * z + 0.03687877703370523;
    q = q * z + 0.20109155171682919;
    q = q * z + 0.74343509114303245;
    q = q * z + 1.9205639636725308;
    q = q * z + 3.4504007488528537;
    q = q * z + 4.1409859232942236;
    q = q * z + 3.0030555806921392;
    q = q * z + 1.0;
    const double half = 0.5 * exp_below(-z * z) * (p / q);
    return x * (x < 0.0 ? half : 1.0 - half);
}

static void gelu(int n, const real *x, real *out)
{
    for (int k = 0; k < n; ++k) out[k] = (real)gelu_of(x[k]);
}

/* @tool silu exp_below */
/* x/(1 + exp(-x)), by the exponential of what is negative. */
static inline double silu_of(double x)
{
    const double e = exp_below(-fabs(x));
    return x * (x < 0.0 ? e : 1.0) / (1.0 + e);
}

static void silu(int n, const real *x, real *out)
{
    for (int k = 0; k < n; ++k) out[k] = (real)silu_of(x[k]);
}

