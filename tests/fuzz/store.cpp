#include "reseq/store/codec.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "reseq/store/postgres/readable.hpp"
#include "reseq/store/postgres/table_url.hpp"
#include "reseq/store/redis/result_text.hpp"
#include "reseq/store/redis/server_url.hpp"
#include "reseq/store/redis/stream_receiver.hpp"
#include "reseq/store/sqlite/data_files.hpp"
#include "reseq/store/sqlite/high_water.hpp"
#include "reseq/wire/json.hpp"
#include "targets.hpp"

namespace reseq::fuzz {
namespace {

using namespace store;

/// What a column holds reads back from how it is written; a damaged one is read somehow, and does no harm.
void run_columns(std::string_view input) {
  const auto headers = decode_headers(input);
  require(decode_headers(encode_headers(headers)) == headers, "headers read back");
  const auto enrolled = decode_enrolled(input);
  require(decode_enrolled(encode_enrolled(enrolled)) == enrolled, "enrolments read back");
  const auto sequences = decode_sequences(input);
  require(decode_sequences(encode_sequences(sequences)) == sequences, "sequences read back");
  const auto positions = decode_positions(input);
  require(decode_positions(encode_positions(positions)) == positions, "positions read back");
  static_cast<void>(reason_of(input));
  const id_keys keys({1, 2});
  require(keys(input) == keys(std::string(input)), "an id has one key");
}

void run_readable(std::string_view input) {
  static_cast<void>(postgres::from_readable(input));
  static_cast<void>(postgres::from_hex(input));
  const auto text = postgres::to_readable(input);
  require(wire::json::valid_utf8(text) && text.find('\0') == std::string::npos, "PostgreSQL takes the text");
  require(postgres::from_readable(text) == input, "bytes read back from their text");
}

/// What is kept in Redis is read only if it is what would be written.
void run_kept_result(std::string_view input) {
  if (const auto key = redis::decode_key(input)) require(redis::encode_key(*key) == input, "a key reads back");
  const core::work_key key{position{17}, core::chain_index{2}};
  if (const auto kept = redis::decode_result(key, input, "1f2e3d4c5b6a7988"))
    require(redis::encode_result(*kept, "1f2e3d4c5b6a7988") == input, "a result reads back");
}

/// A secret is neither in what is shown of a URL nor in what is wrong with it.
void run_store_url(std::string_view input) {
  const auto server = redis::parse_server_url(input);
  if (server) {
    const auto again = redis::parse_server_url(server->text());
    require(again && again->hosts == server->hosts && again->path == server->path && again->master == server->master &&
              again->database == server->database && again->encrypted == server->encrypted,
            "a server's URL reads back from what is shown of it");
    require(again->password.empty() && again->sentinel_password.empty(), "what is shown has no secrets");
  }
  if (const auto stream = redis::parse_stream_url(input)) require(!stream->stream.empty(), "a stream has a name");
  if (const auto table = postgres::parse_table_url(input))
    require(!table->table.empty() && !table->schema.empty(), "a table has a name, and a schema");
}

std::filesystem::path scratch() {
  static const std::filesystem::path made = [] {
    auto name = (std::filesystem::temp_directory_path() / "reseq-fuzz-XXXXXX").string();
    require(mkdtemp(name.data()) != nullptr, "there is a folder for the files");
    static const std::filesystem::path folder = name;
    std::atexit([] { std::filesystem::remove_all(folder); });
    return folder;
  }();
  return made;
}

/// The first byte says which file of a data directory the rest is, beside a whole one of nothing else.
void run_data_file(std::string_view input) {
  const auto which = input.empty() ? 0 : static_cast<unsigned char>(input[0]) % 3;
  const auto file = scratch() / (which == 0 ? "high-water" : which == 1 ? "journal.sqlite" : "journal.sqlite-wal");
  std::ofstream(file, std::ios::binary | std::ios::trunc) << input.substr(input.empty() ? 0 : 1);
  if (which == 0) {
    const shard_id orders{"orders", 0};
    const sqlite::high_water::mark reached{epoch{7}, position{19}};
    require(sqlite::high_water(file).note(orders, reached).has_value(), "it can be noted");
    const auto noted = sqlite::high_water(file).of(orders);
    require(noted.owner == reached.owner && noted.last == reached.last, "what was noted last is read");
  }
  for (const bool confirmed : {false, true}) static_cast<void>(sqlite::check_files(scratch(), confirmed, false));
  std::filesystem::remove(file);
}

} // namespace

std::vector<target> store_targets() {
  return {
    {"kept-result",
     run_kept_result,
     {"17.2", "message order-17\nmade by 1f2e3d4c5b6a7988\ntype application/json\nheader traceparent: 00-x\n\n{}",
      "message m\nmade by 1f2e3d4c5b6a7988\nonly 1 4\ndropped\n\n"}},
    {"store-url",
     run_store_url,
     {"redis://user:secret@host:6380/3", "unix://:secret@/run/redis.sock?db=2", "rediss://[::1]",
      "redis-sentinel://:p@a:1,b/master/1?sentinel=u:p", "redis://h?stream=S", "postgresql://u:p@h/d?table=s.t",
      "postgresql:///d?host=/run&table=%22a"}},
    {"data-file",
     run_data_file,
     {std::string(1, '\0') + "00000000000000000007 00000000000000000019 orders 0" + std::string(77, ' ') + "\n",
      std::string("\x01SQLite format 3\0\x10\0\x02\x02\0\x40\x20\x20", 25) + std::string(76, '\0'),
      std::string("\x02\x37\x7f\x06\x82\0\x2d\xe2\x18\0\0\x10\0", 13) + std::string(60, '\x11')}},
    {"columns",
     run_columns,
     {"name: value\nother\\: x: a\\nb\\\\\n", "1:17 4:20", "18 21", std::string("\x01\x80\x01\xff\xff\x03", 6),
      "0190a5d4-1c2f-7000-8000-000000000001", "refused"}},
    {"readable",
     run_readable,
     {"plain", "a\\b\\x41", "\xc3\xa9\xff\xed\xa0\x80", "\\x00ff7g", std::string("\0\xf0\x90", 3)}},
  };
}

} // namespace reseq::fuzz
