/// The files of a data directory, judged before SQLite sees them: it would make a missing one anew, throw away the log
/// of an empty one, and find out much later that another is cut.
#pragma once

#include <filesystem>

#include "reseq/model/error.hpp"

namespace reseq::store::sqlite {

/// `journal.sqlite` in `data_dir`, with what SQLite puts beside it.
std::filesystem::path journal_file(const std::filesystem::path& data_dir);

/// Refuses a directory or a file in it that cannot be read and written (`errc::unavailable`).
result<void> check_access(const std::filesystem::path& data_dir);

/// Refuses a journal that another program or a newer version of this one wrote (`errc::incompatible`), and one that is
/// no database, lacks its log's other half or was cut short (`errc::corrupt`). Nothing is changed, nor opened as a
/// database. No journal at all is fine unless it is known to have `confirmed` messages, and even then with
/// `accept_loss`.
result<void> check_files(const std::filesystem::path& data_dir, bool confirmed, bool accept_loss);

} // namespace reseq::store::sqlite
