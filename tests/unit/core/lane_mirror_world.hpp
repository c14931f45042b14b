/// A mirror between lanes that live at random and a resequencer that loses, brings back, delays and repeats things.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "reseq/core/lane_mirror.hpp"
#include "reseq/core/lane_store.hpp"

namespace reseq::core::test {

class lane_mirror_world {
public:
  explicit lane_mirror_world(std::uint64_t seed);

  void step();
  /// The resequencer is well again: everything is sent in time, and all lanes follow in the end.
  void recover_and_finish();

  /// The first promise that was broken; empty when none was.
  [[nodiscard]] const std::string& violation() const { return violation_; }
  /// Of what happened, to show that it did.
  [[nodiscard]] std::uint64_t faults() const { return faults_; }
  [[nodiscard]] const lane_mirror& mirror() const { return mirror_; }

private:
  enum class state { pending, ready, settled };
  struct lane {
    bool releases = true;
    sequence next{1};
    std::map<sequence, state> window; ///< not sent, or sent and not settled
    std::set<sequence> sent;
    sequence last_sent;
    std::optional<time_point> ready_since; ///< its head is ready and not sent
    lane_answer last_answer;
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool chance(unsigned percent) { return below(100) < percent; }
  void expect(bool holds, const std::string& promise);

  void live(destination_id id, lane& of);
  void live_by_key(destination_id id, lane& of);
  void send(destination_id id, lane& of);
  void keep_results();
  void perform();
  void carry();
  void answer(const mirror_call& call);
  void misbehave();
  void pass_time(duration by);
  void check();

  std::mt19937_64 random_;
  time_point now_{std::chrono::hours{1}};
  std::map<destination_id, lane> lanes_;
  lane_mirror mirror_;
  lane_store store_;
  std::deque<lane_store> older_; ///< to go back to
  std::optional<mirror_call> call_;
  std::vector<mirror_call> late_; ///< given up, and done at some time
  std::uint64_t last_position_ = 0;
  std::set<work_key> kept_;
  bool away_ = false;
  bool healthy_ = false;
  std::uint64_t faults_ = 0;
  std::uint64_t followed_by_key_ = 0; ///< how often what it has was compared
  std::string violation_;
};

} // namespace reseq::core::test
