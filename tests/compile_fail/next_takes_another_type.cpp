// expect: this transform does not take what the one before it returns
#include "reseq/reseq.hpp"

struct order {
  std::string customer;
};

int main(int argc, char** argv) {
  auto orders = reseq::pipeline("orders")
                  .transform("parse", [](const reseq::message& m) { return order{m.payload()}; })
                  .transform("enrich", [](const std::string& customer) { return customer; })
                  .transform("render", [](const std::string& customer) { return customer; })
                  .version("2");
  return reseq::run(argc, argv, std::move(orders));
}
