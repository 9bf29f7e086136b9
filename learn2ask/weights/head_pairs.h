// The two orders of the rows of q and k: Hugging Face's rotation pairs up the halves of a head,
// that of GGUF's "llama" files neighbours.
#pragma once

#include <cstdint>
#include <span>

namespace l2a {

// Where the row of a head of `head_rows` rows, an even number, lies in GGUF's order.
constexpr int64_t neighbour_place(int64_t row, int64_t head_rows) {
  return row % (head_rows / 2) * 2 + row / (head_rows / 2);
}

// From Hugging Face's order to GGUF's. `values`: [rows, columns], the rows those of `heads` heads
// of an even number of rows each.
void neighbours_from_halves(std::span<float> values, int64_t heads, int64_t rows);

}  // namespace l2a
