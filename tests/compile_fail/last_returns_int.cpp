// expect: the last transform of a chain returns a payload
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto orders = reseq::pipeline("orders").transform(
    "count", [](const reseq::message& m) { return static_cast<int>(m.payload().size()); });
  return reseq::run(argc, argv, std::move(orders));
}
