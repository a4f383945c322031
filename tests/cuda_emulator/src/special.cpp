// CUDA's functions of numbers that the host's libm lacks.
#include <math.h>

#include "emulator.h"

// exp(x^2) erfc(x). The product of the two is fine while neither over- nor underflows, if x^2 is carried in two parts;
// beyond, three terms of the asymptotic series are exact to double precision.
EMULATOR_API double emulator_erfcx(double x) {
    if (x < 25) {
        double square = x * x, rest = fma(x, x, -square);
        double value = exp(square) * erfc(x);
        return value < INFINITY ? value * (1 + rest) : value;
    }
    double u = 1 / (2 * x * x);
    return (1 - u * (1 - 3 * u * (1 - 5 * u * (1 - 7 * u)))) / (x * 1.7724538509055160273);
}

// The root of erfc(x) = q for q in (0, 1]: Newton's steps on the logarithm, which is nearly a parabola.
static double root_of_erfc(double q) {
    double t = sqrt(-2 * log(q / 2)), x = (t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                                                   (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))) * M_SQRT1_2;
    for (int i = 0; i < 4; ++i) {
        double scaled = emulator_erfcx(x);  // d log erfc / dx = -2 / (sqrt(pi) erfcx)
        x += (log(scaled) - x * x - log(q)) * scaled * 0.88622692545275801365;
    }
    return x;
}

EMULATOR_API double emulator_erfcinv(double q) {
    if (!(q >= 0 && q <= 2)) return NAN;
    if (q == 0 || q == 2) return q == 0 ? INFINITY : -INFINITY;
    return q <= 1 ? root_of_erfc(q) : -root_of_erfc(2 - q);
}

EMULATOR_API double emulator_erfinv(double p) {
    if (!(fabs(p) <= 1)) return NAN;
    if (fabs(p) == 1) return p * INFINITY;
    double x = fabs(p) < 0.5 ? p * 0.88622692545275801365 : copysign(root_of_erfc(1 - fabs(p)), p);
    for (int i = 0; i < (fabs(p) < 0.5 ? 8 : 0); ++i) x -= (erf(x) - p) * exp(x * x) * 0.88622692545275801365;
    return x;
}

EMULATOR_API double emulator_normcdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
EMULATOR_API double emulator_normcdfinv(double p) { return -M_SQRT2 * emulator_erfcinv(2 * p); }

// Reduced exactly to a quarter turn first, so that whole and half turns give exact results.
EMULATOR_API double emulator_sinpi(double x) {
    double r = remainder(x, 2);
    if (fabs(r) > 0.5) r = copysign(1, r) - r;
    return fabs(r) == 1 ? copysign(0, x) : sin(M_PI * r);
}
EMULATOR_API double emulator_cospi(double x) {
    double r = fabs(remainder(x, 2));
    return r == 0.5 ? 0 : r < 0.25 ? cos(M_PI * r) : sin(M_PI * (0.5 - r));
}

static double bessel_series(double x, int order) {
    double term = order ? x / 2 : 1, sum = term, quarter = x * x / 4;
    for (int k = 1; k < 500 && fabs(term) > 1e-17 * fabs(sum); ++k) sum += term *= quarter / (k * (k + order));
    return sum;
}
EMULATOR_API double emulator_cyl_bessel_i0(double x) { return bessel_series(x, 0); }
EMULATOR_API double emulator_cyl_bessel_i1(double x) { return bessel_series(x, 1); }
