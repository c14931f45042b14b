/// The bodies of HTTP/1.x messages, told apart from their framing. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reseq/net/detail/http_parse.hpp"

namespace reseq::net::detail {

/// Reads one body that arrives piece by piece, without keeping any of it.
class body_decoder {
public:
  body_decoder() = default; ///< of an empty body: done
  explicit body_decoder(body_framing framing);

  struct piece {
    std::size_t consumed = 0; ///< bytes of the input that are dealt with; 0 only for an empty input or when done
    std::string_view data;    ///< the run of payload among them
  };

  /// Takes framing and at most one run of payload from the front of `input`; call again with the rest until `done` or
  /// nothing is left. Errors (400): malformed chunks, chunk extensions or trailers beyond 8 KiB.
  parsed<piece> next(std::string_view input);

  [[nodiscard]] bool done() const { return at_ == state::done; }

  /// How many bytes of payload are known to come next, without framing between them.
  [[nodiscard]] std::uint64_t expected() const { return at_ == state::payload || at_ == state::chunk ? left_ : 0; }

  /// Whether the end of the stream is the end of the body.
  [[nodiscard]] bool ends_with_stream() const { return at_ == state::until_close; }

private:
  enum class state {
    done,
    payload,
    until_close,
    chunk_size,
    chunk_size_end,
    chunk_extension,
    chunk_size_lf,
    chunk,
    chunk_cr,
    chunk_lf,
    trailer_start,
    trailer,
    trailer_lf,
    last_lf
  };

  bool take(char c);
  bool take_size(char c);
  bool take_size_end(char c);
  piece take_payload(std::string_view input, std::size_t skipped);

  state at_ = state::done;
  std::uint64_t left_ = 0;   ///< payload bytes of the body, or of the chunk, still to come
  std::size_t digits_ = 0;   ///< of the chunk size being read
  std::size_t overhead_ = 0; ///< bytes of extensions and trailers so far
};

} // namespace reseq::net::detail
