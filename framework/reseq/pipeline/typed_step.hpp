/// From a user's function to a `step`: the compile-time checks of a chain, and the lifting of what it returns.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "reseq/pipeline/payload.hpp"
#include "reseq/pipeline/step.hpp"

namespace reseq::detail {

/// Stands for the value after a transform that does not fit: whatever follows is not complained about as well.
struct misfit {};

template <class...>
inline constexpr bool never = false;

/// How a returned value goes on: `value_type` is what the next transform takes. An empty optional drops the message,
/// `routed` narrows it, `outcome` does either or fails.
template <class T>
struct lift {
  using value_type = T;
  static handed_over apply(T&& value) { return {std::make_shared<T>(std::move(value))}; }
};

template <>
struct lift<dropped> {
  using value_type = dropped;
  static handed_over apply(dropped) { return {dropped{}}; }
};

template <>
struct lift<failed> {
  using value_type = failed;
  static handed_over apply(failed&& why) { return {std::move(why)}; }
};

template <>
struct lift<produced> {
  using value_type = content_ptr;
  static handed_over apply(produced&& result) {
    return {std::make_shared<content_ptr>(std::move(result.body)), std::move(result.only_to)};
  }
};

template <>
struct lift<outcome> {
  using value_type = content_ptr;
  static handed_over apply(outcome&& result) {
    return std::visit([]<class T>(T&& ending) { return lift<T>::apply(std::forward<T>(ending)); }, std::move(result));
  }
};

template <class T>
struct lift<std::optional<T>> {
  using value_type = typename lift<T>::value_type;
  static handed_over apply(std::optional<T>&& value) {
    if (!value) return {dropped{}};
    return lift<T>::apply(std::move(*value));
  }
};

template <class T>
struct lift<routed<T>> {
  using value_type = typename lift<T>::value_type;
  static handed_over apply(routed<T>&& result) {
    auto lifted = lift<T>::apply(std::move(result.value));
    narrow(lifted.only_to, result.only_to);
    return lifted;
  }
};

/// What a transform is called with: the first of a chain gets the message, to copy if it wants it by value, each
/// other one the value before it, to keep.
template <unsigned Number, class Given>
using argument = std::conditional_t<Number == 1, const message&, Given&&>;

template <class Transform, class Argument>
inline constexpr bool accepts =
  std::is_invocable_v<Transform, Argument> || std::is_invocable_v<Transform, Argument, const attempt_context&>;

template <class Transform, class Argument>
decltype(auto) call(const Transform& transform, Argument&& value, const attempt_context& context) {
  if constexpr (std::is_invocable_v<const Transform&, Argument>)
    return std::invoke(transform, std::forward<Argument>(value));
  else
    return std::invoke(transform, std::forward<Argument>(value), context);
}

template <class Transform, class Argument>
using returned =
  decltype(call(std::declval<const Transform&>(), std::declval<Argument>(), std::declval<const attempt_context&>()));

/// Whether `Transform` fits as the chain's `Number`th (from 1) after a value of type `Given`. If not, that is the one
/// error the compiler reports, and the parameters it shows beside it say which transform and which types.
template <unsigned Number, class Given, class Transform>
constexpr bool fits() {
  using argument_type = argument<Number, Given>;
  if constexpr (std::is_same_v<Given, misfit>)
    return false;
  else if constexpr (accepts<const Transform&, argument_type>) {
    constexpr bool returns_value = !std::is_void_v<returned<Transform, argument_type>>;
    static_assert(returns_value, "reseq: a transform returns what the next one takes or a payload, not void");
    return returns_value;
  } else {
    if constexpr (accepts<Transform&, argument_type>)
      static_assert(never<Transform>, "reseq: many threads call a transform at once, so it must be callable when "
                                      "const (a lambda without 'mutable')");
    else if constexpr (Number == 1)
      static_assert(never<Transform>, "reseq: the first transform of a chain takes a const reseq::message&");
    else
      static_assert(never<Transform>, "reseq: this transform does not take what the one before it returns (its place "
                                      "in the chain is 'Number', it was given 'Given')");
    return false;
  }
}

/// Whether a chain may end with a value of type `Last`; an error like that of `fits` if not.
template <class Last, unsigned Count>
constexpr bool ends_in_payload() {
  constexpr bool ends = Count == 0 || payload<Last> || std::is_same_v<Last, misfit>;
  static_assert(ends, "reseq: the last transform of a chain returns a payload: std::string, const char*, a std::vector "
                      "of bytes, reseq::content or reseq::outcome ('Last' is none)");
  return ends;
}

template <unsigned Number, class Given, class Transform, bool Fits = fits<Number, Given, Transform>()>
struct value_after {
  using type = misfit;
};

template <unsigned Number, class Given, class Transform>
struct value_after<Number, Given, Transform, true> {
  using type = typename lift<std::decay_t<returned<Transform, argument<Number, Given>>>>::value_type;
};

template <class T>
content_ptr finish_as(const std::shared_ptr<void>& value, const message& source) {
  return to_content(std::move(*static_cast<T*>(value.get())), source);
}

/// The step that calls `transform`, which fits. Moves it in; it need not be copyable.
template <unsigned Number, class Given, class Transform>
step make_step(std::string name, Transform transform) {
  using argument_type = argument<Number, Given>;
  using result_type = std::decay_t<returned<Transform, argument_type>>;
  using value_type = typename lift<result_type>::value_type;
  step made;
  made.name = std::move(name);
  made.input = typeid(std::conditional_t<Number == 1, message, Given>).name();
  made.output = typeid(value_type).name();
  made.takes_message = Number == 1;
  made.invoke = [shared = std::make_shared<const Transform>(std::move(transform))](const step_input& in) {
    const auto run = [&](argument_type value) {
      return lift<result_type>::apply(result_type(call(*shared, static_cast<argument_type>(value), in.context)));
    };
    if constexpr (Number == 1)
      return run(*in.current);
    else
      return run(std::move(*static_cast<Given*>(in.value.get())));
  };
  if constexpr (payload<value_type>) made.finish = &finish_as<value_type>;
  return made;
}

} // namespace reseq::detail
