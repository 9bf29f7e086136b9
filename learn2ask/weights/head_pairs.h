// The two orders of the rows of q and k: Hugging Face's rotation pairs up the halves of a head,
// that of GGUF's "llama" files neighbours.
#pragma once

#include <cstdint>
#include <span>

namespace l2a {

// `values`: [rows, columns], the rows those of `heads` heads of an even number of rows each.
void halves_from_neighbours(std::span<float> values, int64_t heads, int64_t rows);
void neighbours_from_halves(std::span<float> values, int64_t heads, int64_t rows);

}  // namespace l2a
