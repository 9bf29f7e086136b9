#include "train/token_weights.h"

#include "base/error.h"

namespace l2a {

std::vector<double> row_token_weights(const std::string& normalise, std::span<const int64_t> tokens,
                                      const std::vector<bool>& counts, int64_t longest) {
  check(tokens.size() == counts.size(), "row_token_weights: one length a row");
  double rows = 0, total = 0;
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (!counts[r]) continue;
    rows += 1;
    total += static_cast<double>(tokens[r]);
  }
  const auto share = [&](double row_tokens) {
    if (normalise == "row") return 1 / (rows * row_tokens);
    if (normalise == "token") return 1 / total;
    check(normalise == "constant", "row_token_weights: unknown normaliser");
    return 1 / (rows * static_cast<double>(longest));
  };
  std::vector<double> weights(tokens.size(), 0.0);
  for (size_t r = 0; r < tokens.size(); ++r) {
    if (counts[r]) weights[r] = share(static_cast<double>(tokens[r]));
  }
  return weights;
}

}  // namespace l2a
