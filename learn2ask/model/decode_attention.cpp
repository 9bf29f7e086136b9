#include "model/decode_attention.h"

#include <torch/types.h>

namespace l2a {

std::vector<DecodeRun> runs_of(const std::vector<DecodeRow>& rows) {
  std::vector<DecodeRun> runs;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    if (i == 0 || rows[i].prefix != rows[i - 1].prefix) runs.push_back({rows[i].prefix, at, at});
    runs.back().end = at + 1;
  }
  return runs;
}

std::unique_ptr<DecodeAttention> make_decode_attention(const TransformerConfig& config,
                                                       const at::TensorOptions& options,
                                                       int64_t max_new) {
  if (!options.device().is_cpu()) return make_composed_decode_attention(config, options, max_new);
  return make_cpu_decode_attention(config, c10::typeMetaToScalarType(options.dtype()), max_new);
}

}  // namespace l2a
