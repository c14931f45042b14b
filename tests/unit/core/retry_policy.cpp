#include "reseq/core/retry_policy.hpp"

#include <chrono>
#include <cstdint>
#include <limits>

#include "catch.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

TEST_CASE("an attempt's timeout doubles with each attempt up to the cap") {
  const retry_settings policy;
  CHECK(attempt_timeout(policy, attempt{1}) == 2s);
  CHECK(attempt_timeout(policy, attempt{2}) == 4s);
  CHECK(attempt_timeout(policy, attempt{5}) == 32s);
  CHECK(attempt_timeout(policy, attempt{6}) == 60s);
  CHECK(attempt_timeout(policy, attempt{7}) == 60s);
}

TEST_CASE("a retry's delay is a random share of a jitter that grows like the timeout") {
  const retry_settings policy;
  CHECK(retry_delay(policy, attempt{1}, 0.0) == 0s);
  CHECK(retry_delay(policy, attempt{1}, 0.5) == 500ms);
  CHECK(retry_delay(policy, attempt{3}, 0.5) == 2s);
  CHECK(retry_delay(policy, attempt{7}, 1.0) == 60s);
  CHECK(retry_delay(policy, attempt{9}, 0.25) == 15s);
}

TEST_CASE("a random number outside its range is taken as the nearest in it") {
  const retry_settings policy;
  CHECK(retry_delay(policy, attempt{1}, -1.0) == 0s);
  CHECK(retry_delay(policy, attempt{1}, 2.0) == 1s);
  CHECK(retry_delay(policy, attempt{1}, std::numeric_limits<double>::quiet_NaN()) == 0s);
}

TEST_CASE("absurd attempts and multipliers neither overflow nor pass the cap") {
  retry_settings policy;
  policy.multiplier = GENERATE(2.0, 1000.0, 1e300, std::numeric_limits<double>::infinity());
  const attempt absurd{GENERATE(64U, 1000U, std::numeric_limits<std::uint32_t>::max())};
  CAPTURE(policy.multiplier, absurd.value());
  CHECK(attempt_timeout(policy, absurd) == policy.max_timeout);
  CHECK(retry_delay(policy, absurd, 1.0) == policy.max_timeout);

  policy.max_timeout = duration::max();
  CHECK(attempt_timeout(policy, absurd) == duration::max());
  CHECK(retry_delay(policy, absurd, 0.999) > duration::zero());
}

TEST_CASE("nothing grows from zero, and nothing grows without a multiplier above one") {
  retry_settings policy;
  policy.jitter = 0s;
  CHECK(retry_delay(policy, attempt{1000}, 1.0) == 0s);
  policy.multiplier = GENERATE(1.0, 0.0, -3.0);
  CHECK(attempt_timeout(policy, attempt{1000}) == 2s);
}

TEST_CASE("attempts are exhausted when there were enough of them and enough time has passed") {
  const retry_settings policy;
  CHECK_FALSE(exhausted(policy, 4, 1h));
  CHECK_FALSE(exhausted(policy, 5, 59s));
  CHECK(exhausted(policy, 5, 60s));
  CHECK(exhausted(policy, 1000, 1h));
}

TEST_CASE("what was never tried is not exhausted, whatever the policy says") {
  retry_settings policy;
  policy.max_attempts = 0;
  policy.give_up_after = 0s;
  CHECK_FALSE(exhausted(policy, 0, 1h));
  CHECK(exhausted(policy, 1, 0s));
}
