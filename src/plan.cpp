#include "src/plan.h"

namespace tyto {
namespace {

void collect(const TensorId& id, std::vector<int>& out) {
  if (id) out.push_back(id.index);
}
void collect(const Linear& linear, std::vector<int>& out) {
  collect(linear.weight, out);
  collect(linear.bias, out);
}
void collect(const Norm& norm, std::vector<int>& out) {
  collect(norm.weight, out);
  collect(norm.bias, out);
}
template <class... Parts>
void collect_all(std::vector<int>& out, const Parts&... parts) {
  (collect(parts, out), ...);
}

struct Collector {
  std::vector<int>& out;
  void operator()(const Embed& b) const { collect_all(out, b.table, b.positions); }
  void operator()(const Attention& b) const {
    collect_all(out, b.norm, b.q, b.k, b.v, b.q_norm, b.k_norm, b.rope.factors, b.out);
  }
  void operator()(const Mlp& b) const { collect_all(out, b.norm, b.gate, b.up, b.down); }
  void operator()(const Moe& b) const { collect_all(out, b.norm, b.router, b.gate, b.up, b.down); }
  void operator()(const Head& b) const { collect_all(out, b.norm, b.logits); }
};

}  // namespace

std::vector<int> tensors_of(const Block& block) {
  std::vector<int> out;
  std::visit(Collector{out}, block);
  return out;
}

}  // namespace tyto
