// Which chat format a model's Jinja text is.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/chat_format.h"

namespace l2a {

// The known format that writes, byte by byte, what the template writes for dialogues that tell the
// formats and their variants apart: trimmed or not, with and without a system message, begun by
// the assistant, open or ended. What a template trims, refuses or puts in for a missing system
// message is found out, too. `bos` and `eos` are the model's tokens. kUnsupported saying why.
Result<ChatFormat> recognise_format(std::string_view jinja, std::string_view bos,
                                    std::string_view eos);

// The format with the model's own tokens in place of "{bos}" and "{eos}".
ChatFormat with_tokens(ChatFormat format, std::string_view bos, std::string_view eos);

}  // namespace l2a
