// Any bytes as an endpoint's answer: a reply or an Error, and so for the JSON that a reply is to
// be.
#include <cstdint>
#include <string>
#include <string_view>

#include "llm/json_answer.h"
#include "llm/wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)l2a::error_text(text);
  if (const auto reply = l2a::read_reply(text)) (void)l2a::read_json_answer(*reply);
  (void)l2a::read_json_answer({.text = std::string(text)});
  return 0;
}
