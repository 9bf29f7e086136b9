// What calls cost: a journal of every call sent and of what came of it. (The probes of an outage,
// of a token each, are left out.)
//
// Two lines a try: {"event": "sent", "call", "try", "reserved"} before it goes out, and {"event":
// "done", "call", "try", "outcome", "status", "prompt_tokens", "completion_tokens", "seconds",
// "cost"} after. A try that was in flight when its process was killed has the first only: it may
// have been paid for. The next process writes the second, at the cost that was reserved: a
// reply where the cache has it (it is put there first), else lost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/file_lock.h"
#include "llm/chat.h"
#include "llm/reply_cache.h"

namespace l2a {

struct LedgerTotals {
  int64_t sent = 0;     // tries
  int64_t replies = 0;  // tries that brought one
  int64_t lost = 0;     // tries that were in flight when a process ended, or given up unanswered
  int64_t cached = 0;   // calls answered from the cache: nothing was sent; of this process only
  int64_t prompt_tokens = 0, completion_tokens = 0;
  double cost = 0;
  double seconds = 0;  // of all tries, as if one after the other
};

// "412 calls (3 of them lost, 20 more from the cache), 81234 + 4321 tokens, cost 1.2345"
std::string to_text(const LedgerTotals& totals);

// What came of one try.
struct CallEnd {
  std::string outcome;             // "reply", "busy", "retry", "refused", "pause", "lost"
  std::optional<int> status = {};  // of HTTP; nullopt: no answer came
  std::optional<TokenUsage> usage = {};
  double seconds = 0;
  double cost = 0;
};

// Not thread-safe. One process a file: it is locked, on file systems that have locks.
class Ledger {
 public:
  // Opens `path` or makes it; what it says already counts. Throws Failure: kIo, and one that names
  // FILE:LINE for a line that is none of a ledger; kIo also while another process writes to it.
  // A try that was in flight when its process was killed, and whose reply is in `cache`, counts as
  // a reply, at the cost that was reserved.
  explicit Ledger(const std::filesystem::path& path, ReplyCache* cache = nullptr);
  // Counts, and writes nothing.
  Ledger() = default;

  void sent(const std::string& call, int64_t attempt, double reserved);
  void done(const std::string& call, int64_t attempt, const CallEnd& end);
  void cached() { ++totals_.cached; }
  const LedgerTotals& totals() const { return totals_; }

 private:
  void count(const CallEnd& end);
  void read_back(const std::filesystem::path& path, ReplyCache* cache);
  std::optional<FileLock> lock_;
  std::optional<Journal> journal_;
  LedgerTotals totals_;
};

}  // namespace l2a
