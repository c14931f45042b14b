#include "actors/journal_watch.hpp"

#include "actors/system.hpp"
#include "catch.hpp"
#include "heard_log.hpp"
#include "virtual_system.hpp"

using namespace reseq;
using namespace reseq::actors;
using namespace reseq::test;
using namespace std::chrono_literals;

TEST_CASE("a journal that hangs is logged once when it begins to, and once when that is over") {
  virtual_system system;
  const heard said;
  spdlog::set_level(spdlog::level::info);
  const auto measured = std::make_shared<metrics>();
  system.spawn(become<journal_watch_state, journal_watch_actor, std::shared_ptr<const metrics>>, measured);
  for (int commits = 0; commits < 20; ++commits) {
    measured->journal.began(system.now());
    system.pass(1s);
    measured->journal.worked();
  }
  CHECK(said.text().empty());
  measured->journal.began(system.now());
  for (int seconds = 0; seconds < 18; ++seconds) system.pass(1s);
  CHECK(said.times("a commit has been under way for") == 1);
  CHECK(said.times("has ended") == 0);
  measured->journal.failed("it is away", system.now());
  for (int seconds = 0; seconds < 10; ++seconds) system.pass(1s);
  CHECK(said.times("a commit has been under way for") == 1);
  CHECK(said.times("has ended, 1") == 1);
}
