#include "catch.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "actors/worker.hpp"
#include "fakes.hpp"
#include "reseq/model/permanent_error.hpp"
#include "reseq/pipeline/builder.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

namespace {

constexpr std::uint64_t plenty = 1U << 20U;

template <class F>
chain only(F f) {
  return transforms().transform("only", std::move(f)).finish();
}

chain appending(const std::string& what) {
  return only([what](const message& m) { return m.payload() + what; });
}

order make_job(std::vector<std::string> chains, std::uint32_t number = 1) {
  order job;
  job.dispatch = 42;
  job.attempt = number;
  job.pipeline = "orders";
  job.chains = std::move(chains);
  job.message = std::make_shared<const message>("m-1", "customer-7", content{"in", "text/plain", {{"a", "b"}}});
  return job;
}

std::vector<answer> run(const order& job, const runnable_pipeline& pipeline, std::uint64_t max_result = plenty) {
  std::vector<answer> all;
  run_job(job, pipeline, max_result, [&](answer one) { all.push_back(std::move(one)); });
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].dispatch == job.dispatch);
    CHECK(all[i].chain == i);
  }
  REQUIRE(all.size() == job.chains.size());
  return all;
}

std::string payload_of(const answer& one) {
  REQUIRE(one.kind == answer_kind::produced);
  REQUIRE(one.body);
  return one.body->payload;
}

} // namespace

TEST_CASE("the common chain's result is answered with its body") {
  const auto all = run(make_job({""}), {"orders", appending(" common"), {}});
  CHECK(payload_of(all[0]) == "in common");
  CHECK(all[0].body->content_type == "text/plain");
  CHECK(all[0].body->headers == header_list{{"a", "b"}});
  CHECK_FALSE(all[0].narrowed);
}

TEST_CASE("the common chain runs once however many chains are wanted, and each own chain starts from its result") {
  std::atomic<int> runs{0};
  const runnable_pipeline pipeline{"orders",
                                   only([&](const message& m) {
                                     ++runs;
                                     return m.payload() + " common";
                                   }),
                                   {{"billing", appending(" billing")}, {"audit", appending(" audit")}}};
  const auto all = run(make_job({"", "billing", "audit"}), pipeline);
  CHECK(runs == 1);
  CHECK(payload_of(all[0]) == "in common");
  CHECK(payload_of(all[1]) == "in common billing");
  CHECK(payload_of(all[2]) == "in common audit");
}

TEST_CASE("an own chain sees the id and the key of the message, and the number of the attempt") {
  const runnable_pipeline pipeline{
    "orders", appending(" common"), {{"billing", only([](const message& m, const attempt_context& context) {
                                        return m.id() + "," + m.key() + "," + std::to_string(context.number.value());
                                      })}}};
  CHECK(payload_of(run(make_job({"billing"}, 3), pipeline)[0]) == "m-1,customer-7,3");
}

TEST_CASE("what the common chain drops is dropped for every chain") {
  const runnable_pipeline pipeline{
    "orders", only([](const message&) -> std::optional<std::string> { return drop; }), {{"billing", appending("")}}};
  const auto all = run(make_job({"", "billing"}), pipeline);
  CHECK(all[0].kind == answer_kind::dropped);
  CHECK(all[1].kind == answer_kind::dropped);
  CHECK_FALSE(all[0].body);
}

TEST_CASE("a common chain that fails fails every chain, with its words") {
  const auto permanent = GENERATE(false, true);
  const runnable_pipeline pipeline{"orders",
                                   only([permanent](const message&) -> std::string {
                                     if (permanent) throw permanent_error{"no use"};
                                     throw std::runtime_error{"no luck"};
                                   }),
                                   {{"billing", appending("")}}};
  for (const auto& one : run(make_job({"", "billing"}), pipeline)) {
    CHECK(one.kind == (permanent ? answer_kind::permanent : answer_kind::failed));
    CHECK(one.error == (permanent ? "only: no use" : "only: no luck"));
  }
}

TEST_CASE("a failing chain of one destination fails that one only") {
  const runnable_pipeline pipeline{
    "orders",
    appending(" common"),
    {{"billing", only([](const message&) -> std::string { throw permanent_error{"unknown customer"}; })},
     {"audit", appending(" audit")}}};
  const auto all = run(make_job({"", "billing", "audit"}), pipeline);
  CHECK(payload_of(all[0]) == "in common");
  CHECK(all[1].kind == answer_kind::permanent);
  CHECK(all[1].error == "only: unknown customer");
  CHECK(payload_of(all[2]) == "in common audit");
}

TEST_CASE("a destination that has no chain of its own here is a failed attempt, not a lost message") {
  const auto all = run(make_job({"billing", ""}), {"orders", appending(" common"), {}});
  CHECK(all[0].kind == answer_kind::failed);
  CHECK(all[0].error.find("billing") != std::string::npos);
  CHECK(payload_of(all[1]) == "in common");
}

TEST_CASE("a result that is the message's own content is not sent back") {
  const runnable_pipeline pipeline{"orders", chain{}, {{"billing", chain{}}, {"audit", appending(" audit")}}};
  const auto all = run(make_job({"", "billing", "audit"}), pipeline);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(all[i].kind == answer_kind::unchanged);
    CHECK_FALSE(all[i].body);
  }
  CHECK(payload_of(all[2]) == "in audit");
  CHECK(run(make_job({""}), pipeline, 1)[0].kind == answer_kind::permanent); // two bytes are more than one
}

TEST_CASE("content that equals the message's and is not its own is sent back") {
  const auto equal = run(make_job({""}), {"orders", appending(""), {}});
  CHECK(payload_of(equal[0]) == "in");
}

TEST_CASE("a result may be as large as max_result and no larger") {
  const runnable_pipeline pipeline{"orders", only([](const message&) { return std::string(10, 'x'); }), {}};
  CHECK(run(make_job({""}), pipeline, 10)[0].kind == answer_kind::produced);
  const auto larger = run(make_job({""}), pipeline, 9)[0];
  CHECK(larger.kind == answer_kind::permanent);
  CHECK_FALSE(larger.body);
  CHECK(larger.error.find("http.max_result") != std::string::npos);
}

TEST_CASE("a large common result fails no chain that makes it small") {
  const runnable_pipeline pipeline{"orders",
                                   only([](const message&) { return std::string(100, 'x'); }),
                                   {{"billing", only([](const message&) { return std::string{"small"}; })}}};
  const auto all = run(make_job({"", "billing"}), pipeline, 10);
  CHECK(all[0].kind == answer_kind::permanent);
  CHECK(payload_of(all[1]) == "small");
}

TEST_CASE(
  "a common chain that narrows leaves out the destinations that it does not name, whatever their own chains say") {
  std::atomic<int> audited{0};
  const runnable_pipeline pipeline{"orders",
                                   only([](const message& m) { return to({"billing"}, m.payload()); }),
                                   {{"billing", appending(" billing")}, {"audit", only([&](const message& m) {
                                                                           ++audited;
                                                                           return to({"audit"}, m.payload());
                                                                         })}}};
  const auto all = run(make_job({"", "billing", "audit"}), pipeline);
  CHECK(all[0].narrowed);
  CHECK(all[0].only_to == std::vector<std::string>{"billing"});
  CHECK(payload_of(all[1]) == "in billing");
  CHECK(all[2].kind == answer_kind::dropped);
  CHECK(audited == 0);
  for (const auto& one : all) CHECK(one.named == std::vector<std::string>{"billing"});
}

TEST_CASE("narrowing to nowhere is not the same as not narrowing") {
  const auto all = run(make_job({""}), {"orders", only([](const message& m) { return to({}, m.payload()); }), {}});
  CHECK(all[0].narrowed);
  CHECK(all[0].only_to.empty());
}

TEST_CASE("an answer says how long its transforms took, the common ones included") {
  const auto slow = only([](const message& m) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{2};
    while (std::chrono::steady_clock::now() < until) {
    }
    return m.payload();
  });
  const auto all = run(make_job({"", "billing"}), {"orders", slow, {{"billing", slow}}});
  CHECK(all[0].took_ns >= 2'000'000);
  CHECK(all[1].took_ns >= all[0].took_ns + 2'000'000);
}

TEST_CASE("only the first answer into an empty box wakes the worker") {
  outbox box;
  const auto numbered = [](std::uint64_t n) {
    answer one;
    one.dispatch = n;
    return one;
  };
  CHECK(box.put(1, numbered(1)));
  CHECK_FALSE(box.put(1, numbered(2)));
  const auto both = box.take(1);
  REQUIRE(both.size() == 2);
  CHECK(both[0].dispatch == 1);
  CHECK(both[1].dispatch == 2);
  CHECK(box.take(1).empty());
  CHECK(box.put(1, numbered(3)));
}

TEST_CASE("answers of an earlier session are thrown away") {
  outbox box;
  answer old;
  old.dispatch = 1;
  answer current;
  current.dispatch = 2;
  box.put(1, old);
  box.put(2, current);
  const auto taken = box.take(2);
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].dispatch == 2);
  CHECK(box.take(1).empty());
}
