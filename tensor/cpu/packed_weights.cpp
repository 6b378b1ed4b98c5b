// The cache of packed weights.
#include "tensor/cpu/packed_weights.h"

#include "tensor/stream.h"

namespace ft::cpu {

std::shared_ptr<Packed> PackCache::find(const void* master, const Md& desc) {
  std::erase_if(copies_, [](const auto& copy) { return copy.expired(); });
  for (const auto& copy : copies_)
    if (auto packed = copy.lock(); packed->master == master && packed->desc == desc) return packed;
  auto packed = std::make_shared<Packed>();
  packed->master = master;
  packed->desc = desc;
  const Shape bytes{static_cast<int64_t>(desc.get_size())};
  packed->memory = Tensor({bytes, DType::u8, Layout::plain}, allocator_);
  copies_.push_back(packed);
  return packed;
}

size_t PackCache::copies() const {
  size_t alive = 0;
  for (const auto& copy : copies_) alive += copy.expired() ? 0 : 1;
  return alive;
}

PackedWeights::PackedWeights(PackCache& cache, const dnnl::engine& engine, const Md& plain,
                             const Md& wanted)
    : cache_(&cache), wanted_(wanted) {
  if (plain == wanted) return;
  const dnnl::reorder::primitive_desc pd(engine, plain, engine, wanted);
  reorder_ = Call(engine, dnnl::reorder(pd), {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, wanted}});
}

void* PackedWeights::get(const dnnl::stream& s, const Tensor& w, uint64_t version) {
  FT_CHECK(!w.empty() && w.spec().dtype == DType::f32 && w.spec().layout == Layout::plain,
           "weights are plain f32");
  if (!reorder_) return w.data();
  if (!packed_ || packed_->master != w.data()) packed_ = cache_->find(w.data(), wanted_);
  if (!packed_->valid || packed_->version != version) {
    HostEvent begin, end;
    begin.record();
    reorder_.run(s, {{DNNL_ARG_FROM, w.data()}, {DNNL_ARG_TO, packed_->memory.data()}});
    end.record();
    cache_->seconds += end.seconds_since(begin);
    cache_->bytes += static_cast<double>(w.bytes() + packed_->memory.bytes());
    packed_->valid = true;
    packed_->version = version;
  }
  return packed_->memory.data();
}

}  // namespace ft::cpu
