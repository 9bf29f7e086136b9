#include "llm/reply_cache.h"

#include <chrono>
#include <thread>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/file.h"

namespace l2a {
namespace {

constexpr int kVersion = 1;
constexpr int kBusyMilliseconds = 60'000;  // for another process's transaction

void bind_text(sqlite3_stmt* statement, int column, const std::string& text) {
  check(sqlite3_bind_text64(statement, column, text.data(), text.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8) == SQLITE_OK,
        "sqlite3_bind_text64");
}

void bind_count(sqlite3_stmt* statement, int column, std::optional<int64_t> count) {
  check((count ? sqlite3_bind_int64(statement, column, *count)
               : sqlite3_bind_null(statement, column)) == SQLITE_OK,
        "sqlite3_bind_int64");
}

// Statements are used again and again: this makes one ready for the next time.
class Use {
 public:
  explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

 private:
  sqlite3_stmt* statement_;
};

ChatReply read_row(sqlite3_stmt* row) {
  ChatReply reply;
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, 0));
  reply.text.assign(text, static_cast<size_t>(sqlite3_column_bytes(row, 0)));
  reply.truncated = sqlite3_column_int(row, 1) != 0;
  if (sqlite3_column_type(row, 2) != SQLITE_NULL) {
    reply.usage = TokenUsage{sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3)};
  }
  return reply;
}

}  // namespace

std::string call_key(const std::string& url, const std::string& body, uint64_t sample) {
  return sha256_hex(url + "\n" + std::to_string(sample) + "\n" + body);
}

void ReplyCache::CloseDatabase::operator()(sqlite3* database) const { sqlite3_close(database); }
void ReplyCache::Finalise::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

ReplyCache::ReplyCache(const std::filesystem::path& path) : path_(path) {
  if (path_.has_parent_path()) make_private_directory(path_.parent_path());
  // Made here, so that nobody else may read it: SQLite would give it the usual mode.
  const int made = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (made >= 0) ::close(made);
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path_.c_str(), &opened, SQLITE_OPEN_READWRITE, nullptr);
  database_.reset(opened);
  if (code != SQLITE_OK) fail_database("open");
  sqlite3_busy_timeout(database_.get(), kBusyMilliseconds);
  if (version() > kVersion) {
    fail_input("llm.cache: " + path_.string() + ": made by a newer version of this program");
  }
  execute("PRAGMA journal_mode = WAL");
  execute("PRAGMA synchronous = NORMAL");
  execute(
      "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, text TEXT NOT NULL, "
      "truncated INTEGER NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, "
      "stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) WITHOUT ROWID");
  execute("PRAGMA user_version = 1");
  find_ = prepare(
      "SELECT text, truncated, prompt_tokens, completion_tokens FROM replies WHERE key = ?");
  insert_ = prepare(
      "INSERT OR IGNORE INTO replies (key, text, truncated, prompt_tokens, completion_tokens) "
      "VALUES (?, ?, ?, ?, ?)");
}

ReplyCache::~ReplyCache() = default;

void ReplyCache::fail_database(const std::string& what) {
  const char* why = database_ ? sqlite3_errmsg(database_.get()) : "out of memory";
  fail(ErrorCode::kIo, "llm.cache: " + what + ": " + path_.string() + ": " + why);
}

ReplyCache::Statement ReplyCache::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql, -1, &statement, nullptr) != SQLITE_OK) {
    fail_database("read");
  }
  return Statement(statement);
}

void ReplyCache::execute(const char* sql) {
  // While another process makes the same new file, SQLite answers "busy" at once to some of this.
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::milliseconds(kBusyMilliseconds);
  while (true) {
    const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return;
    if (code != SQLITE_BUSY || Clock::now() >= end) fail_database("write");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

int ReplyCache::version() {
  const Statement statement = prepare("PRAGMA user_version");
  if (sqlite3_step(statement.get()) != SQLITE_ROW) fail_database("read");
  return sqlite3_column_int(statement.get(), 0);
}

std::optional<ChatReply> ReplyCache::find(const std::string& key) {
  const Use use(find_.get());
  bind_text(find_.get(), 1, key);
  const int code = sqlite3_step(find_.get());
  if (code == SQLITE_ROW) return read_row(find_.get());
  if (code != SQLITE_DONE) fail_database("read");
  return std::nullopt;
}

void ReplyCache::put(std::span<KeptReply> replies) {
  if (replies.empty()) return;
  execute("BEGIN IMMEDIATE");
  try {
    for (KeptReply& kept : replies) {
      bool was_there = false;
      {
        const Use use(insert_.get());
        const auto& usage = kept.reply.usage;
        bind_text(insert_.get(), 1, kept.key);
        bind_text(insert_.get(), 2, kept.reply.text);
        bind_count(insert_.get(), 3, kept.reply.truncated ? 1 : 0);
        bind_count(insert_.get(), 4, usage ? std::optional(usage->prompt) : std::nullopt);
        bind_count(insert_.get(), 5, usage ? std::optional(usage->completion) : std::nullopt);
        if (sqlite3_step(insert_.get()) != SQLITE_DONE) fail_database("write");
        was_there = sqlite3_changes(database_.get()) == 0;
      }
      if (was_there) kept.reply = find(kept.key).value();
    }
    execute("COMMIT");
  } catch (...) {
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

}  // namespace l2a
