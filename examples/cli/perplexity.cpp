// tyto perplexity: how well a model predicts a text, and how far its distributions are from those
// of another.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "examples/cli/binary_file.h"
#include "examples/cli/carry.h"
#include "examples/cli/program.h"

namespace cli {
namespace {

struct PerplexityArguments {
  ModelArguments model;
  std::string file, save, base;
  int chunk = 256;
  std::optional<std::size_t> positions;
};

// log(sum(exp(logits)))
double log_sum_exp(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - top);
  return top + std::log(sum);
}

// A file of logits: this header, then for each position the token that follows it and [vocab]
// logits in float32.
struct LogitsHeader {
  std::array<char, 8> magic{'t', 'y', 't', 'o', 'l', 'g', 't', '1'};
  std::uint64_t vocab = 0, positions = 0;
};

class LogitsFileWriter {
 public:
  LogitsFileWriter(const std::string& path, LogitsHeader header) : out_(path) {
    out_.write(std::span<const LogitsHeader>(&header, 1));
  }
  void add(tyto::TokenId next, std::span<const float> logits) {
    out_.write(std::span<const tyto::TokenId>(&next, 1));
    out_.write(logits);
  }
  void close() { out_.close(); }

 private:
  BinaryWriter out_;
};

// Kullback-Leibler divergence from the distributions in a file, position by position.
class Divergence {
 public:
  Divergence(const std::string& path, const LogitsHeader& expected)
      : path_(path), base_(path), logits_(expected.vocab) {
    LogitsHeader header;
    base_.read(std::span<LogitsHeader>(&header, 1));
    if (header.magic != expected.magic)
      fail(tyto::ErrorCode::bad_file, path + ": not a file of logits");
    if (header.vocab != expected.vocab || header.positions < expected.positions)
      fail(tyto::ErrorCode::mismatch,
           fmt::format("{}: {} positions of {} logits, where {} of {} are expected", path,
                       header.positions, header.vocab, expected.positions, expected.vocab));
  }

  void add(tyto::TokenId next, std::span<const float> logits, double log_sum) {
    tyto::TokenId base_next = 0;
    base_.read(std::span<tyto::TokenId>(&base_next, 1));
    if (base_next != next)
      fail(tyto::ErrorCode::mismatch, path_ + ": made of another text or by another tokenizer");
    base_.read(std::span<float>(logits_));
    const double base_log_sum = log_sum_exp(logits_);
    double sum = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double base_log_p = double{logits_[i]} - base_log_sum;
      const double p = std::exp(base_log_p);
      if (p > 0) sum += p * (base_log_p - (double{logits[i]} - log_sum));
    }
    values_.push_back(sum);
    same_top_ += top(logits) == top(logits_) ? 1 : 0;
    base_loss_ += base_log_sum - double{logits_[static_cast<std::size_t>(next)]};
  }

  double mean() const {
    double sum = 0;
    for (const double value : values_) sum += value;
    return sum / static_cast<double>(values_.size());
  }
  double quantile(double fraction) const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(fraction * static_cast<double>(sorted.size() - 1))];
  }
  double same_top() const { return same_top_ / static_cast<double>(values_.size()); }
  double base_perplexity() const {
    return std::exp(base_loss_ / static_cast<double>(values_.size()));
  }

 private:
  static std::ptrdiff_t top(std::span<const float> logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  }
  std::string path_;
  BinaryReader base_;
  std::vector<float> logits_;
  std::vector<double> values_;
  double same_top_ = 0, base_loss_ = 0;
};

// Chunks of `chunk` tokens, each begun with the model's begin token if it has one. What is left
// over at the end is dropped, unless it is all there is.
std::vector<std::vector<tyto::TokenId>> chunks_of(const tyto::Tokenizer& tokenizer,
                                                  const PerplexityArguments& arguments) {
  const std::vector<tyto::TokenId> ids = tokenizer.encode(read_file(arguments.file)).value();
  const auto begin_token = tokenizer.begin_of_text();
  const auto step = static_cast<std::size_t>(arguments.chunk - (begin_token ? 1 : 0));
  std::vector<std::vector<tyto::TokenId>> chunks;
  for (std::size_t i = 0; i < ids.size(); i += step) {
    const std::size_t size = std::min(step, ids.size() - i);
    if (size < step && !chunks.empty()) break;
    std::vector<tyto::TokenId>& chunk = chunks.emplace_back();
    if (begin_token) chunk.push_back(*begin_token);
    chunk.insert(chunk.end(), ids.begin() + static_cast<std::ptrdiff_t>(i),
                 ids.begin() + static_cast<std::ptrdiff_t>(i + size));
  }
  return chunks;
}

// Cut to the chunks and tokens that score at most `limit` positions. Returns how many those are.
std::size_t limit_positions(std::vector<std::vector<tyto::TokenId>>& chunks, std::size_t limit) {
  std::size_t positions = 0, used = 0;
  for (; used < chunks.size() && positions < limit; ++used) {
    const std::size_t size = std::min(chunks[used].size() - 1, limit - positions);
    chunks[used].resize(size + 1);
    positions += size;
  }
  chunks.resize(used);
  return positions;
}

struct Score {
  double loss = 0, squares = 0;
  std::size_t positions = 0;
  void add(double position_loss) {
    loss += position_loss;
    squares += position_loss * position_loss;
    ++positions;
  }
  double perplexity() const { return std::exp(loss / static_cast<double>(positions)); }
  // Standard error of the perplexity, to first order.
  double uncertainty() const {
    const auto n = static_cast<double>(positions);
    const double variance = squares / n - loss / n * (loss / n);
    return n > 1 ? perplexity() * std::sqrt(std::max(variance, 0.0) / (n - 1)) : 0;
  }
};

void report(const Score& score, const Divergence* divergence, const tyto::Model& model,
            const Program& program) {
  if (program.json) {
    JsonObject object("tyto.perplexity.v1");
    object.text("model", model.describe())
        .integer("positions", static_cast<std::int64_t>(score.positions));
    object.number("perplexity", score.perplexity()).number("uncertainty", score.uncertainty());
    if (divergence != nullptr) {
      object.number("kl_mean", divergence->mean()).number("kl_median", divergence->quantile(0.5));
      object.number("kl_p99", divergence->quantile(0.99)).number("kl_max", divergence->quantile(1));
      object.number("same_top", divergence->same_top())
          .number("base_perplexity", divergence->base_perplexity());
    }
    return write_json(object);
  }
  write_out(fmt::format("perplexity {:.4f} +- {:.4f} over {} positions\n", score.perplexity(),
                        score.uncertainty(), score.positions));
  if (divergence == nullptr) return;
  write_out(fmt::format("KL divergence: mean {:.6g}, median {:.6g}, 99% {:.6g}, max {:.6g}\n",
                        divergence->mean(), divergence->quantile(0.5), divergence->quantile(0.99),
                        divergence->quantile(1)));
  write_out(fmt::format("same top token {:.2f}%, base perplexity {:.4f}\n",
                        100 * divergence->same_top(), divergence->base_perplexity()));
}

void perplexity(const PerplexityArguments& arguments, Program& program) {
  const tyto::Model model =
      load_model(arguments.model, model_options(arguments.model, program, arguments.chunk));
  auto chunks = chunks_of(model.tokenizer(), arguments);
  LogitsHeader header{.vocab = static_cast<std::uint64_t>(model.vocab_size())};
  header.positions = limit_positions(chunks, arguments.positions.value_or(SIZE_MAX));
  if (header.positions == 0)
    fail(tyto::ErrorCode::bad_argument, arguments.file + ": no position to score");
  std::optional<LogitsFileWriter> saved;
  std::optional<Divergence> divergence;
  if (!arguments.save.empty()) saved.emplace(arguments.save, header);
  if (!arguments.base.empty()) divergence.emplace(arguments.base, header);

  tyto::Session session =
      model.new_session({.context = arguments.chunk, .cancel = &program.cancel}).value();
  Score score;
  Carry carry;
  for (const std::vector<tyto::TokenId>& chunk : chunks) {
    const auto add = [&](std::size_t position, std::span<const float> logits) {
      if (position + 1 == chunk.size()) return false;  // nothing follows in this chunk
      const tyto::TokenId next = chunk[position + 1];
      const double log_sum = log_sum_exp(logits);
      score.add(log_sum - double{logits[static_cast<std::size_t>(next)]});
      if (saved) saved->add(next, logits);
      if (divergence) divergence->add(next, logits, log_sum);
      return true;
    };
    const auto on_logits = [&](std::size_t position, std::span<const float> logits) {
      return carry([&] { return add(position, logits); });
    };
    session.truncate(0).value();
    session.score(chunk, on_logits).value();
    carry.rethrow();
  }
  if (saved) saved->close();
  report(score, divergence ? &*divergence : nullptr, model, program);
}

}  // namespace

void add_perplexity(CLI::App& app, Program& program) {
  CLI::App* command = app.add_subcommand(
      "perplexity", "How well a model predicts a text; divergence from another's");
  const auto arguments = std::make_shared<PerplexityArguments>();
  add_model_option(*command, arguments->model);
  command->add_option("-f,--file", arguments->file, "The text; - is stdin")->required();
  command
      ->add_option("--chunk", arguments->chunk,
                   "Tokens of a chunk: a begin token, if the model has one, and text")
      ->check(CLI::Range(2, 1 << 30))
      ->capture_default_str();
  command
      ->add_option("--positions", arguments->positions,
                   "The most positions to score; all, if not given")
      ->check(CLI::PositiveNumber);
  auto* save =
      command->add_option("--save", arguments->save, "Save the logits, 32 bits each, for --kl");
  command
      ->add_option("--kl", arguments->base, "Divergence from the distributions that --save saved")
      ->excludes(save);
  add_json_option(*command, program);
  add_compute_options(*command, arguments->model);
  command->callback([arguments, &program] { perplexity(*arguments, program); });
}

}  // namespace cli
