#include "catch.hpp"

#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "actors/sinks.hpp"
#include "fakes.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;

namespace {

constexpr epoch ours{3};

struct receiver_mail {
  store::receiver_record has;
  std::optional<core::receiver_answer> answer; ///< to whatever is delivered; absent: as it has it
};

class fake_receiver : public store::transactional_receiver {
public:
  explicit fake_receiver(std::shared_ptr<receiver_mail> mail) : mail_(std::move(mail)) {}

  result<store::receiver_record> open() override { return mail_->has; }
  result<store::receiver_record> take_over(sequence) override { return mail_->has; }
  core::receiver_answer deliver(std::span<const store::received> items) override {
    if (mail_->answer) return *mail_->answer;
    const auto there = store::already_received(mail_->has, items, {"orders", "audit", ours, sequence{9}, ""});
    return there ? core::confirmed{} : there.error();
  }

private:
  std::shared_ptr<receiver_mail> mail_;
};

/// A sink whose receiver was away when its owner started.
struct sink_fixture {
  sink_fixture() {
    sink_setup setup;
    setup.owner = ours;
    setup.compared = false;
    setup.restart = [count = restarts] { ++*count; };
    sink = system.spawn(transactional_sink, setup, [to = receiver]() -> std::unique_ptr<store::transactional_receiver> {
      return std::make_unique<fake_receiver>(to);
    });
  }

  core::receiver_answer deliver_sequence(std::uint64_t n) {
    core::send_item item;
    item.seq = sequence{n};
    item.previous = sequence{n - 1};
    item.message = make_message("m");
    item.body = make_body();
    actors::deliver wanted;
    wanted.request.items.push_back(std::move(item));
    system.send_as(owner, sink, std::move(wanted));
    return mail->delivered.back().answer;
  }

  virtual_system system;
  std::shared_ptr<shard_mail> mail = std::make_shared<shard_mail>();
  shard_actor owner = system.spawn(fake_shard, mail);
  std::shared_ptr<receiver_mail> receiver = std::make_shared<receiver_mail>();
  std::shared_ptr<int> restarts = std::make_shared<int>(0);
  sink_actor sink;
};

} // namespace

TEST_CASE("a receiver that has what is still to be delivered is compared with the journal, once") {
  sink_fixture f;
  f.receiver->has = {epoch{2}, sequence{5}, "m"};
  CHECK(std::holds_alternative<core::failing>(f.deliver_sequence(4)));
  CHECK(std::holds_alternative<core::failing>(f.deliver_sequence(4)));
  CHECK(*f.restarts == 1);
}

TEST_CASE("one that lacks what was delivered is compared with the journal") {
  sink_fixture f;
  f.receiver->has = {ours, sequence{2}, "m"};
  CHECK(std::holds_alternative<core::failing>(f.deliver_sequence(5)));
  CHECK(*f.restarts == 1);
}

TEST_CASE("one that another installation has taken over is compared with the journal, whatever the epoch there") {
  sink_fixture f;
  f.receiver->has = {ours + 1, sequence{2}, "m"};
  f.receiver->has.foreign = "another";
  CHECK(std::holds_alternative<core::failing>(f.deliver_sequence(5)));
  CHECK(*f.restarts == 1);
}

TEST_CASE("where a later owner was, nothing is opened anew, which would take everything over from it") {
  sink_fixture f;
  SECTION("it has delivered what is still to be delivered here") {
    f.receiver->has = {ours + 1, sequence{5}, "m"};
    CHECK(std::holds_alternative<core::stale>(f.deliver_sequence(4)));
  }
  SECTION("it is about to deliver anew what is lacking") {
    f.receiver->has = {ours + 1, sequence{2}, "m"};
    f.receiver->answer = core::failing{"no answer", std::nullopt};
    CHECK(std::holds_alternative<core::failing>(f.deliver_sequence(5)));
  }
  CHECK(*f.restarts == 0);
}
