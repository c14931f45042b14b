#include "reseq/core/delivery_window.hpp"

#include "catch.hpp"

using namespace reseq;
using namespace reseq::core;
using namespace std::chrono_literals;

namespace {

constexpr time_point t0{std::chrono::hours{1}};

duration wait_after(delivery_window& window, const receiver_answer& answer, time_point now = t0) {
  const auto request = window.start(1, t0);
  CHECK(window.answer(request, answer, now) == delivery_verdict::again);
  REQUIRE(window.not_before());
  return *window.not_before() - now;
}

} // namespace

TEST_CASE("one request is outstanding, and the next follows its confirmation") {
  delivery_window window(10, 60s, 1);
  CHECK(window.next_size() == 10);
  const auto request = window.start(4, t0);
  CHECK_FALSE(window.may_start(t0));
  CHECK(window.answer(request, confirmed{}, t0) == delivery_verdict::delivered);
  CHECK(window.may_start(t0));
  CHECK(window.start(1, t0) == request + 1);
}

TEST_CASE("while a request is under way it is known since when, whatever came before") {
  delivery_window window(1, 60s, 1);
  CHECK_FALSE(window.asked_at());
  window.answer(window.start(1, t0), failing{"503", {}}, t0 + 1s);
  CHECK_FALSE(window.asked_at());
  const auto request = window.start(1, t0 + 5s);
  CHECK(window.asked_at() == t0 + 5s);
  CHECK(window.last_error() == "503");
  window.answer(request, confirmed{}, t0 + 6s);
  CHECK_FALSE(window.asked_at());
}

TEST_CASE("an answer to an old request changes nothing") {
  delivery_window window(1, 60s, 1);
  const auto old = window.start(1, t0);
  window.answer(old, confirmed{}, t0);
  CHECK(window.answer(old, refused{"no"}, t0) == delivery_verdict::late);
  window.start(1, t0);
  CHECK(window.answer(old, confirmed{}, t0) == delivery_verdict::late);
  CHECK_FALSE(window.idle());
}

TEST_CASE("a refused batch goes out again one by one until the refused message is found") {
  delivery_window window(3, 60s, 1);
  CHECK(window.answer(window.start(3, t0), refused{"422"}, t0) == delivery_verdict::again);
  CHECK(window.may_start(t0));
  CHECK(window.next_size() == 1);
  CHECK(window.answer(window.start(1, t0), confirmed{}, t0) == delivery_verdict::delivered);
  CHECK(window.next_size() == 1);
  CHECK(window.answer(window.start(1, t0), refused{"422"}, t0) == delivery_verdict::refused);
  CHECK(window.next_size() == 3);
}

TEST_CASE("a refused batch whose messages are all taken singly ends in normal batches") {
  delivery_window window(2, 60s, 1);
  window.answer(window.start(2, t0), refused{"413"}, t0);
  window.answer(window.start(1, t0), confirmed{}, t0);
  CHECK(window.next_size() == 1);
  window.answer(window.start(1, t0), confirmed{}, t0);
  CHECK(window.next_size() == 2);
}

TEST_CASE("a request that failed is repeated with the same messages") {
  delivery_window window(10, 60s, 1);
  window.answer(window.start(4, t0), failing{"503", {}}, t0);
  CHECK(window.next_size() == 4);
  window.answer(window.start(4, t0), confirmed{}, t0);
  CHECK(window.next_size() == 10);
}

TEST_CASE("a backoff that is ended lets the same messages go at once, and the next one is short again") {
  delivery_window window(10, 60s, 7);
  for (int i = 0; i < 12; ++i) window.answer(window.start(4, t0), failing{"503", 1h}, t0);
  CHECK_FALSE(window.may_start(t0 + 59min));
  window.end_backoff(t0 + 1s);
  CHECK(window.may_start(t0 + 1s));
  CHECK(window.failing());
  CHECK(window.last_error() == "503");
  CHECK(window.not_before() == t0 + 1s);
  CHECK(window.next_size() == 4);
  CHECK(wait_after(window, failing{"503", {}}) <= 200ms);
}

TEST_CASE("ending a backoff does not let a second request go beside the one that is under way") {
  delivery_window window(1, 60s, 7);
  window.start(1, t0);
  window.end_backoff(t0);
  CHECK_FALSE(window.may_start(t0));
}

TEST_CASE("backoff doubles from 100 ms up to retry_max, with jitter downwards") {
  delivery_window window(1, 1s, 7);
  for (const auto most : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto wait = wait_after(window, failing{"503", {}});
    CHECK(wait >= most / 2);
    CHECK(wait <= most);
    CHECK_FALSE(window.may_start(t0 + wait - 1ns));
    CHECK(window.may_start(t0 + wait));
  }
  window.answer(window.start(1, t0), confirmed{}, t0);
  CHECK_FALSE(window.failing());
  CHECK(wait_after(window, failing{"503", {}}) <= 100ms);
}

TEST_CASE("a receiver's longer wish is respected, up to an hour") {
  delivery_window window(1, 1s, 7);
  CHECK(wait_after(window, failing{"429", 30s}) == 30s);
  CHECK(wait_after(window, failing{"429", 48h}) == 1h);
  CHECK(wait_after(window, failing{"429", 1ms}) >= 200ms);
}

TEST_CASE("a stale answer backs off like a failing one and says why") {
  delivery_window window(1, 1s, 7);
  CHECK(wait_after(window, stale{epoch{9}}) <= 100ms);
  CHECK(window.failing());
  CHECK(window.last_error() == "the receiver has seen epoch 9");
}
