#include <filesystem>

#include "run/main.hpp"

int main(int argc, char** argv) {
  using namespace reseq::apps;
  const auto worker = std::filesystem::path{own_path()}.replace_filename("reseq-worker").string();
  return run_program({"reseq-supervisor",
                      "Takes messages in, has them transformed in parallel, delivers them in order.",
                      role::supervisor,
                      {worker}},
                     argc, argv, {});
}
