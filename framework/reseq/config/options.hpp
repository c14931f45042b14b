/// The table of options: each key with its default, type, bounds and description. Parsing, `--set`, `--help` and
/// `conf/reference.toml` all come from it.
#pragma once

#include <string_view>
#include <vector>

#include "reseq/config/rules.hpp"
#include "reseq/config/settings.hpp"

namespace reseq::config {

template <class T>
struct option {
  std::string_view key;    ///< dotted, below `T`'s own table: "retry.jitter"
  std::string_view preset; ///< the default as TOML; of a required key the example for the reference
  rule<T> takes;
  std::string_view description; ///< one sentence, without the full stop
};

/// Every key of a `T`'s table, in the order in which people read them.
template <class T>
const std::vector<option<T>>& options();

template <>
const std::vector<option<settings>>& options<settings>();
template <>
const std::vector<option<pipeline_settings>>& options<pipeline_settings>(); ///< [[pipeline]]
template <>
const std::vector<option<transform_settings>>& options<transform_settings>(); ///< [[pipeline.transform]], and of a
                                                                              ///< destination
template <>
const std::vector<option<destination_settings>>& options<destination_settings>(); ///< [[pipeline.destination]]

/// Where the keys of each table stand in a whole configuration, with the trailing dot.
inline constexpr std::string_view pipeline_prefix = "pipeline.";
inline constexpr std::string_view transform_prefix = "pipeline.transform.";
inline constexpr std::string_view destination_prefix = "pipeline.destination.";
inline constexpr std::string_view destination_transform_prefix = "pipeline.destination.transform.";

/// What a key's default is as a value; `preset` must be TOML.
node preset_value(std::string_view preset);

/// A `T` with the default of every key.
template <class T>
T presets() {
  T made{};
  for (const auto& row : options<T>()) {
    if (row.takes.set && !row.takes.required) row.takes.set(made, preset_value(row.preset));
  }
  return made;
}

} // namespace reseq::config
