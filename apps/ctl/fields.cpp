#include "ctl/fields.hpp"

#include "ctl/text.hpp"

namespace reseq::ctl {
namespace {

using nlohmann::json;

const json& field_in(const json& object, const char* field) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(field);
  return found == object.end() ? null : *found;
}

} // namespace

std::string text_in(const json& object, const char* field) {
  const auto& found = field_in(object, field);
  return found.is_string() ? printable(found.get_ref<const std::string&>()) : "";
}

std::uint64_t number_in(const json& object, const char* field) {
  const auto& found = field_in(object, field);
  const bool counts = found.is_number_unsigned() || (found.is_number_integer() && found.get<std::int64_t>() > 0);
  return counts ? found.get<std::uint64_t>() : 0;
}

std::optional<wall_time> time_in(const json& object, const char* field) { return read_time(text_in(object, field)); }

const json& object_in(const json& object, const char* field) {
  static const json null;
  const auto& found = field_in(object, field);
  return found.is_object() ? found : null;
}

const json& list_in(const json& object, const char* field) {
  static const json empty = json::array();
  const auto& found = field_in(object, field);
  return found.is_array() ? found : empty;
}

std::string place_in(const json& object) {
  const auto at = number_in(object, "position");
  return at == 0 ? "" : std::to_string(number_in(object, "shard")) + ":" + std::to_string(at);
}

} // namespace reseq::ctl
