// Files of plans. A plan's own text, JSON of cuDNN's, is kept as it is.
#include "apps/plan/plan_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "io/file_bytes.h"
#include "tensor/error.h"

namespace ft::plan {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kFormat = 1;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(2053, path, why, "give a file that ftrun plan --save wrote, or --plans heuristic");
}

SavedPlan plan_of(const Json& json) {
  return {json.at("engine"), json.at("workspace_bytes"), json.at("deterministic"), json.at("plan")};
}

}  // namespace

std::string device_kind(const std::string& name, int architecture) {
  return fmt::format("{} (sm_{})", name, architecture);
}

PlanFile::PlanFile(const std::string& path) : path_(path) {
  FileReadOptions options;
  options.first_error = 2060;
  options.what = "file of plans";
  options.max_bytes = size_t{1} << 30;
  const auto bytes = read_file_bytes(path, options);
  const Json json = Json::parse(bytes.text(), nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != kFormat)
    refuse(path, "it is no file of plans of this version");
  try {
    library_ = json.at("library");
    device_ = json.at("device");
    for (const auto& [name, plan] : json.at("plans").items()) plans_[name] = plan_of(plan);
  } catch (const Json::exception& e) {
    refuse(path, e.what());
  }
}

void PlanFile::match(const std::string& library, const std::string& device) {
  if (library_.empty()) {
    library_ = library;
    device_ = device;
  }
  if (library_ == library && device_ == device) return;
  throw Error(3025, path_,
              fmt::format("the plans are for {} on {}, here are {} and {}", library_, device_,
                          library, device),
              "save plans here with ftrun bench --save, or use --plans heuristic");
}

const SavedPlan* PlanFile::find(const std::string& name) {
  ++asked_;
  const auto at = plans_.find(name);
  return at == plans_.end() ? nullptr : &at->second;
}

void PlanFile::keep(const std::string& name, const SavedPlan& plan) {
  ++chosen_;
  plans_[name] = plan;
}

std::string PlanFile::account() const {
  if (path_.empty()) return {};
  return fmt::format("{}: {} taken, {} chosen here", path_, asked_ - chosen_, chosen_);
}

void PlanFile::write(const std::string& path) const {
  if (library_.empty())
    throw Error(2003, "--save", "only the convolutions of cuDNN have plans that can be saved",
                "add --device cuda, or use ftrun plan");
  Json json = {{"format", kFormat}, {"library", library_}, {"device", device_}};
  json["plans"] = Json::object();
  for (const auto& [name, plan] : plans_)
    json["plans"][name] = {{"engine", plan.engine},
                           {"workspace_bytes", plan.workspace_bytes},
                           {"deterministic", plan.deterministic},
                           {"plan", plan.text}};
  write_atomically(path, json.dump(1) + "\n");
}

}  // namespace ft::plan
