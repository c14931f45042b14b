#include "reseq/store/postgres/readable.hpp"

#include <cstdlib>
#include <random>

#include "catch.hpp"

using namespace reseq::store::postgres;

TEST_CASE("text stays as it is, and what is none becomes readable") {
  CHECK(to_readable("Grüße 🙂: 5 €") == "Grüße 🙂: 5 €");
  CHECK(to_readable("a\\b") == "a\\\\b");
  CHECK(to_readable(std::string("k\0y", 3)) == "k\\x00y");
  CHECK(to_readable("\xc3\x28") == "\\xc3(");
  CHECK(to_readable("\xe2\x82") == "\\xe2\\x82");
  for (const char* wrong : {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x9f\x80", "\xf8\x88\x80\x80"})
    CHECK(to_readable(wrong).substr(0, 2) == "\\x");
}

TEST_CASE("any bytes come back as they were") {
  const char* given = std::getenv("RESEQ_TEST_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::string common("\\x0aé\0", 7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    for (auto left = random() % 12; left > 0; --left)
      bytes += random() % 2 == 0 ? common[random() % common.size()] : static_cast<char>(random());
    CHECK(from_readable(to_readable(bytes)) == bytes);
  }
}

TEST_CASE("bytes are read as PostgreSQL writes them") {
  CHECK(from_hex("\\x00ff4a") == std::string("\0\xff\x4a", 3));
  CHECK(from_hex("\\x").empty());
}
