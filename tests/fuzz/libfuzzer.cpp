// The program `fuzz`: one target, named by RESEQ_FUZZ_TARGET, under libFuzzer. The folder that RESEQ_FUZZ_SEEDS names
// is given the target's seeds first.
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "targets.hpp"

namespace {

const reseq::fuzz::target* chosen = nullptr;

std::string variable(const char* name) {
  const auto* const value = std::getenv(name);
  return value ? value : "";
}

} // namespace

// libFuzzer calls these two by their names.
extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerInitialize(int*, char***) {
  try {
    chosen = &reseq::fuzz::target_called(variable("RESEQ_FUZZ_TARGET"));
  } catch (const std::invalid_argument& wrong) {
    std::cerr << wrong.what() << "; RESEQ_FUZZ_TARGET must be one of:";
    for (const auto& one : reseq::fuzz::targets()) std::cerr << ' ' << one.name;
    std::cerr << '\n';
    std::exit(2);
  }
  if (const auto folder = variable("RESEQ_FUZZ_SEEDS"); !folder.empty()) {
    for (std::size_t i = 0; i < chosen->seeds.size(); ++i)
      std::ofstream(folder + "/seed-" + std::to_string(i), std::ios::binary) << chosen->seeds[i];
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    chosen->run({reinterpret_cast<const char*>(data), size});
  } catch (const reseq::fuzz::finding& found) {
    std::cerr << "does not hold: " << found.what() << '\n';
    std::abort();
  }
  return 0;
}
