// The shape and parts of a decoder-only transformer, whatever file it came from.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

namespace l2a {

// How rotary frequencies are stretched for texts longer than those of the first training.
enum class RotaryScaling { kNone, kLinear, kLlama3, kYarn };

struct RotaryConfig {
  double theta = 10000;
  RotaryScaling scaling = RotaryScaling::kNone;
  double factor = 1;  // the frequencies' divisor
  // Of llama3: wavelengths above original / low are divided, those below original / high kept, and
  // those between mixed.
  double low_factor = 1, high_factor = 4, original_positions = 8192;
  // Of yarn: frequencies that turn fast_turns times or more within the original positions are kept,
  // those of slow_turns or less divided, those between mixed by their place, which is rounded
  // outwards where `whole_places`.
  double fast_turns = 32, slow_turns = 1;
  bool whole_places = true;
  double attention_factor = 1;       // of what is turned, queries as well as keys
  std::vector<float> divisors = {};  // of each frequency, as some GGUF files have them; empty: none
};

// yarn's attention_factor where a file gives none.
inline double yarn_attention_factor(double factor, double scale = 1) {
  return factor <= 1 ? 1 : 0.1 * scale * std::log(factor) + 1;
}

enum class Activation { kSilu, kGeluTanh };

struct TransformerConfig {
  int64_t layers = 0;
  int64_t width = 0;     // of the residual stream
  int64_t heads = 0;     // query heads
  int64_t kv_heads = 0;  // divides heads
  int64_t head_dim = 0;
  int64_t mlp_width = 0;
  int64_t vocabulary = 0;
  int64_t max_positions = 0;
  double norm_epsilon = 1e-5;
  bool tied_head = true;  // the output head is the embedding
  Activation activation = Activation::kSilu;

  bool qkv_bias = false;
  bool qk_norm = false;        // each head of queries and keys is normed before it is turned
  bool post_norms = false;     // what attention and MLP add is normed too
  bool norms_add_one = false;  // files hold the norms' weights less 1
  double embedding_scale = 1;

  RotaryConfig rotary;           // of layers that see all that came before
  RotaryConfig local_rotary;     // of layers with a window
  int64_t window = 0;            // the tokens that such a layer sees, the newest included
  std::vector<bool> has_window;  // by layer; empty: none has

  // Scores are divided by its root; that of head_dim where absent.
  std::optional<double> query_scalar;
  double logit_softcap = 0;  // c: logits x become c tanh(x / c); 0: none

  // 0 for a layer that sees everything.
  int64_t window_of(size_t layer) const {
    return !has_window.empty() && has_window[layer] ? window : 0;
  }
  double attention_scale() const {
    return 1 / std::sqrt(query_scalar.value_or(static_cast<double>(head_dim)));
  }
};

}  // namespace l2a
