// The start-up self-test: a file that is as it was written passes everywhere, and one that was changed does not, however
// right its checksums are.
#include "apps/ftrun/self_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/apps/ftrun_case.h"
#include "tests/apps/weight_samples.h"

namespace ft::test {
namespace {

using Change = std::function<void(WeightFile&)>;

// tuned/best.h5, changed, sealed again with right checksums and its old golden picture.
std::string changed(const TempDir& dir, const std::string& name, const Change& change) {
  WeightFile weights = load_weights(dir / "tuned/best.h5");
  change(weights);
  save_weights(dir / name, weights);
  return dir / name;
}

ProcessResult predict(const TempDir& dir, const std::string& file,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> args = {"predict", dir / "demo/target/test", "--weights", file};
  args.insert(args.end(), more.begin(), more.end());
  return ftrun(args);
}

NamedTensor& tensor(WeightFile& weights, const std::string& name) {
  return *std::ranges::find(weights.tensors, name, &NamedTensor::name);
}

TEST_F(Ftrun, self_test_passes_for_what_finetune_and_convert_write) {
  for (const char* name : {"source/last.h5", "source/best.h5", "tuned/last.h5", "tuned/best.h5"}) {
    const WeightFile file = load_weights(*dir / name);
    ASSERT_TRUE(file.golden.has_value()) << name;
    EXPECT_EQ(file.golden->logits.size(), file.classes.size()) << name;
    const ProcessResult r =
        ftrun({"evaluate", "--weights", *dir / name, "--data",
               *dir / (name[0] == 's' ? "demo/source" : "demo/target"), "--print", "none"});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_NE(r.out.find("self-test   passed in "), std::string::npos) << r.out;
  }
  write_file(*dir / "w.safetensors", as_safetensors(load_weights(*dir / "tuned/best.h5")));
  ASSERT_EQ(
      ftrun({"convert", *dir / "w.safetensors", *dir / "conv.h5", "--model", "resnet50"}).status,
      0);
  EXPECT_TRUE(load_weights(*dir / "conv.h5").golden.has_value());
  EXPECT_EQ(predict(*dir, *dir / "conv.h5").status, 0);
}

// One picture: the reference is slow.
TEST_F(Ftrun, self_test_passes_in_every_precision_and_on_the_reference) {
  std::string image;
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(*dir / "demo/target/test"))
    if (e.is_regular_file()) image = e.path();
  const bool has_bf16 = make_backend({Device::Kind::cpu, 0}, {})->supports(DType::bf16);
  const std::vector<std::string> kRows[] = {
      {"--precision", has_bf16 ? "bf16" : "f32"}, {"--device", "ref"}, {"--threads", "1"}};
  for (const std::vector<std::string>& row : kRows) {
    const ProcessResult r =
        ftrun({"predict", image, "--weights", *dir / "tuned/best.h5", row[0], row[1]});
    EXPECT_EQ(r.status, 0) << r.err;
  }
}

TEST_F(Ftrun, self_test_of_every_command_refuses_weights_that_were_changed) {
  const std::string file = changed(*dir, "scaled.h5", [](WeightFile& w) {
    for (float& v : tensor(w, "layer2.0.conv2.weight").data) v *= 1.5F;
  });
  const std::string image = *dir / "demo/target/test", data = *dir / "demo/target";
  const std::vector<std::vector<std::string>> commands = {
      {"predict", image, "--weights", file},
      {"explain", image, "--weights", file, "--out", *dir / "no.png"},
      {"evaluate", "--weights", file, "--data", data, "--print", "none"},
      {"finetune", "--weights", file, "--data", data, "--out", *dir / "untested", "--epochs", "1",
       "--print", "none"}};
  for (std::vector<std::string> command : commands) {
    expect_error(ftrun(command), 2, "2331", "scaled.h5");
    command.emplace_back("--no-self-test");
    const ProcessResult off = ftrun(command);
    EXPECT_EQ(off.status, 0) << command[0] << ": " << off.err;
    if (command[0] == "evaluate" || command[0] == "finetune") {
      EXPECT_NE(off.out.find("self-test   off"), std::string::npos) << off.out;
    }
  }
}

// C09: the recipe is part of what the picture meets.
TEST_F(Ftrun, self_test_catches_a_changed_recipe_or_classifier) {
  const std::pair<const char*, Change> kRows[] = {
      {"bgr", [](WeightFile& w) { w.recipe.colour_order = ColourOrder::bgr; }},
      {"scale", [](WeightFile& w) { w.recipe.scale = 1; }},
      {"mean", [](WeightFile& w) { w.recipe.mean = {0, 0, 0}; }},
      {"deviation", [](WeightFile& w) { w.recipe.std = {1, 1, 1}; }},
      {"squash",
       [](WeightFile& w) {
         w.recipe.resize = ResizeMode::squash;
         w.recipe.short_side = 0;
       }},
      {"short_side", [](WeightFile& w) { w.recipe.short_side += 8; }},
      {"size", [](WeightFile& w) { w.recipe.height = w.recipe.width = 36; }},
      {"head",
       [](WeightFile& w) { tensor(w, "fc.bias").data[1] += 10 * std::abs(w.golden->logits[1]); }},
      {"variance", [](WeightFile& w) { tensor(w, "layer1.0.bn1.running_var").data[7] *= 1e4F; }},
      {"one weight", [](WeightFile& w) { tensor(w, "conv1.weight").data[0] += 4; }},
      {"answer", [](WeightFile& w) { std::ranges::reverse(w.golden->logits); }}};
  for (const auto& [name, change] : kRows) {
    SCOPED_TRACE(name);
    expect_error(predict(*dir, changed(*dir, "row.h5", change)), 2, "2331", "row.h5");
  }
}

TEST_F(Ftrun, self_test_lets_files_without_a_picture_pass_and_impossible_ones_not) {
  const std::string old = changed(*dir, "old.h5", [](WeightFile& w) { w.golden.reset(); });
  const ProcessResult r =
      ftrun({"evaluate", "--weights", old, "--data", *dir / "demo/target", "--print", "none"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("self-test   none"), std::string::npos) << r.out;
  EXPECT_NE(ftrun({"inspect", old}).out.find("self-test   none"), std::string::npos);
  expect_error(predict(*dir, changed(*dir, "small.h5", [](WeightFile& w) { w.golden->side = 31; })),
               2, "2313", "golden picture");
  expect_error(
      predict(*dir, changed(*dir, "more.h5", [](WeightFile& w) { w.golden->logits.push_back(0); })),
      2, "2313", "golden picture");
}

TEST_F(Ftrun, an_overridden_recipe_is_said) {
  const ProcessResult r =
      tune("squashed", {"--resize", "squash", "--print", "none", "--epochs", "1"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("note        the weights were made for other input: short side"),
            std::string::npos)
      << r.out;
}

// The two ways to the answer, from a network that is there and from the file alone, and the numbers that were lent.
TEST_F(Ftrun, self_test_answers_of_a_network_and_of_its_file_are_the_same) {
  const auto backend = make_backend({Device::Kind::cpu, 0}, {1});
  const auto stream = backend->make_stream();
  WeightFile file = load_weights(*dir / "tuned/best.h5");
  const WeightFile before = file;
  app::Network network = app::load_network(file, *backend, stream->ref());
  file.golden.reset();
  ASSERT_EQ(app::add_golden(file, *network.parameters, *backend, stream->ref()), "");
  const std::vector<float> one = file.golden->logits;
  file.golden.reset();
  ASSERT_EQ(app::add_golden(file, *backend, stream->ref()), "");
  EXPECT_EQ(file.golden->logits, one);
  for (size_t i = 0; i < file.tensors.size(); ++i)
    EXPECT_EQ(file.tensors[i].data, before.tensors[i].data) << file.tensors[i].name;
}

TEST_F(Ftrun, self_test_is_left_out_where_the_answer_is_not_finite) {
  const auto backend = make_backend({Device::Kind::cpu, 0}, {1});
  WeightFile file = load_weights(*dir / "tuned/best.h5");
  file.golden.reset();
  for (float& v : tensor(file, "fc.weight").data) v = 3e38F;
  EXPECT_EQ(app::add_golden(file, *backend, backend->make_stream()->ref()),
            "its logits are not finite");
  EXPECT_FALSE(file.golden.has_value());
  EXPECT_EQ(tensor(file, "conv1.weight").data.size(), 64u * 3 * 7 * 7);
}

}  // namespace
}  // namespace ft::test
