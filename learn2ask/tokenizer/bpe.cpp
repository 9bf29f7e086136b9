#include "tokenizer/bpe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/compose.h"
#include "tokenizer/patterns.h"

namespace l2a {
namespace {

struct Merge {
  int32_t rank = 0;    // the lower, the sooner
  int32_t result = 0;  // id of the two tokens' concatenation
};

uint64_t pair_key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

// A token of a piece in the making; the tokens of a piece form a list.
struct Symbol {
  int32_t id, previous = -1, next = -1;  // neighbours as places in the piece; -1 for none
  bool gone = false;                     // merged into its left neighbour
};

// A possible merge of the symbol at `place` with its right neighbour.
struct Candidate {
  int32_t rank, place, result, left, right;
  // Best first: lowest rank, then leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : place > other.place;
  }
};

constexpr int32_t kNone = -1;

// Tokens by their first byte; longer ones before their prefixes.
class TokenTable {
 public:
  void add(const std::string& token, int32_t id) {
    by_first_[static_cast<unsigned char>(token.at(0))].emplace(token, id);
  }
  std::optional<BpeTokenizer::Found> at_start_of(std::string_view text) const {
    if (text.empty()) return std::nullopt;
    // In descending order a token comes after the longer ones that it is a prefix of.
    for (const auto& [token, id] : by_first_[static_cast<unsigned char>(text[0])]) {
      if (text.starts_with(token)) return BpeTokenizer::Found{token.size(), id};
    }
    return std::nullopt;
  }

 private:
  std::array<std::map<std::string, int32_t, std::greater<>>, 256> by_first_;
};

}  // namespace

struct BpeTokenizer::Impl {
  std::vector<std::string> bytes;  // what each id decodes to
  std::vector<bool> special;
  std::unordered_map<std::string, int32_t> special_ids;
  std::array<int32_t, 256> byte_ids;                       // kNone: the vocabulary lacks the byte
  std::unordered_map<std::string, int32_t> character_ids;  // kCharacters: tokens of one
  std::unordered_map<uint64_t, Merge> merges;
  TokenAlphabet alphabet;
  PreTokenizer pre_tokenizer;
  bool compose;
  SpacePrefix space_prefix;
  int32_t unknown;
  std::unordered_map<std::string, int32_t> whole_pieces;  // bytes -> id; empty: not looked up
  TokenTable added, specials;

  using Ids = std::unordered_map<std::string, int32_t>;
  void add_tokens(const BpeVocabulary& vocabulary, Ids& ids);
  void find_bytes(const Ids& ids);
  void add_merges(const BpeVocabulary& vocabulary, const Ids& ids);
  void encode_plain(std::string_view text, TextPlace place, std::vector<int32_t>& out) const;
  std::string with_space_marks(std::string_view text, TextPlace place) const;
  void encode_piece(std::string_view piece, std::vector<int32_t>& out) const;
  std::vector<Symbol> byte_symbols(std::string_view piece) const;
  std::vector<Symbol> character_symbols(std::string_view piece) const;
  void merge_symbols(std::vector<Symbol>& symbols) const;
};

namespace {

[[noreturn]] void refuse(const std::string& why) { fail_input("tokenizer: " + why); }

// The bytes that a token of the byte alphabet stands for.
std::string token_bytes(const std::string& token, size_t id) {
  std::string bytes;
  const auto characters = decode_utf8(token);
  if (!characters) refuse("token " + std::to_string(id) + ": " + characters.error().message);
  for (const char32_t c : *characters) {
    const int byte = byte_of(c);
    if (byte == kNoByte) {
      refuse("token " + std::to_string(id) + " '" + shown(token) +
             "': a character outside the byte alphabet");
    }
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const bool found = text.substr(at).starts_with(from);
    result += found ? to : text.substr(at, 1);
    at += found ? from.size() : 1;
  }
  return result;
}

}  // namespace

void BpeTokenizer::Impl::add_tokens(const BpeVocabulary& vocabulary, Ids& ids) {
  const std::unordered_set<int32_t> plain(vocabulary.added.begin(), vocabulary.added.end());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    const auto number = static_cast<int32_t>(id);
    if (token.empty()) {
      if (!vocabulary.is_special[id]) refuse("token " + std::to_string(id) + ": empty");
      bytes.emplace_back();
      continue;
    }
    if (vocabulary.is_special[id]) {
      bytes.push_back(token);
      special_ids.emplace(token, number);
      specials.add(token, number);
    } else if (plain.contains(number)) {
      bytes.push_back(token);
      added.add(token, number);
    } else if (vocabulary.alphabet == TokenAlphabet::kBytes) {
      bytes.push_back(token_bytes(token, id));
    } else {
      bytes.push_back(replaced(token, kSpaceMark, " "));
      const auto characters = decode_utf8(token);
      if (!characters) refuse("token " + std::to_string(id) + ": " + characters.error().message);
      if (characters->size() == 1) character_ids.emplace(token, number);
    }
    if (!ids.emplace(token, number).second) {
      refuse("token " + std::to_string(id) + " '" + shown(token) + "': given twice");
    }
  }
}

void BpeTokenizer::Impl::find_bytes(const Ids& ids) {
  for (size_t b = 0; b < 256; ++b) {
    const std::string name = alphabet == TokenAlphabet::kBytes ? byte_character(b) : byte_token(b);
    const auto found = ids.find(name);
    byte_ids[b] = found == ids.end() ? kNone : found->second;
    if (found != ids.end() && alphabet == TokenAlphabet::kCharacters) {
      bytes[static_cast<size_t>(found->second)] = static_cast<char>(b);
    }
  }
}

void BpeTokenizer::Impl::add_merges(const BpeVocabulary& vocabulary, const Ids& ids) {
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    const auto& [left, right] = vocabulary.merges[rank];
    const std::string where =
        "merge " + std::to_string(rank) + " '" + shown(left) + " " + shown(right) + "': ";
    const auto id_of = [&](const std::string& token) {
      const auto found = ids.find(token);
      if (found == ids.end()) refuse(where + "no token '" + shown(token) + "'");
      return found->second;
    };
    const Merge merge{static_cast<int32_t>(rank), id_of(left + right)};
    if (vocabulary.is_special[static_cast<size_t>(merge.result)]) continue;
    if (!merges.emplace(pair_key(id_of(left), id_of(right)), merge).second) {
      refuse(where + "given twice");
    }
  }
}

void BpeTokenizer::Impl::encode_plain(std::string_view text, TextPlace place,
                                      std::vector<int32_t>& out) const {
  if (text.empty()) return;
  if (alphabet == TokenAlphabet::kCharacters) {
    return encode_piece(with_space_marks(text, place), out);
  }
  const std::string composed = compose ? compose_unicode9(text) : std::string();
  split_pieces(pre_tokenizer, compose ? std::string_view(composed) : text,
               [&](std::string_view piece) { encode_piece(piece, out); });
}

std::string BpeTokenizer::Impl::with_space_marks(std::string_view text, TextPlace place) const {
  std::string marked = replaced(text, " ", kSpaceMark);
  const bool has_one = marked.starts_with(kSpaceMark);
  const bool starts = place == TextPlace::kStart;
  const bool gets_one = place != TextPlace::kInside &&
                        (space_prefix == SpacePrefix::kEach ||
                         (space_prefix == SpacePrefix::kEachUnlessSpace && !has_one) ||
                         (space_prefix == SpacePrefix::kStartUnlessSpace && !has_one && starts));
  return gets_one ? std::string(kSpaceMark) + marked : marked;
}

void BpeTokenizer::Impl::encode_piece(std::string_view piece, std::vector<int32_t>& out) const {
  if (!whole_pieces.empty()) {
    const auto whole = whole_pieces.find(std::string(piece));
    if (whole != whole_pieces.end()) return out.push_back(whole->second);
  }
  std::vector<Symbol> symbols =
      alphabet == TokenAlphabet::kBytes ? byte_symbols(piece) : character_symbols(piece);
  if (symbols.empty()) return;
  for (size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = static_cast<int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<int32_t>(i) + 1 : kNone;
  }
  merge_symbols(symbols);
  for (int32_t i = 0; i != kNone; i = symbols[static_cast<size_t>(i)].next) {
    out.push_back(symbols[static_cast<size_t>(i)].id);
  }
}

std::vector<Symbol> BpeTokenizer::Impl::byte_symbols(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for (const char c : piece) {
    const int32_t id = byte_ids[static_cast<unsigned char>(c)];
    if (id != kNone) symbols.push_back({id});
  }
  return symbols;
}

std::vector<Symbol> BpeTokenizer::Impl::character_symbols(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  bool after_unknown = false;
  for (size_t at = 0; at < piece.size();) {
    size_t end = at + 1;
    while (end < piece.size() && (piece[end] & 0xC0) == 0x80) ++end;
    const std::string character(piece.substr(at, end - at));
    at = end;
    const auto known = character_ids.find(character);
    const bool has_bytes = std::all_of(character.begin(), character.end(), [&](char c) {
      return byte_ids[static_cast<unsigned char>(c)] != kNone;
    });
    if (known != character_ids.end()) {
      symbols.push_back({known->second});
    } else if (has_bytes) {
      for (const char c : character) symbols.push_back({byte_ids[static_cast<unsigned char>(c)]});
    } else if (unknown != kNone && !after_unknown) {
      symbols.push_back({unknown});
    }
    after_unknown = known == character_ids.end() && !has_bytes;
  }
  return symbols;
}

// Merges the best pair until none is left. A heap of candidates keeps this at O(n log n) for a
// piece of any length; a candidate whose symbols have changed meanwhile is passed over.
void BpeTokenizer::Impl::merge_symbols(std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t place) {
    if (place == kNone || symbols[place].next == kNone) return;
    const int32_t left = symbols[place].id, right = symbols[symbols[place].next].id;
    const auto found = merges.find(pair_key(left, right));
    if (found == merges.end()) return;
    queue.push({found->second.rank, place, found->second.result, left, right});
  };
  for (size_t i = 0; i < symbols.size(); ++i) consider(static_cast<int32_t>(i));

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.place];
    if (left.gone || left.id != best.left || left.next == kNone) continue;
    Symbol& right = symbols[left.next];
    if (right.id != best.right) continue;
    left.id = best.result;
    left.next = right.next;
    right.gone = true;
    if (left.next != kNone) symbols[left.next].previous = best.place;
    consider(left.previous);
    consider(best.place);
  }
}

BpeTokenizer::BpeTokenizer(BpeVocabulary vocabulary) {
  if (vocabulary.tokens.empty()) refuse("no tokens");
  if (vocabulary.tokens.size() > std::numeric_limits<int32_t>::max()) refuse("too many tokens");
  if (vocabulary.is_special.size() != vocabulary.tokens.size()) {
    refuse(std::to_string(vocabulary.is_special.size()) + " token types for " +
           std::to_string(vocabulary.tokens.size()) + " tokens");
  }
  if (vocabulary.merges.empty()) refuse("no merges: a BPE tokenizer cannot do without");
  auto impl = std::make_unique<Impl>();
  impl->alphabet = vocabulary.alphabet;
  impl->space_prefix = vocabulary.space_prefix;
  impl->unknown = vocabulary.unknown.value_or(kNone);
  Impl::Ids ids;
  impl->add_tokens(vocabulary, ids);
  impl->find_bytes(ids);
  impl->add_merges(vocabulary, ids);
  impl->special = std::move(vocabulary.is_special);
  impl->pre_tokenizer = vocabulary.pre_tokenizer;
  impl->compose = vocabulary.compose;
  if (vocabulary.whole_pieces_first) {
    for (size_t id = 0; id < impl->bytes.size(); ++id) {
      if (!impl->special[id] && !impl->bytes[id].empty())
        impl->whole_pieces.emplace(impl->bytes[id], static_cast<int32_t>(id));
    }
  }
  impl_ = std::move(impl);
}

BpeTokenizer::~BpeTokenizer() = default;
BpeTokenizer::BpeTokenizer(BpeTokenizer&&) noexcept = default;

Result<std::vector<int32_t>> BpeTokenizer::encode(std::string_view text, TextPlace place) const {
  if (const auto bad = find_bad_utf8(text)) {
    return Error{ErrorCode::kInvalidInput,
                 "text: byte " + std::to_string(*bad + 1) + ": invalid UTF-8"};
  }
  std::vector<int32_t> ids;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const auto found = impl_->added.at_start_of(text.substr(at));
    if (!found) {
      ++at;
      continue;
    }
    impl_->encode_plain(text.substr(done, at - done), place, ids);
    ids.push_back(found->id);
    done = at += found->length;
    place = TextPlace::kAfterSpecial;
  }
  impl_->encode_plain(text.substr(done), place, ids);
  return ids;
}

std::optional<BpeTokenizer::Found> BpeTokenizer::special_at(std::string_view text) const {
  return impl_->specials.at_start_of(text);
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) {
    check(id >= 0 && id < size(), "decode: an id outside the vocabulary");
    text += impl_->bytes[static_cast<size_t>(id)];
  }
  return text;
}

int32_t BpeTokenizer::size() const { return static_cast<int32_t>(impl_->bytes.size()); }

int32_t BpeTokenizer::special_id(std::string_view name) const {
  const auto found = impl_->special_ids.find(std::string(name));
  if (found == impl_->special_ids.end()) {
    fail(ErrorCode::kNotFound, "tokenizer: no special token '" + shown(name) + "'");
  }
  return found->second;
}

bool BpeTokenizer::is_special(int32_t id) const {
  return id >= 0 && id < size() && impl_->special[static_cast<size_t>(id)];
}

}  // namespace l2a
