/* q qbar -> Z + @N@ g at tree level: Berends-Giele recursion in light-cone components (E + pz, E - pz, px + i py, px - i py).
 * Averaged over incoming spins and colours, with 1/n! for identical gluons; couplings are part of the factor. */
typedef struct {
    double re, im;
} complex_number;

enum { GLUONS = @N@, ORDERS = @ORDERS@ };
static const double colour_factors[ORDERS][ORDERS] = {
@COLOUR@
};
static const int gluon_orders[ORDERS][GLUONS] = {
@ORDER_TABLE@
};

static complex_number add2(complex_number a, complex_number b) { return (complex_number){a.re + b.re, a.im + b.im}; }
static complex_number sub2(complex_number a, complex_number b) { return (complex_number){a.re - b.re, a.im - b.im}; }
static complex_number times(complex_number a, complex_number b)
{
    return (complex_number){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static complex_number scaled(double x, complex_number a) { return (complex_number){x * a.re, x * a.im}; }
static complex_number conjugate(complex_number a) { return (complex_number){a.re, -a.im}; }

/* a.b = (a0 b1 + a1 b0 - a2 b3 - a3 b2)/2 */
static complex_number contract(const complex_number *a, const complex_number *b)
{
    const complex_number along = add2(times(a[0], b[1]), times(a[1], b[0]));
    return scaled(0.5, sub2(along, add2(times(a[2], b[3]), times(a[3], b[2]))));
}

static void to_lightcone(double e, double x, double y, double z, complex_number *out)
{
    out[0] = (complex_number){e + z, 0.0};
    out[1] = (complex_number){e - z, 0.0};
    out[2] = (complex_number){x, y};
    out[3] = (complex_number){x, -y};
}

/* Left-handed spinor of a massless momentum, from the larger of E + pz and E - pz. */
static void find_spinor(const double *p, complex_number *out)
{
    const double large = sqrt(p[0] + fabs(p[3]));
    if (p[3] >= 0.0) {
        out[0] = (complex_number){-p[1] / large, p[2] / large};
        out[1] = (complex_number){large, 0.0};
    } else {
        out[0] = (complex_number){-large, 0.0};
        out[1] = (complex_number){p[1] / large, p[2] / large};
    }
}

/* Outgoing polarisations -, +: (e1 +- i e2)/sqrt 2, with e1 along the polar, e2 along the azimuthal direction. */
static void find_transverse(const double *p, complex_number *minus, complex_number *plus)
{
    const double across = hypot(p[1], p[2]), length = hypot(across, p[3]), root = sqrt(0.5);
    const double cos_phi = across > 0.0 ? p[1] / across : 1.0, sin_phi = across > 0.0 ? p[2] / across : 0.0;
    const double cosine = p[3] / length, sine = across / length;
    complex_number polar[4], azimuthal[4];
    to_lightcone(0.0, cosine * cos_phi, cosine * sin_phi, -sine, polar);
    to_lightcone(0.0, -sin_phi, cos_phi, 0.0, azimuthal);
    for (int c = 0; c < 4; ++c) {
        const complex_number turned = {-azimuthal[c].im, azimuthal[c].re};
        minus[c] = scaled(root, add2(polar[c], turned));
        plus[c] = scaled(root, sub2(polar[c], turned));
    }
}

/* Polarisation 0 of a massive boson less p/m: m/(E + |p|) (-1, p/|p|). */
static void find_longitudinal(const double *p, complex_number *out)
{
    const double length = sqrt(p[1] * p[1] + p[2] * p[2] + p[3] * p[3]);
    const double size = sqrt((p[0] - length) * (p[0] + length)) / (p[0] + length);
    if (length > 0.0) to_lightcone(-size, size * p[1] / length, size * p[2] / length, size * p[3] / length, out);
    else to_lightcone(-size, 0.0, 0.0, size, out);
}

static void add_vectors(const complex_number *a, const complex_number *b, complex_number *out)
{
    for (int c = 0; c < 4; ++c) out[c] = add2(a[c], b[c]);
}

/* Off-shell current of gluons first..last of an order, from shorter ones; k are momenta of such parts. */
static void join_currents(int first, int last, complex_number j[GLUONS][GLUONS][4], complex_number k[GLUONS][GLUONS][4])
{
    complex_number total[4] = {{0.0, 0.0}, {0.0, 0.0}, {0.0, 0.0}, {0.0, 0.0}};
    for (int cut = first; cut < last; ++cut) {
        const complex_number *a = j[first][cut], *p = k[first][cut], *b = j[cut + 1][last], *q = k[cut + 1][last];
        const complex_number qa = scaled(2.0, contract(q, a)), pb = scaled(2.0, contract(p, b)), ab = contract(a, b);
        for (int c = 0; c < 4; ++c) {
            total[c] = add2(total[c], sub2(times(qa, b[c]), times(pb, a[c])));
            total[c] = add2(total[c], times(ab, sub2(p[c], q[c])));
        }
        for (int second = cut + 1; second < last; ++second) {
            const complex_number *m = j[cut + 1][second], *z = j[second + 1][last];
            const complex_number az = scaled(2.0, contract(a, z)), am = contract(a, m), mz = contract(m, z);
            for (int c = 0; c < 4; ++c) {
                total[c] = add2(total[c], sub2(times(az, m[c]), add2(times(am, z[c]), times(mz, a[c]))));
            }
        }
    }
    const double square = contract(k[first][last], k[first][last]).re;
    for (int c = 0; c < 4; ++c) j[first][last][c] = scaled(1.0 / square, total[c]);
}

/* (p.sigma) psi/p^2 */
static void propagate_left(const complex_number *p, complex_number *psi)
{
    const double over = 1.0 / contract(p, p).re;
    const complex_number upper = sub2(times(p[1], psi[0]), times(p[3], psi[1]));
    psi[1] = scaled(over, sub2(times(p[0], psi[1]), times(p[2], psi[0])));
    psi[0] = scaled(over, upper);
}

/* chi (p.sigma)/p^2 */
static void propagate_right(const complex_number *p, complex_number *chi)
{
    const double over = 1.0 / contract(p, p).re;
    const complex_number upper = sub2(times(chi[0], p[1]), times(chi[1], p[2]));
    chi[1] = scaled(over, sub2(times(chi[1], p[0]), times(chi[0], p[3])));
    chi[0] = scaled(over, upper);
}

/* Amplitudes of one order of the gluons, for the three polarisations of the Z. */
static void order_amplitudes(complex_number k[GLUONS][GLUONS][4], complex_number j[GLUONS][GLUONS][4],
                             const complex_number *q, const complex_number *qbar, const complex_number *u,
                             const complex_number *v, complex_number z[3][4], complex_number out[3])
{
    complex_number psi[GLUONS + 1][2], chi[GLUONS + 1][2], p[4], bispinor[2][2] = {{{0.0, 0.0}, {0.0, 0.0}}, {{0.0, 0.0}, {0.0, 0.0}}};
    for (int length = 2; length <= GLUONS; ++length) {
        for (int first = 0; first + length <= GLUONS; ++first) {
            add_vectors(k[first][first], k[first + 1][first + length - 1], k[first][first + length - 1]);
            join_currents(first, first + length - 1, j, k);
        }
    }
    for (int s = 0; s < 2; ++s) {
        psi[0][s] = u[s];
        chi[0][s] = v[s];
    }
    for (int length = 1; length <= GLUONS; ++length) {
        complex_number left[2] = {{0.0, 0.0}, {0.0, 0.0}}, right[2] = {{0.0, 0.0}, {0.0, 0.0}};
        const int last = GLUONS - 1, begin = GLUONS - length;
        for (int cut = 0; cut < length; ++cut) {
            const complex_number *a = j[cut][length - 1], *b = j[begin][begin + cut];
            const complex_number *x = psi[cut], *y = chi[length - 1 - cut];
            left[0] = add2(left[0], add2(times(a[0], x[0]), times(a[3], x[1])));
            left[1] = add2(left[1], add2(times(a[2], x[0]), times(a[1], x[1])));
            right[0] = add2(right[0], add2(times(y[0], b[0]), times(y[1], b[2])));
            right[1] = add2(right[1], add2(times(y[0], b[3]), times(y[1], b[1])));
        }
        for (int c = 0; c < 4; ++c) p[c] = sub2(q[c], k[0][length - 1][c]);
        propagate_left(p, left);
        for (int c = 0; c < 4; ++c) p[c] = sub2(k[begin][last][c], qbar[c]);
        propagate_right(p, right);
        for (int s = 0; s < 2; ++s) {
            psi[length][s] = left[s];
            chi[length][s] = right[s];
        }
    }
    for (int m = 0; m <= GLUONS; ++m) {
        for (int r = 0; r < 2; ++r) {
            for (int l = 0; l < 2; ++l) bispinor[r][l] = add2(bispinor[r][l], times(chi[GLUONS - m][r], psi[m][l]));
        }
    }
    for (int s = 0; s < 3; ++s) {
        out[s] = add2(add2(times(bispinor[0][0], z[s][0]), times(bispinor[0][1], z[s][3])),
                      add2(times(bispinor[1][0], z[s][2]), times(bispinor[1][1], z[s][1])));
    }
}

static double @NAME@(const double *momenta)
{
    complex_number q[4], qbar[4], u[2], v[2], z[3][4], one[GLUONS][4], polarisation[GLUONS][2][4];
    to_lightcone(momenta[0], momenta[1], momenta[2], momenta[3], q);
    to_lightcone(momenta[4], momenta[5], momenta[6], momenta[7], qbar);
    find_spinor(momenta, u);
    find_spinor(momenta + 4, v);
    v[0] = conjugate(v[0]);
    v[1] = conjugate(v[1]);
    find_transverse(momenta + 8, z[0], z[2]);
    find_longitudinal(momenta + 8, z[1]);
    for (int g = 0; g < GLUONS; ++g) {
        const double *p = momenta + 12 + 4 * g;
        to_lightcone(p[0], p[1], p[2], p[3], one[g]);
        find_transverse(p, polarisation[g][0], polarisation[g][1]);
    }
    double sum = 0.0;
    for (int helicities = 0; helicities < 1 << GLUONS; ++helicities) {
        complex_number amplitude[ORDERS][3], k[GLUONS][GLUONS][4], j[GLUONS][GLUONS][4];
        for (int o = 0; o < ORDERS; ++o) {
            for (int place = 0; place < GLUONS; ++place) {
                const int g = gluon_orders[o][place];
                for (int c = 0; c < 4; ++c) {
                    k[place][place][c] = one[g][c];
                    j[place][place][c] = polarisation[g][helicities >> g & 1][c];
                }
            }
            order_amplitudes(k, j, q, qbar, u, v, z, amplitude[o]);
        }
        for (int s = 0; s < 3; ++s) {
            for (int a = 0; a < ORDERS; ++a) {
                for (int b = 0; b < ORDERS; ++b) {
                    sum += colour_factors[a][b] * (amplitude[a][s].re * amplitude[b][s].re + amplitude[a][s].im * amplitude[b][s].im);
                }
            }
        }
    }
    return @FACTOR@ * sum;
}
