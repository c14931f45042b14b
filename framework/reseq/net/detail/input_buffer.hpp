/// Bytes that were received and not dealt with yet.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace reseq::net::detail {

/// Starts small, grows when one item needs it, and shrinks once empty: idle connections keep little memory.
class input_buffer {
public:
  static constexpr std::size_t initial_bytes = 4U << 10U;

  [[nodiscard]] std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }

  /// Where the next bytes go, and how many fit: at least 1. What is in the buffer stays, but may move.
  std::pair<char*, std::size_t> prepare() {
    if (begin_ > 0) {
      std::memmove(data_.get(), data_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == capacity_) resize(capacity_ == 0 ? initial_bytes : capacity_ * 2);
    return {data_.get() + end_, capacity_ - end_};
  }

  /// `size` bytes were put where `prepare` said.
  void commit(std::size_t size) { end_ += size; }

  /// The first `size` bytes are dealt with.
  void consume(std::size_t size) {
    begin_ += size;
    if (begin_ != end_) return;
    begin_ = end_ = 0;
    if (capacity_ > initial_bytes) resize(initial_bytes);
  }

private:
  void resize(std::size_t capacity) {
    auto larger = std::make_unique<char[]>(capacity);
    if (end_ > 0) std::memcpy(larger.get(), data_.get(), end_);
    data_ = std::move(larger);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

} // namespace reseq::net::detail
