// expect: no error
#include "reseq/reseq.hpp"

struct order {
  std::string customer;
};

int main(int argc, char** argv) {
  auto orders = reseq::pipeline("orders")
                  .transform("parse", [](const reseq::message& m) { return order{m.payload()}; })
                  .transform("enrich", [](order o) { return o; })
                  .version("2")
                  .transform("render", [](const order& o) { return o.customer; })
                  .destination("audit", "file:///tmp/audit",
                               reseq::transforms().transform("redact", [](reseq::message) { return "…"; }));
  return reseq::run(argc, argv, std::move(orders),
                    reseq::transform("copy", [](const reseq::message& m) { return m.body(); }));
}
