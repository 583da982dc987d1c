#include "tests/fake_amx/instructions.h"

#include <cstring>

namespace fake_amx {
namespace {

// Every instruction of AMX begins with a VEX prefix of three bytes and the opcode map 0F38 (Intel
// 64 manual, volume 2, 2.3): C4, then R, X, B and the map, then W, vvvv, L and pp; opcode; ModRM.
class Instruction {
 public:
  Instruction(const std::uint8_t* code, const greg_t* registers)
      : code_(code), registers_(registers) {}

  bool has_vex_0f38() const {
    return code_[0] == 0xc4 && (code_[1] & 0x1f) == 2 && (code_[2] & 0x84) == 0;  // W0, L 128
  }
  // What pp stands for.
  enum Prefix { kNone, k66, kF3, kF2 };
  int opcode() const { return code_[3]; }
  Prefix prefix() const { return static_cast<Prefix>(code_[2] & 3); }

  bool of_registers() const { return mod() == 3; }
  int reg() const { return code_[4] >> 3 & 7; }
  int rm() const { return code_[4] & 7; }
  int vvvv() const { return ~(code_[2] >> 3) & 15; }

  bool has_index() const { return rm() == 4 && index() != 4; }
  // Without the index: for AMX that is the stride.
  std::uint64_t address() const {
    if (mod() == 0 && rm() == 5) return next() + displacement();  // from the instruction's end
    if (rm() != 4) return at(rm() | extension(5)) + displacement();
    if (mod() == 0 && base() == 5) return displacement();
    return at(base() | extension(5)) + displacement();
  }
  std::uint64_t scaled_index() const { return has_index() ? at(index()) << (code_[5] >> 6) : 0; }
  std::uint64_t next() const {
    return reinterpret_cast<std::uint64_t>(code_) + static_cast<std::uint64_t>(tail() + size());
  }

 private:
  int mod() const { return code_[4] >> 6; }
  int base() const { return code_[5] & 7; }
  int index() const { return (code_[5] >> 3 & 7) | extension(6); }
  int extension(int bit) const { return (code_[1] >> bit & 1) ? 0 : 8; }  // R, X and B are inverted

  // Where the displacement would be, and its size.
  int tail() const { return !of_registers() && rm() == 4 ? 6 : 5; }
  int size() const {
    if (mod() == 1) return 1;
    if (mod() == 2) return 4;
    return mod() == 0 && (rm() == 5 || (rm() == 4 && base() == 5)) ? 4 : 0;
  }
  std::uint64_t displacement() const {
    if (size() == 1) return static_cast<std::uint64_t>(static_cast<std::int8_t>(code_[tail()]));
    std::int32_t value = 0;
    if (size() == 4) std::memcpy(&value, code_ + tail(), sizeof(value));
    return static_cast<std::uint64_t>(std::int64_t{value});
  }

  // Registers as the instructions number them; the context has an order of its own.
  std::uint64_t at(int number) const {
    constexpr int kOrder[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                              REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                              REG_R12, REG_R13, REG_R14, REG_R15};
    return static_cast<std::uint64_t>(registers_[kOrder[number]]);
  }

  const std::uint8_t* code_;
  const greg_t* registers_;
};

void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

bool shape(const Instruction& in, Tiles& tiles) {  // opcode 49
  if (in.prefix() == Instruction::kF2 && in.of_registers()) return tiles.zero(in.reg()), true;
  if (in.prefix() != Instruction::kNone) return false;
  if (in.of_registers()) return tiles.release(), true;
  return tiles.configure(pointer(in.address() + in.scaled_index())), true;
}

bool move(const Instruction& in, Tiles& tiles) {  // opcode 4B
  if (in.of_registers() || in.rm() != 4) return false;
  const auto stride = static_cast<std::ptrdiff_t>(in.scaled_index());
  if (in.prefix() == Instruction::kF2)
    return tiles.load(in.reg(), pointer(in.address()), stride), true;
  if (in.prefix() == Instruction::kF3)
    return tiles.store(in.reg(), pointer(in.address()), stride), true;
  return false;
}

bool multiply(const Instruction& in, Tiles& tiles) {  // opcodes 5C and 5E
  if (!in.of_registers() || in.vvvv() > 7) return false;
  const int sums = in.reg(), records = in.rm(), weights = in.vvvv();
  if (in.opcode() == 0x5c && in.prefix() == Instruction::kF3)
    return tiles.multiply_bf16(sums, records, weights), true;
  if (in.opcode() == 0x5e && in.prefix() == Instruction::kF2)
    return tiles.multiply_signed(sums, records, weights), true;
  if (in.opcode() == 0x5e && in.prefix() == Instruction::kF3)
    return tiles.multiply_signed_unsigned(sums, records, weights), true;
  return false;
}

bool apply(const Instruction& in, Tiles& tiles) {
  if (!in.has_vex_0f38()) return false;
  switch (in.opcode()) {
    case 0x49:
      return shape(in, tiles);
    case 0x4b:
      return move(in, tiles);
    case 0x5c:
    case 0x5e:
      return multiply(in, tiles);
    default:
      return false;
  }
}

}  // namespace

bool execute(ucontext_t& context, Tiles& tiles) {
  greg_t* const registers = context.uc_mcontext.gregs;
  const Instruction in(reinterpret_cast<const std::uint8_t*>(registers[REG_RIP]), registers);
  if (!apply(in, tiles)) return false;
  registers[REG_RIP] = static_cast<greg_t>(in.next());
  return true;
}

}  // namespace fake_amx
