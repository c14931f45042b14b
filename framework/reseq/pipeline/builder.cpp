#include "reseq/pipeline/builder.hpp"

namespace reseq {

transform transform::version(std::string text) const {
  auto next = *this;
  auto steps = chain_.steps();
  steps.back().version = std::move(text);
  next.chain_ = chain(std::move(steps));
  return next;
}

destination::destination(std::string name, std::string url) {
  settings_.name = std::move(name);
  settings_.url = std::move(url);
}

template <class Field>
destination destination::with(Field destination_settings::*field, Field value) const {
  auto next = *this;
  next.settings_.*field = std::move(value);
  return next;
}

destination destination::url(std::string value) const { return with(&destination_settings::url, std::move(value)); }

destination destination::order(delivery_order what) const { return with(&destination_settings::order, what); }

destination destination::connections(std::uint32_t at_once) const {
  return with(&destination_settings::connections, at_once);
}

destination destination::max_blocked_keys(std::uint32_t keys) const {
  return with(&destination_settings::max_blocked_keys, keys);
}

destination destination::batch(std::uint32_t messages) const { return with(&destination_settings::batch, messages); }

destination destination::timeout(duration of_one_request) const {
  return with(&destination_settings::timeout, of_one_request);
}

destination destination::window(std::uint32_t messages) const { return with(&destination_settings::window, messages); }

destination destination::window_bytes(std::uint64_t bytes) const {
  return with(&destination_settings::window_bytes, bytes);
}

destination destination::max_pending(std::uint64_t messages) const {
  return with(&destination_settings::max_pending, messages);
}

destination destination::max_unsaved(std::uint32_t messages) const {
  return with(&destination_settings::max_unsaved, messages);
}

destination destination::retry_max(duration longest_wait) const {
  return with(&destination_settings::retry_max, longest_wait);
}

destination destination::on_refused(give_up policy) const { return with(&destination_settings::on_refused, policy); }

destination destination::max_dead_letters(std::uint32_t in_a_row) const {
  return with(&destination_settings::max_dead_letters, in_a_row);
}

destination destination::when(std::string header, std::string glob) const {
  auto next = *this;
  next.settings_.when.insert_or_assign(std::move(header), std::move(glob));
  return next;
}

} // namespace reseq
