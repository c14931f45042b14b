// What most sources here include and what is slow to read; not a header to include by hand.
#pragma once

#include <cstdint> // before CAF, which forgets it

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include "actors/protocol.hpp"
