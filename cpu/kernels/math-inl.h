// Functions of vectors of floats. No libm: every library has its own, and a step must not depend on
// which.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

// e^x within 2 ulp; 0 below -87.3 and infinity above 88.4. NaN stays NaN.
// Reduction and polynomial: Cephes (Moshier), expf.
inline Floats exp(Floats x) {
  const Floats magic = broadcast(0x1.8p23f);  // adding it rounds to an integer
  const Floats y = min(broadcast(89.0f), max(broadcast(-88.0f), x));
  const Floats shifted = fma(y, broadcast(1.44269504f), magic);
  const Floats n = shifted - magic;
  Floats r = fma(n, broadcast(-0.693359375f), y);  // ln 2 in two parts; n times the first is exact
  r = fma(n, broadcast(2.12194440e-4f), r);
  Floats p = broadcast(1.9875691500e-4f);
  p = fma(p, r, broadcast(1.3981999507e-3f));
  p = fma(p, r, broadcast(8.3334519073e-3f));
  p = fma(p, r, broadcast(4.1665795894e-2f));
  p = fma(p, r, broadcast(1.6666665459e-1f));
  p = fma(p, r, broadcast(5.0000001201e-1f));
  p = fma(p, r * r, r) + broadcast(1.0f);
  return choose_below(x, broadcast(-87.3f), broadcast(0.0f), p * power_of_two(shifted));
}

inline float exp(float x) { return first_of(exp(broadcast(x))); }

// The complementary error function for z >= 0, relative error below 2e-7 while z < 1.
// Chebyshev fit of Numerical Recipes (Press et al.), erfcc.
inline Floats erfc_of_positive(Floats z) {
  const Floats t = broadcast(1.0f) / fma(broadcast(0.5f), z, broadcast(1.0f));
  Floats p = broadcast(0.17087277f);
  p = fma(p, t, broadcast(-0.82215223f));
  p = fma(p, t, broadcast(1.48851587f));
  p = fma(p, t, broadcast(-1.13520398f));
  p = fma(p, t, broadcast(0.27886807f));
  p = fma(p, t, broadcast(-0.18628806f));
  p = fma(p, t, broadcast(0.09678418f));
  p = fma(p, t, broadcast(0.37409196f));
  p = fma(p, t, broadcast(1.00002368f));
  p = fma(p, t, broadcast(-1.26551223f));
  return t * exp(fma(broadcast(0.0f) - z, z, p));
}

inline Floats silu(Floats x) { return x / (broadcast(1.0f) + exp(broadcast(0.0f) - x)); }

inline Floats gelu(Floats x) {  // x * Phi(x)
  const Floats zero = broadcast(0.0f);
  const Floats tail = broadcast(0.5f) * erfc_of_positive(max(x, zero - x) * broadcast(0.70710678f));
  return x * choose_below(x, zero, tail, broadcast(1.0f) - tail);
}

inline Floats gelu_tanh(Floats x) {  // x * (1 + tanh u) / 2 = x / (1 + e^(-2u))
  const Floats u2 =
      x * fma(x * x, broadcast(2 * 0.79788456f * 0.044715f), broadcast(2 * 0.79788456f));
  return x / (broadcast(1.0f) + exp(broadcast(0.0f) - u2));
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
