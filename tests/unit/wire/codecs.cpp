#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include "catch.hpp"
#include "reseq/wire/base64.hpp"
#include "reseq/wire/sha256.hpp"
#include "reseq/wire/uuid.hpp"

using namespace reseq;
using namespace reseq::wire;

namespace {

std::string encoded(std::string_view bytes) {
  std::string out;
  append_base64(out, bytes);
  return out;
}

} // namespace

TEST_CASE("base64 writes and reads the vectors of RFC 4648") {
  struct row {
    std::string bytes;
    std::string text;
  };
  const auto [bytes, text] = GENERATE(values<row>({
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {std::string("\x00\xff\xfe", 3), "AP/+"},
  }));
  CHECK(encoded(bytes) == text);
  CHECK(decode_base64(text).value() == bytes);
}

TEST_CASE("base64 refuses everything but the canonical encoding") {
  const std::string text = GENERATE(as<std::string>{}, "Z", "Zg", "Zg=", "Zm9v\n", " Zm9v", "Zm9vY",
                                    "Z===", "====", "=Zg=", "Zg==Zg==", "Zh==", "Zm9=", "-_-_", "Zm\x80v");
  CAPTURE(text);
  const auto decoded = decode_base64(text);
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == errc::invalid);
}

TEST_CASE("base64 gives random bytes back") {
  std::mt19937 random(7);
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes(length, '\0');
    for (auto& c : bytes) c = static_cast<char>(random() & 0xffU);
    CHECK(decode_base64(encoded(bytes)).value() == bytes);
  }
}

TEST_CASE("SHA-256 gives the digests of FIPS 180-4") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("SHA-256 does not see where one piece ends, unless its length is added") {
  CHECK(sha256{}.add("ab").add("c").finish() == sha256{}.add("abc").finish());
  CHECK(sha256{}.add_with_length("ab").add_with_length("c").finish() !=
        sha256{}.add_with_length("a").add_with_length("bc").finish());
  CHECK(sha256{}.add_with_length("ab").finish() == sha256{}.add(std::string_view("\0\0\0\0\0\0\0\2ab", 10)).finish());
}

TEST_CASE("a UUID has its time, version and variant where RFC 9562 puts them") {
  // The example of RFC 9562, appendix A.6.
  const wall_time now{std::chrono::milliseconds{0x017F22E279B0}};
  const std::array<std::uint8_t, 10> random{0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
  CHECK(uuid_v7(now, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  std::array<std::uint8_t, 10> ones{};
  ones.fill(0xff);
  CHECK(uuid_v7(wall_time{}, {}) == "00000000-0000-7000-8000-000000000000");
  CHECK(uuid_v7(wall_time{}, ones) == "00000000-0000-7fff-bfff-ffffffffffff");
}

TEST_CASE("a row of UUIDs rises within one millisecond, when the clock goes back, and past the last random bit") {
  const wall_time now{std::chrono::milliseconds{1'700'000'000'000}};
  std::array<std::uint8_t, 10> ones{};
  ones.fill(0xff);
  uuid_v7_row row;
  const auto first = row.next(now, {});
  const auto second = row.next(now, {});
  CHECK(first == "018bcfe5-6800-7000-8000-000000000000");
  CHECK(second == "018bcfe5-6800-7000-8000-000000000001");
  const auto stepped = row.next(now, ones);
  CHECK(stepped == "018bcfe5-6800-7000-8000-000001000001");
  CHECK(row.next(now - std::chrono::milliseconds{5}, {}) == "018bcfe5-6800-7000-8000-000001000002");
  CHECK(row.next(now + std::chrono::milliseconds{1}, ones) == "018bcfe5-6801-7fff-bfff-ffffffffffff");
  CHECK(row.next(now + std::chrono::milliseconds{1}, {}) == "018bcfe5-6802-7000-8000-000000000000");
}

TEST_CASE("UUIDs sort by the time they were made, and no two are the same") {
  const wall_time now{std::chrono::milliseconds{1'700'000'000'000}};
  std::array<std::uint8_t, 10> ones{};
  ones.fill(0xff);
  CHECK(uuid_v7(now, ones) < uuid_v7(now + std::chrono::milliseconds{1}, {}));
  std::vector<std::string> made(1000);
  std::ranges::generate(made, make_uuid);
  CHECK(std::ranges::adjacent_find(made, std::ranges::greater_equal{}) == made.end());
  CHECK(made.front().size() == 36);
}
