// expect: many threads call a transform at once, so it must be callable when const
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto count = reseq::transform("count", [n = 0](const reseq::message&) mutable { return std::to_string(++n); });
  return reseq::run(argc, argv, std::move(count));
}
