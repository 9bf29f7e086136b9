// Any bytes as a tokenizer.json: it makes a tokenizer whose ids are its own, or it is refused.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/tokenizer_json.h"

namespace {

constexpr std::string_view kTexts[] = {"", " a  ab\n\nthe 12's\xc2\xbd",
                                       "\xe4\xb8\xad\xe2\x96\x81<0x0A>", "<|end|>",
                                       "\xf0\x9f\x98\x80 \xcc\x81"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json = l2a::parse_json({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  try {
    const l2a::BpeTokenizer tokenizer(l2a::bpe_from_tokenizer_json(*json, ""));
    for (const std::string_view text : kTexts) {
      const auto ids = tokenizer.encode(text).value_or_throw();
      for (const int32_t id : ids) {
        if (id < 0 || id >= tokenizer.size()) std::abort();
      }
      tokenizer.decode(ids);
    }
  } catch (const l2a::Failure&) {
  }
  return 0;
}
