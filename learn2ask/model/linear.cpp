#include "model/linear.h"

#include <torch/types.h>

#include "model/panel.h"
#include "model/panel_product.h"

namespace l2a {
namespace {

// Of a product with these rows on the left.
bool library_is_faster(const at::Tensor& rows_mk) {
  constexpr int64_t kFewRows = 4;  // ours compute at least sixteen
  return rows_mk.size(0) < kFewRows || library_multiplies(rows_mk.scalar_type(), rows_mk.device());
}

}  // namespace

bool library_multiplies(at::ScalarType type, at::Device device) {
  return !device.is_cpu() || type != at::kBFloat16 || has_bf16_products();
}

at::Tensor linear(const at::Tensor& x_ni, const at::Tensor& w_oi, const at::Tensor& added,
                  Products products) {
  if (products == Products::kFastest && library_is_faster(x_ni)) {
    return added.defined() ? at::addmm(added, x_ni, w_oi.t()) : at::mm(x_ni, w_oi.t());
  }
  at::Tensor y_no = at::empty({x_ni.size(0), w_oi.size(0)}, x_ni.options());
  panel_product(x_ni, w_oi.t(), added, y_no);
  return y_no;
}

at::Tensor linear(const at::Tensor& x_ni, const FrozenMatrix& w, const at::Tensor& added,
                  Products products) {
  return w.int8 ? linear(x_ni, *w.int8, added) : linear(x_ni, w.w_oi, added, products);
}

void add_linear_(at::Tensor& y_no, const at::Tensor& x_ni, const at::Tensor& w_oi,
                 Products products) {
  if (products == Products::kFastest && library_is_faster(x_ni)) {
    y_no.addmm_(x_ni, w_oi.t());
  } else {
    panel_product(x_ni, w_oi.t(), y_no, y_no);
  }
}

at::Tensor product(const at::Tensor& a_mk, const at::Tensor& b_kn) {
  if (library_is_faster(a_mk)) return at::mm(a_mk, b_kn);
  at::Tensor out_mn = at::empty({a_mk.size(0), b_kn.size(1)}, a_mk.options());
  panel_product(a_mk, b_kn, {}, out_mn);
  return out_mn;
}

void add_product_(at::Tensor& y_mn, const at::Tensor& a_mk, const at::Tensor& b_kn) {
  if (library_is_faster(a_mk)) {
    y_mn.addmm_(a_mk, b_kn);
  } else {
    panel_product(a_mk, b_kn, y_mn, y_mn);
  }
}

}  // namespace l2a
