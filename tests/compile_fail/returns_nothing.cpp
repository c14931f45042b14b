// expect: a transform returns what the next one takes or a payload, not void
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto orders = reseq::pipeline("orders")
                  .transform("log", [](const reseq::message&) {})
                  .transform("render", [](const reseq::message& m) { return m.payload(); });
  return reseq::run(argc, argv, std::move(orders));
}
