// Images named one by one or by folder.
#include "apps/ftrun/image_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "apps/ftrun/preprocess.h"

namespace ft::app {

namespace fs = std::filesystem;

std::vector<Sample> collect_image_files(const std::vector<std::string>& names) {
  std::vector<Sample> samples;
  for (const std::string& name : names) {
    std::error_code fault;
    if (!fs::exists(name, fault))
      throw Error(2241, name, "there is no such file or folder", "check the name");
    if (!fs::is_directory(name, fault)) {
      samples.push_back({name, -1});
      continue;
    }
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator
             it(name, fs::directory_options::skip_permission_denied, fault),
         end;
         it != end; it.increment(fault)) {
      if (fault)
        throw Error(2243, name, "the folder cannot be read [" + fault.message() + "]",
                    "check its permissions");
      const std::string file = it->path().filename().string();
      if (file.starts_with(".")) {
        if (it->is_directory(fault)) it.disable_recursion_pending();
        continue;
      }
      if (!it->is_directory(fault)) found.push_back(it->path().string());
    }
    std::ranges::sort(found);
    for (std::string& path : found) samples.push_back({std::move(path), -1});
  }
  if (samples.empty())
    throw Error(2242, names.front(), "no image was found", "name images or folders that hold some");
  return samples;
}

std::vector<Sample> check_image_files(const std::vector<Sample>& samples, bool skip, int workers) {
  const CheckFile check = make_check();
  std::vector<std::optional<Error>> faults(samples.size());
  parallel_for(static_cast<int64_t>(samples.size()), workers, [&](int64_t i) {
    const size_t k = static_cast<size_t>(i);
    try {
      check(samples[k]);
    } catch (const Error& e) {
      if (e.status() != ExitStatus::bad_input) throw;
      faults[k] = e;
    }
  });
  std::vector<Sample> good;
  std::vector<BadFile> bad;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!faults[i]) {
      good.push_back(samples[i]);
    } else {
      bad.push_back({samples[i].path, faults[i]->seen(), faults[i]->number()});
    }
  }
  if (!skip && bad.size() == 1) throw **std::ranges::find_if(faults, [](auto& f) { return !!f; });
  if (!skip) refuse_bad_files(samples.front().path, bad);
  for (const BadFile& b : bad)
    fmt::print(stderr, "skipped {}: {}\n", escape(b.path), escape(b.reason));
  if (good.empty())
    throw Error(2242, samples.front().path, "none of the files is a usable image",
                "name at least one good image");
  return good;
}

}  // namespace ft::app
