// Sine and cosine in double, without libm: the same bits on every machine. Absolute error below
// 1e-15 up to |x| = 10^6, growing to 1e-6 at 10^9.
// Constants and polynomials: fdlibm (Sun Microsystems, 1993), e_rem_pio2.c, k_sin.c, k_cos.c.
#pragma once
#include <limits>

namespace tyto::cpu {

struct SinCos {
  double sin, cos;
};

inline SinCos sin_cos(double x) noexcept {
  constexpr double kMagic = 0x1.8p52;  // adding it rounds to an integer
  const double n = (x * 6.36619772367581382433e-01 + kMagic) - kMagic;
  double r =
      x - n * 1.57079632673412561417e+00;  // pi / 2 in three parts; n times the first two is exact
  r -= n * 6.07710050630396597660e-11;
  r -= n * 2.02226624879595063154e-21;
  const double z = r * r;
  const double s =
      r + r * z *
              (-1.66666666666666324348e-01 +
               z * (8.33333333332248946124e-03 +
                    z * (-1.98412698298579493134e-04 +
                         z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 +
                                                                z * 1.58969099521155010221e-10)))));
  const double c =
      1.0 - 0.5 * z +
      z * z *
          (4.16666666666666019037e-02 +
           z * (-1.38888888888741095749e-03 +
                z * (2.48015872894767294178e-05 +
                     z * (-2.75573143513906633035e-07 +
                          z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  // Only a file's absurd frequencies turn so often: not a number, which sampling reports.
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (!(n > -0x1p62 && n < 0x1p62)) return {kNone, kNone};
  switch (static_cast<long long>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace tyto::cpu
