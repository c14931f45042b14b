/// How the journal, and a destination, say what an operator may want to know.
#pragma once

#include <functional>
#include <string>

namespace reseq::store::postgres {

/// Is told a sentence, from any thread; must not call the journal.
using listener = std::function<void(const std::string& news)>;

} // namespace reseq::store::postgres
