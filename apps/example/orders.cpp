// Orders come in as JSON, are priced for their customer many at a time, and leave in the order in which they came.
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <reseq/reseq.hpp>

namespace {

using nlohmann::json;

struct order {
  std::string number;
  std::string customer;
  std::int64_t cents = 0;
};

struct priced_order {
  order placed;
  std::string name; ///< the customer's
  std::int64_t payable_cents = 0;
};

/// What no retry can mend is a `permanent_error`; test orders go nowhere.
std::optional<order> parse(const reseq::message& m) {
  try {
    const auto in = json::parse(m.payload());
    if (in.value("test", false)) return reseq::drop;
    return order{in.at("number"), in.at("customer"), in.at("cents")};
  } catch (const json::exception& e) {
    throw reseq::permanent_error(e.what());
  }
}

/// The customers, in a file that may change at any time: it stands for the service that you would ask.
/// Any other exception is a failed attempt, tried again later, perhaps on another worker.
priced_order enrich(order placed) {
  const auto* path = std::getenv("ORDERS_CUSTOMERS");
  std::ifstream file(path ? path : "apps/example/customers.json");
  if (!file) throw std::runtime_error("the list of customers cannot be opened (ORDERS_CUSTOMERS names it)");
  const auto customers = json::parse(file);
  const auto found = customers.find(placed.customer);
  if (found == customers.end()) throw std::runtime_error("there is no customer " + placed.customer);
  const auto payable = placed.cents * (100 - found->at("discount_percent").get<std::int64_t>()) / 100;
  return {std::move(placed), found->at("name"), payable};
}

std::string render(const priced_order& o) {
  const json out{{"number", o.placed.number},
                 {"customer", {{"id", o.placed.customer}, {"name", o.name}}},
                 {"payable_cents", o.payable_cents}};
  return out.dump(); // content type and headers stay as they came
}

/// For those who count but must not know who ordered: works on what `render` made.
std::string anonymize(const reseq::message& m) {
  auto out = json::parse(m.payload());
  out.erase("customer");
  return out.dump();
}

} // namespace

int main(int argc, char** argv) {
  const auto orders = reseq::pipeline("orders")
                        .transform("parse", parse)
                        .transform("enrich", enrich)
                        .version("1") // to be changed whenever its results change
                        .transform("render", render)
                        .destination("billing", "http://127.0.0.1:9100/billing")
                        .destination("statistics", "file:///tmp/reseq-statistics.jsonl",
                                     reseq::transforms().transform("anonymize", anonymize));
  return reseq::run(argc, argv, orders);
}
