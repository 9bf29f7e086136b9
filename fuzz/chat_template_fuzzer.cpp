// Any bytes as a chat template: it is one of the formats, or it is refused; and what it writes
// stays inside the bounds.
#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "tokenizer/jinja.h"
#include "tokenizer/recognise_format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)l2a::recognise_format(text, "<s>", "</s>");
  const auto parsed = l2a::JinjaTemplate::parse(text);
  if (!parsed) return 0;
  const l2a::Json variables = {{"n", 7}, {"t", " a,b "}, {"list", {1, "a", {{"k", "v"}}}}};
  (void)parsed->render(variables);
  return 0;
}
