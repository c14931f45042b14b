// expect: the first transform of a chain takes a const reseq::message&
#include "reseq/reseq.hpp"

int main(int argc, char** argv) {
  auto orders =
    reseq::pipeline("orders").transform("double", [](int n) { return 2 * n; }).transform("render", [](int n) {
      return std::to_string(n);
    });
  return reseq::run(argc, argv, std::move(orders));
}
