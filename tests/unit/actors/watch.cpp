#include "actors/watch.hpp"

#include <string>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "catch.hpp"
#include "virtual_system.hpp"

using namespace reseq;

namespace {

caf::behavior idle(caf::event_based_actor*) {
  return {[](int) {}};
}

/// One actor that is watched.
struct watched {
  test::virtual_system system;
  std::shared_ptr<std::atomic<bool>> stopping = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::string> ended;
  caf::actor one = system.spawn(idle);

  watched() {
    actors::watch(one, "a shard's", stopping,
                  [this](const std::string& whose, const caf::error& why) { ended.push_back(whose + to_string(why)); });
  }

  void end(caf::exit_reason why) {
    caf::anon_send_exit(one, why);
    system.run();
  }
};

} // namespace

TEST_CASE("an actor that ends before it was told to is told of, with why") {
  watched w;
  w.system.send(w.one, 1);
  CHECK(w.ended.empty());
  w.end(caf::exit_reason::user_shutdown);
  REQUIRE(w.ended.size() == 1);
  CHECK(w.ended[0].starts_with("a shard's"));
  CHECK(w.ended[0].find("user_shutdown") != std::string::npos);
}

TEST_CASE("one that had ended before it was watched is told of, too") {
  watched w;
  *w.stopping = true;
  w.end(caf::exit_reason::kill);
  CHECK(w.ended.empty());
  *w.stopping = false;
  actors::watch(w.one, "a sink's", w.stopping,
                [&](const std::string& whose, const caf::error&) { w.ended.push_back(whose); });
  CHECK(w.ended == std::vector<std::string>{"a sink's"});
}

TEST_CASE("an actor that ends while everything stops is no news") {
  watched w;
  *w.stopping = true;
  w.end(caf::exit_reason::kill);
  CHECK(w.ended.empty());
}
