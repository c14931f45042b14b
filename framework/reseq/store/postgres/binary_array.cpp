#include "reseq/store/postgres/binary_array.hpp"

#include <algorithm>
#include <array>

#include "reseq/store/postgres/readable.hpp"

namespace reseq::store::postgres {

namespace {

constexpr std::size_t count_offset = 12; // after the dimensions, the flag for nulls, the elements' type

template <std::size_t Bytes>
std::array<char, Bytes> big_endian(std::uint64_t value) {
  std::array<char, Bytes> out{};
  for (std::size_t i = Bytes; i-- > 0; value >>= 8U) out[i] = static_cast<char>(value & 0xffU);
  return out;
}

template <std::size_t Bytes>
void append(std::string& to, std::uint64_t value) {
  const auto bytes = big_endian<Bytes>(value);
  to.append(bytes.data(), bytes.size());
}

} // namespace

binary_array::binary_array(of type) {
  append<4>(bytes_, 1); // dimensions
  append<4>(bytes_, 0); // no nulls
  append<4>(bytes_, static_cast<std::uint32_t>(type));
  append<4>(bytes_, 0); // how many; see `bytes`
  append<4>(bytes_, 1); // the first one's number
}

void binary_array::reserve(std::size_t values, std::size_t bytes) {
  bytes_.reserve(bytes_.size() + values * 4 + bytes); // each begins with its length
}

void binary_array::add(std::string_view value) {
  append<4>(bytes_, value.size());
  bytes_.append(value);
  ++count_;
}

void binary_array::add_readable(std::string_view value) {
  if (is_plain(value)) return add(value);
  add(to_readable(value));
}

void binary_array::add_number(std::uint64_t value) {
  append<4>(bytes_, sizeof(value));
  append<8>(bytes_, value);
  ++count_;
}

const std::string& binary_array::bytes() {
  const auto count = big_endian<4>(count_);
  std::copy(count.begin(), count.end(), bytes_.begin() + count_offset);
  return bytes_;
}

} // namespace reseq::store::postgres
