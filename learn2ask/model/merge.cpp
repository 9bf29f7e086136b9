#include "model/merge.h"

#include <torch/torch.h>

namespace l2a {
namespace {

const LoraPair* find_pair(const LoraAdapter& adapter, const std::string& name) {
  for (const LoraPair& pair : adapter.pairs()) {
    if (pair.module + ".weight" == name) return &pair;
  }
  return nullptr;
}

}  // namespace

at::Tensor merged_tensor(const Checkpoint& files, const LoraAdapter* adapter,
                         const std::string& name) {
  const torch::NoGradGuard no_grad;
  at::Tensor values = at::empty(files.stored(name).shape, at::kFloat);
  files.read(name, {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  const LoraPair* pair = adapter ? find_pair(*adapter, name) : nullptr;
  if (pair) values.addmm_(pair->b_or, pair->a_ri, 1, adapter->scale());
  return values;
}

bool is_adapted(const LoraAdapter& adapter, const std::string& name) {
  return find_pair(adapter, name) != nullptr;
}

}  // namespace l2a
