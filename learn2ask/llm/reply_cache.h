// Answers that came once are never paid for again: an SQLite file, shared by runs.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "llm/chat.h"

struct sqlite3;
struct sqlite3_stmt;

namespace l2a {

// The name of a call: SHA-256 of the endpoint's URL, the body (model, parameters, messages) and the
// sample's number.
std::string call_key(const std::string& url, const std::string& body, uint64_t sample);

struct KeptReply {
  std::string key;
  ChatReply reply;
};

// Safe for several processes at once; within one, not thread-safe. What put() has stored survives
// the end of the process at any moment; a power cut may take the last second, and nothing else.
class ReplyCache {
 public:
  // Opens `path`, makes it (mode 0600) with the folders above it when it is not there. Throws
  // Failure: kIo, also for a file that is something else; kInvalidInput for one of a newer version.
  explicit ReplyCache(const std::filesystem::path& path);
  ~ReplyCache();
  ReplyCache(const ReplyCache&) = delete;
  ReplyCache& operator=(const ReplyCache&) = delete;

  std::optional<ChatReply> find(const std::string& key);

  // Stores all in one transaction. The first answer to a call stays: where another process was
  // quicker, its answer takes the place of the one in `replies`. Throws Failure (kIo: disk full).
  void put(std::span<KeptReply> replies);

 private:
  struct CloseDatabase {
    void operator()(sqlite3* database) const;
  };
  struct Finalise {
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalise>;
  Statement prepare(const char* sql);
  void execute(const char* sql);
  int version();
  [[noreturn]] void fail_database(const std::string& what);

  std::filesystem::path path_;
  std::unique_ptr<sqlite3, CloseDatabase> database_;
  Statement find_, insert_;
};

}  // namespace l2a
