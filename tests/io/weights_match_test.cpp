// Strict matching of files with models.
#include "io/weights_match.h"

#include <gtest/gtest.h>

#include "tensor/error.h"

namespace ft {
namespace {

const std::vector<ExpectedTensor> kModel = {
    {"conv.weight", {8, 3, 5, 7}}, {"conv.bias", {8}}, {"fc.weight", {2, 6}}, {"fc.bias", {2}}};

WeightFile file_of(std::vector<std::pair<std::string, std::vector<int64_t>>> tensors) {
  WeightFile w;
  w.model = "resnet50";
  w.variant = "v1.5";
  w.path = "w.h5";
  for (auto& [name, shape] : tensors) w.tensors.push_back({name, shape, {}});
  return w;
}

WeightFile fitting() {
  return file_of(
      {{"conv.weight", {8, 3, 5, 7}}, {"conv.bias", {8}}, {"fc.weight", {2, 6}}, {"fc.bias", {2}}});
}

bool is_head(std::string_view name) { return name.starts_with("fc."); }

// The line of the error, or "".
std::string refusal(const WeightFile& file, const AllowedNew& allowed = {}) {
  try {
    match_tensors(kModel, file, allowed);
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 2320);
    return e.line();
  }
  return {};
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(WeightsMatch, whole_fit) {
  const LoadReport r = match_tensors(kModel, fitting());
  EXPECT_EQ(r.loaded.size(), 4u);
  EXPECT_TRUE(r.fits() && r.fresh.empty() && r.skipped.empty());
  EXPECT_EQ(summary(r), "4 loaded");
}

TEST(WeightsMatch, new_head_replaces_any_head_of_that_name) {
  WeightFile other = fitting();
  other.tensors[2].shape = {1000, 6};
  other.tensors[3].shape = {1000};
  const LoadReport r = match_tensors(kModel, other, is_head);
  EXPECT_EQ(r.loaded, (std::vector<std::string>{"conv.weight", "conv.bias"}));
  EXPECT_EQ(r.fresh, (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_EQ(r.skipped, (std::vector<std::string>{"fc.weight", "fc.bias"}));
  EXPECT_EQ(summary(r), "2 loaded, 2 new (fc.weight, fc.bias), 2 of the file skipped");
  const WeightFile headless = file_of({{"conv.weight", {8, 3, 5, 7}}, {"conv.bias", {8}}});
  EXPECT_TRUE(match_tensors(kModel, headless, is_head).skipped.empty());
}

TEST(WeightsMatch, each_tensor_missing_extra_or_reshaped_is_refused) {
  for (size_t i = 0; i < kModel.size(); ++i) {
    WeightFile missing = fitting(), extra = fitting(), reshaped = fitting();
    missing.tensors.erase(missing.tensors.begin() + static_cast<long>(i));
    extra.tensors.push_back({kModel[i].name + "2", {1}, {}});
    reshaped.tensors[i].shape.push_back(1);
    EXPECT_SAYS(refusal(missing), "1 missing in the file (" + kModel[i].name);
    EXPECT_SAYS(refusal(extra), "1 that the model does not have (" + kModel[i].name + "2)");
    EXPECT_SAYS(refusal(reshaped), "1 of another shape (" + kModel[i].name);
  }
}

TEST(WeightsMatch, the_exception_is_by_name_only) {
  WeightFile w = fitting();
  w.tensors[0].shape = {9, 3, 5, 7};
  EXPECT_SAYS(refusal(w, is_head), "conv.weight is {9,3,5,7}, the model has {8,3,5,7}");
  w = fitting();
  w.tensors.push_back({"aux.weight", {1}, {}});
  EXPECT_SAYS(refusal(w, is_head), "aux.weight");
}

TEST(WeightsMatch, all_three_lists_are_in_the_one_line) {
  const std::string line = refusal(
      file_of({{"a", {1}}, {"b", {1}}, {"c", {1}}, {"d", {1}}, {"e", {1}}, {"conv.bias", {9}}}));
  EXPECT_SAYS(line, "3 missing in the file (conv.weight, fc.weight, fc.bias)");
  EXPECT_SAYS(line, "5 that the model does not have (a, b, c, d, and 1 more)");
  EXPECT_SAYS(line, "1 of another shape (conv.bias is {9}, the model has {8})");
  EXPECT_SAYS(line, "0 fit");
  EXPECT_SAYS(line, "resnet50 v1.5");
}

TEST(WeightsMatch, hints_name_the_layout) {
  const auto hint_for = [](std::vector<int64_t> shape, size_t at = 0) {
    WeightFile w = fitting();
    w.tensors[at].shape = std::move(shape);
    return refusal(w);
  };
  EXPECT_SAYS(hint_for({5, 7, 3, 8}), "Keras");
  EXPECT_SAYS(hint_for({8, 5, 7, 3}), "out,height,width,in");
  EXPECT_SAYS(hint_for({7, 5, 3, 8}), "MATLAB");
  EXPECT_SAYS(hint_for({3, 8, 7, 5}), "another order");
  EXPECT_SAYS(hint_for({6, 2}, 2), "transposed");
}

TEST(WeightsMatch, hints_name_wrappers_and_another_head) {
  WeightFile w = fitting();
  for (NamedTensor& tensor : w.tensors) tensor.name = "module." + tensor.name;
  EXPECT_SAYS(refusal(w), "\"module.\"");
  w = fitting();
  w.tensors[2].shape = {1000, 6};
  w.tensors[3].shape = {1000};
  EXPECT_SAYS(refusal(w), "the file knows 1000 classes");
}

}  // namespace
}  // namespace ft
