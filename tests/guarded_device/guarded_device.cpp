// A device for tests, "guarded" to LibTorch: the host cannot touch its memory, and its operators
// run on the CPU.
//
// What runs here runs on any device that LibTorch has: code that reads a tensor's memory as if it
// were the host's, or gives one operator tensors of two devices, ends at once, as it would on CUDA.
// A program is given the device with LD_PRELOAD. What only a real one shows is not here: kernels
// that a device lacks, its rounding, its order of sums, streams.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <torch/types.h>

namespace {

constexpr c10::DeviceType kType = c10::DeviceType::PrivateUse1;
constexpr c10::DispatchKey kKey = c10::DispatchKey::PrivateUse1;
const c10::Device kDevice(kType, 0);

// Hands out addresses that no access is allowed to; the numbers lie elsewhere.
class Memory : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const size_t size = std::max<size_t>(bytes, 1);
    void* const address =
        mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TORCH_CHECK(address != MAP_FAILED, "guarded device: no address space");
    std::vector<char> numbers(size, static_cast<char>(0xFF));  // not a number until it is written
    const std::lock_guard lock(mutex_);
    blocks_.emplace(address, std::move(numbers));
    return {address, address, &release, kDevice};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t count) const override {
    std::memcpy(numbers_at(to), numbers_at(from), count);
  }

  // Where the numbers at a device's address are.
  char* numbers_at(const void* address) const {
    const std::lock_guard lock(mutex_);
    auto block = blocks_.upper_bound(const_cast<void*>(address));
    TORCH_CHECK(block != blocks_.begin(), "guarded device: an address of no tensor");
    --block;
    const auto offset = static_cast<const char*>(address) - static_cast<const char*>(block->first);
    TORCH_CHECK(static_cast<size_t>(offset) <= block->second.size(),
                "guarded device: an address of no tensor");
    return block->second.data() + offset;
  }

 private:
  static void release(void* address);

  mutable std::mutex mutex_;
  mutable std::map<void*, std::vector<char>> blocks_;
};

Memory& memory() {
  static auto* const all = new Memory;  // outlives every tensor
  return *all;
}

void Memory::release(void* address) {
  const std::lock_guard lock(memory().mutex_);
  const auto block = memory().blocks_.find(address);
  munmap(address, block->second.size());
  memory().blocks_.erase(block);
}

bool is_guarded(const at::Tensor& x) { return x.defined() && x.device().type() == kType; }

// The same numbers as a tensor of the CPU. A device takes single numbers of the CPU as they are,
// and nothing else of another device.
at::Tensor on_host(const at::Tensor& x) {
  if (!x.defined() || (x.is_cpu() && x.dim() == 0)) return x;
  TORCH_CHECK(is_guarded(x), "guarded device: an operator has a tensor on ", x.device(), " too");
  const auto options = x.options().device(at::kCPU);
  if (x.numel() == 0) return at::empty(x.sizes(), options);
  return at::from_blob(memory().numbers_at(x.const_data_ptr()), x.sizes(), x.strides(), options);
}

at::Tensor to_device(const at::Tensor& x) {
  auto copy = at::empty_strided(x.sizes(), x.strides(), x.options().device(kDevice));
  on_host(copy).copy_(x);
  return copy;
}

// The argument with what is on the device on the host.
c10::IValue on_host(const c10::IValue& value) {
  if (value.isTensor()) return on_host(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> all;
    for (const at::Tensor& x : value.toTensorVector()) all.push_back(on_host(x));
    return all;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> all;
    for (const std::optional<at::Tensor>& x : value.toOptionalTensorVector()) {
      all.push_back(x ? std::optional(on_host(*x)) : std::nullopt);
    }
    return all;
  }
  if (value.isDevice() && value.toDevice().type() == kType) return at::Device(at::kCPU);
  return value;
}

// An empty output has taken the shape of what was put into it.
void take_shape(const at::Tensor& out, const at::Tensor& hosted) {
  TORCH_CHECK(out.numel() == 0, "guarded device: an output of another shape");
  const at::Tensor copy = to_device(hosted);
  out.unsafeGetTensorImpl()->set_storage_keep_dtype(copy.storage());
  out.unsafeGetTensorImpl()->set_sizes_and_strides(copy.sizes(), copy.strides(), 0);
}

// What an operator gave, on the device.
c10::IValue to_device(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor().defined() ? to_device(value.toTensor()) : value;
  if (value.isTensorList()) {
    c10::List<at::Tensor> all;
    for (const at::Tensor& x : value.toTensorVector()) all.push_back(to_device(x));
    return all;
  }
  return value;
}

// Every operator that is not below: the CPU's, on the numbers where they are.
void on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const c10::FunctionSchema& schema = op.schema();
  const std::vector<c10::IValue> given(stack->end() - static_cast<int>(schema.arguments().size()),
                                       stack->end());
  std::vector<c10::IValue> hosted;
  for (const c10::IValue& value : given) hosted.push_back(on_host(value));
  torch::jit::drop(*stack, given.size());
  stack->insert(stack->end(), hosted.begin(), hosted.end());
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);

  const size_t first = stack->size() - schema.returns().size();
  for (size_t i = 0; i < schema.returns().size(); ++i) {
    c10::IValue& result = (*stack)[first + i];
    const c10::AliasInfo* const alias = schema.returns()[i].alias_info();
    if (alias == nullptr) {
      result = to_device(result);
      continue;
    }
    TORCH_CHECK(alias->isWrite(), "guarded device: ", op.operator_name(), ": a view");
    for (size_t a = 0; a < given.size(); ++a) {
      const c10::AliasInfo* const of = schema.arguments()[a].alias_info();
      if (of == nullptr || of->beforeSets() != alias->beforeSets()) continue;
      const at::Tensor &out = given[a].toTensor(), &numbers = hosted[a].toTensor();
      if (numbers.sizes() != out.sizes()) take_shape(out, numbers);
      result = given[a];
    }
  }
}

at::Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory(),
                                   c10::DispatchKeySet(kKey), c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size),
                                           C10_AS_INTARRAYREF_SLOW(stride), &memory(),
                                           c10::DispatchKeySet(kKey), c10::dtype_or_default(type));
}

at::Tensor as_strided(const at::Tensor& x, c10::SymIntArrayRef size, c10::SymIntArrayRef stride,
                      std::optional<c10::SymInt> offset) {
  std::optional<int64_t> first;
  if (offset) first = offset->guard_int(__FILE__, __LINE__);
  return at::native::as_strided_tensorimpl(x, C10_AS_INTARRAYREF_SLOW(size),
                                           C10_AS_INTARRAYREF_SLOW(stride), first);
}

at::Tensor view(const at::Tensor& x, c10::SymIntArrayRef size) {
  return at::native::view(x, C10_AS_INTARRAYREF_SLOW(size));
}

at::Tensor reshape_alias(const at::Tensor& x, c10::SymIntArrayRef size,
                         c10::SymIntArrayRef stride) {
  return at::native::_reshape_alias(x, C10_AS_INTARRAYREF_SLOW(size),
                                    C10_AS_INTARRAYREF_SLOW(stride));
}

// Between the host and the device, or on it.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  const auto plain = [](const at::Tensor& x) { return is_guarded(x) ? on_host(x) : x; };
  plain(to).copy_(plain(from));
  return to;
}

at::Scalar local_scalar(const at::Tensor& x) { return on_host(x).item(); }

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("_copy_from", copy_from);
  m.impl("_local_scalar_dense", local_scalar);
  // Named, so that the device is seen to have them (flash_attention.cpp).
  for (const char* const name : {"_flash_attention_forward", "_flash_attention_backward"}) {
    m.impl(name, torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
  }
}

struct Guard : c10::impl::NoOpDeviceGuardImpl<kType> {
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }

 private:
  static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
};

struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

const bool kRegistered = [] {
  c10::SetAllocator(kType, &memory());
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  c10::register_privateuse1_backend("guarded");
  return true;
}();

}  // namespace
