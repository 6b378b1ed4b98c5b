// Lock, handles and error text of libhdf5.
#include "io/hdf5_library.h"

#include <atomic>
#include <cstdio>
#include <cstring>

#include "tensor/error.h"

namespace ft::hdf5 {
namespace {

// One mutex because there is one libhdf5 in a process, with state of its own.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

thread_local bool lock_held = false;

herr_t keep_first(unsigned n, const H5E_error2_t* error, void* text) {
  if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

}  // namespace

Lock::Lock() : lock_(library_mutex()) {
  lock_held = true;
  static const bool once = [] {
    H5open();
    H5PLset_loading_state(0);  // a file must not make us load code
    return true;
  }();
  (void)once;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // a setting of the thread in thread-safe builds
}

Lock::~Lock() { lock_held = false; }

bool Lock::held() { return lock_held; }

Id::Id(hid_t id, Close close) : id_(id), close_(close) {
  FT_CHECK(Lock::held(), "libhdf5 was called without its lock");
}

bool Id::reset() {
  if (id_ < 0) return true;
  if (!Lock::held()) std::fprintf(stderr, "ftrun: bug: HDF5 handle closed without the lock\n");
  return close_(std::exchange(id_, -1)) >= 0;
}

std::string no_file() {
  static std::atomic<uint64_t> count = 0;
  return "/dev/null/ftrun-image-" + std::to_string(++count);
}

std::string error_text() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
  return text.empty() ? text : " [" + text + "]";
}

Element element_of(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      // Everything that int64_t holds.
      return H5Tget_size(type) < 8 || (H5Tget_size(type) == 8 && H5Tget_sign(type) == H5T_SGN_2)
                 ? Element::integer
                 : Element::other;
    case H5T_FLOAT:
      if (H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0)
        return Element::f32;
      if (H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0)
        return Element::f64;
      return Element::other;
    case H5T_STRING:
      return H5Tis_variable_str(type) == 0 ? Element::text : Element::other;
    default:
      return Element::other;
  }
}

std::vector<std::string> split_strings(const std::string& bytes, size_t size) {
  std::vector<std::string> strings;
  for (size_t at = 0; at < bytes.size(); at += size) {
    const size_t n = strnlen(bytes.data() + at, size);
    strings.emplace_back(bytes, at, n);
  }
  return strings;
}

ObjectInfo object_info(hid_t object) {
  constexpr unsigned kFields = H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS;
#if H5_VERSION_GE(1, 12, 0)
  H5O_info2_t info;
  const herr_t status = H5Oget_info3(object, &info, kFields);
#else
  H5O_info_t info;
  const herr_t status = H5Oget_info2(object, &info, kFields);
#endif
  return status < 0 ? ObjectInfo{} : ObjectInfo{static_cast<int>(info.rc), info.num_attrs};
}

}  // namespace ft::hdf5
