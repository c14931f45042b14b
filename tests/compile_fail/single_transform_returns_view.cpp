// expect: the last transform of a chain returns a payload
#include <string_view>

#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto view = reseq::transform("view", [](const reseq::message& m) -> std::string_view { return m.payload(); });
  return reseq::run(argc, argv, std::move(view));
}
