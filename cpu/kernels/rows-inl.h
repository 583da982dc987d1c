// Kernels on one row of floats. Sums have a fixed order: four vectors of partial sums, whatever the
// row. The last piece of a row may be less than a vector.
TYTO_ISA_BEGIN
namespace tyto::cpu::TYTO_ISA {
namespace {

constexpr std::size_t kStep = kLanes;

// Lanes of the piece of [0, n) that begins at i.
inline int lanes_at(std::size_t i, std::size_t n) {
  return static_cast<int>(n - i < kStep ? n - i : kStep);
}

// The sum of (x[i] - center)^2.
inline float sum_of_squares(const float* x, std::size_t n, float center) {
  Floats sums[4] = {broadcast(0.0f), broadcast(0.0f), broadcast(0.0f), broadcast(0.0f)};
  const Floats middle = broadcast(center);
  std::size_t i = 0;
  for (; i + 4 * kStep <= n; i += 4 * kStep) {
    for (std::size_t j = 0; j < 4; ++j) {
      const Floats d = load(x + i + j * kStep) - middle;
      sums[j] = fma(d, d, sums[j]);
    }
  }
  for (; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    const Floats d = keep_between(load(x + i, lanes) - middle, 0, 0, lanes, 0.0f);
    sums[0] = fma(d, d, sums[0]);
  }
  return sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

inline float mean_of(const float* x, std::size_t n) {
  Floats sum = broadcast(0.0f);
  for (std::size_t i = 0; i < n; i += kStep) sum = sum + load(x + i, lanes_at(i, n));
  return sum_of(sum) / static_cast<float>(n);
}

inline float inverse_root(float squares, std::size_t n, float eps) {
  return 1.0f / std::sqrt(squares / static_cast<float>(n) + eps);
}

inline void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* out) {
  const Floats factor = broadcast(inverse_root(sum_of_squares(x, n, 0.0f), n, eps));
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    store(load(x + i, lanes) * factor * load(weight + i, lanes), out + i, lanes);
  }
}

inline void layer_norm(const float* x, const float* weight, const float* bias, std::size_t n,
                       float eps, float* out) {
  const float mean = mean_of(x, n);
  const Floats factor = broadcast(inverse_root(sum_of_squares(x, n, mean), n, eps));
  const Floats middle = broadcast(mean);
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    Floats scaled = (load(x + i, lanes) - middle) * factor * load(weight + i, lanes);
    if (bias) scaled = scaled + load(bias + i, lanes);
    store(scaled, out + i, lanes);
  }
}

inline void add(const float* y, std::size_t n, float* x) {
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    store(load(x + i, lanes) + load(y + i, lanes), x + i, lanes);
  }
}

inline void add_scaled(const float* y, float scale, std::size_t n, float* x) {
  const Floats factor = broadcast(scale);
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    store(fma(factor, load(y + i, lanes), load(x + i, lanes)), x + i, lanes);
  }
}

inline void softmax(float* x, std::size_t n) {
  float largest = x[0], sum = 0;
  for (std::size_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  for (std::size_t i = 0; i < n; ++i) sum += x[i] = exp(x[i] - largest);
  for (std::size_t i = 0; i < n; ++i) x[i] /= sum;
}

template <Floats (*kFunction)(Floats)>
void activate(const float* x, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    store(kFunction(load(x + i, lanes)), out + i, lanes);
  }
}

template <Floats (*kFunction)(Floats)>
void gate(const float* gates, const float* up, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    store(kFunction(load(gates + i, lanes)) * load(up + i, lanes), out + i, lanes);
  }
}

// a * cosine + b * sine, and the same for b, whose sine has the other sign.
inline void rotate_apart(float* a, float* b, const float* cosines, const float* sines,
                         std::size_t half) {
  for (std::size_t i = 0; i < half; i += kStep) {
    const int lanes = lanes_at(i, half);
    const Floats x = load(a + i, lanes), y = load(b + i, lanes);
    const Floats scaled_x = x * load(cosines + i, lanes);
    const Floats scaled_y = y * load(cosines + half + i, lanes);
    store(fma(y, load(sines + i, lanes), scaled_x), a + i, lanes);
    store(fma(x, load(sines + half + i, lanes), scaled_y), b + i, lanes);
  }
}

inline void rotate_neighbors(float* head, const float* cosines, const float* sines, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kStep) {
    const int lanes = lanes_at(i, n);
    const Floats x = load(head + i, lanes);
    const Floats scaled = x * load(cosines + i, lanes);
    store(fma(swap_neighbors(x), load(sines + i, lanes), scaled), head + i, lanes);
  }
}

inline void rotate(float* head, const float* cosines, const float* sines, int dims,
                   bool interleaved) {
  const auto n = static_cast<std::size_t>(dims);
  if (!interleaved) return rotate_apart(head, head + n / 2, cosines, sines, n / 2);
  if (kLanes > 1) return rotate_neighbors(head, cosines, sines, n);
  for (std::size_t i = 0; i < n; i += 2)
    rotate_apart(head + i, head + i + 1, cosines + i, sines + i, 1);
}

}  // namespace
}  // namespace tyto::cpu::TYTO_ISA
TYTO_ISA_END
