#include "reseq/model/message.hpp"

#include "catch.hpp"
#include "reseq/model/error.hpp"
#include "reseq/model/ids.hpp"

using namespace reseq;

TEST_CASE("a header is found whatever the case of its name, and the first one wins") {
  const header_list headers{{"Trace-Id", "a"}, {"trace-id", "b"}};
  CHECK(find_header(headers, "TRACE-ID") == "a");
  CHECK(find_header(headers, "trace").empty());
}

TEST_CASE("a message is charged for everything it carries") {
  const message m("id", "key", content{"payload", "text/plain", {{"a", "bc"}}});
  CHECK(m.size_bytes() == 2 + 3 + 7 + 10 + 3);
}

TEST_CASE("a position is no sequence") {
  static_assert(!std::is_convertible_v<position, sequence>);
  static_assert(!std::is_constructible_v<sequence, position>);
  CHECK(position{3} + 2 == position{5});
  CHECK(position{5} - position{3} == 2);
}

TEST_CASE("an error names where it happened") {
  CHECK(error{errc::invalid, "is empty", "id"}.text() == "id: is empty");
  CHECK(error{errc::no_space, "disk full", {}}.transient());
  CHECK_FALSE(error{errc::fenced, "a later owner exists", {}}.transient());
}
