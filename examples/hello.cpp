#include <tyto/tyto.h>

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  auto model = tyto::Model::load(argc > 1 ? argv[1] : "model.gguf");
  if (!model) return std::fprintf(stderr, "%s\n", std::string(model.error().message()).c_str()), 1;
  auto session = model->new_session().value();
  auto sampler = tyto::Sampler::create(model->default_sampling()).value();

  auto prompt = model->tokenizer().encode("Once upon a time", {.add_special = true}).value();
  session.append(prompt).value();
  auto print = [](const tyto::Token& token) {  // answering false stops
    return std::fwrite(token.text.data(), 1, token.text.size(), stdout) == token.text.size();
  };
  session.generate(sampler, {.max_tokens = 200}, print).value();
}
