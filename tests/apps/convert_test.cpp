// ftrun convert: a network's weights, written as PyTorch and safetensors write them, come back bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "io/weights.h"
#include "layers/parameter_set.h"
#include "models/model.h"
#include "tests/apps/ftrun_case.h"
#include "tests/apps/weight_samples.h"

namespace ft::test {
namespace {

void expect_same_network(const WeightFile& converted, const WeightFile& original) {
  ASSERT_EQ(converted.tensors.size(), original.tensors.size());
  for (const NamedTensor& t : original.tensors) {
    const NamedTensor* c = converted.find(t.name);
    ASSERT_NE(c, nullptr) << t.name;
    EXPECT_EQ(c->shape, t.shape) << t.name;
    EXPECT_EQ(c->data, t.data) << t.name;
  }
}

TEST_F(Ftrun, convert_brings_the_same_numbers_and_says_what_it_did) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  write_file(*dir / "w.pth", as_torch(original));
  write_file(*dir / "w.safetensors", as_safetensors(original));
  for (const char* name : {"w.pth", "w.safetensors"}) {
    const ProcessResult r =
        ftrun({"convert", *dir / name, *dir / "converted.h5", "--model", "resnet50"});
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_NE(r.out.find("loaded       267"), std::string::npos) << r.out;
    EXPECT_NE(r.out.find("the word of the user (--model)"), std::string::npos) << r.out;
    const WeightFile converted = load_weights(*dir / "converted.h5");
    EXPECT_EQ(converted.model, "resnet50");
    EXPECT_EQ(converted.notes.at("source"), name);
    EXPECT_EQ(converted.notes.at("model-known-by"), "the word of the user (--model)");
    expect_same_network(converted, original);
  }
  EXPECT_EQ(
      ftrun({"predict", *dir / "demo/target/test", "--weights", *dir / "converted.h5"}).status, 0);
}

TEST_F(Ftrun, convert_does_not_guess_and_takes_no_wrong_word) {
  WeightFile weights = load_weights(*dir / "tuned/best.h5");
  const std::string file = *dir / "guess.safetensors", out = *dir / "guess.h5";
  write_file(file, as_safetensors(weights));
  expect_error(ftrun({"convert", file, out}), 2, "2354", "resnet50 and resnet50-v1");
  expect_error(ftrun({"convert", file, out, "--model", "alexnet-tv"}), 2, "2355", "alexnet-tv");
  fs::copy_file(file, *dir / "resnet50-0676ba61.pth");
  expect_error(ftrun({"convert", *dir / "resnet50-0676ba61.pth", out}), 2, "2352", "0676ba61");
  weights.tensors.erase(weights.tensors.begin() + 3);
  write_file(file, as_safetensors(weights));
  expect_error(ftrun({"convert", file, out, "--model", "resnet50"}), 2, "2320", "bn1.running_mean");
  EXPECT_FALSE(fs::exists(out));
}

// C01, C02: what is no weight file is named for what it is, before anything is parsed.
TEST_F(Ftrun, convert_names_what_is_no_weight_file) {
  const std::string out = *dir / "no.h5";
  expect_error(ftrun({"convert", *dir / "absent.pth", out}), 2, "2301", "absent.pth");
  expect_error(ftrun({"convert", *dir / "demo", out}), 2, "2302", "demo");
  std::string tar(512, '\0');
  tar.replace(0, 9, "model.pth").replace(257, 5, "ustar");
  const struct {
    std::string content;
    const char *number, *said;
  } kRows[] = {
      {tar, "2351", "a tar archive"},
      {"", "2305", "x.pth"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "2351", "git lfs pull"},
      {"<!DOCTYPE html><html></html>", "2351", "HTML"},
      {"{\"message\": \"Not Found\"}", "2351", "JSON"},
      {"\x1f\x8b\x08\x00gzip", "2351", "unpack"}};
  for (const auto& row : kRows) {
    write_file(*dir / "x.pth", row.content);
    expect_error(ftrun({"convert", *dir / "x.pth", out}), 2, row.number, row.said);
  }
  expect_error(ftrun({"convert", *dir / "tuned/best.h5", out}), 2, "2351", "use it as it is");
  EXPECT_FALSE(fs::exists(out));
}

// C03, C15: the content decides, not the name; and the output may be the input.
TEST_F(Ftrun, convert_reads_the_whole_file_before_it_writes) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  const std::string file = *dir / "same.pth";
  write_file(file, as_safetensors(original));
  const ProcessResult r = ftrun({"convert", file, file, "--model", "resnet50"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("its name ends with .pth, but the content decides"), std::string::npos)
      << r.out;
  expect_same_network(load_weights(file), original);
}

// C13: eight classes become four: the classifier is drawn by the seed, and the header says so.
TEST_F(Ftrun, a_classifier_of_another_size_is_replaced_by_a_seeded_one_and_said) {
  const ProcessResult r = tune(
      "drawn", {"--lr", "1e-30", "--l2", "0", "--seed", "5", "--epochs", "1", "--print", "none"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("265 loaded, 2 new (fc.weight, fc.bias), 2 of the file skipped"),
            std::string::npos)
      << r.out;
  const WeightFile source = load_weights(*dir / "source/best.h5"),
                   drawn = load_weights(*dir / "drawn/last.h5");
  EXPECT_EQ(source.find("fc.weight")->shape, (std::vector<int64_t>{8, 2048}));
  const Model model = build_model(find_model("resnet50"), 4, 32, 32);
  for (const char* name : {"fc.weight", "fc.bias"}) {
    const int index = model.graph.find_parameter(name);
    const Parameter& p = model.graph.parameters()[static_cast<size_t>(index)];
    std::vector<float> values(static_cast<size_t>(p.shape.elements()));
    draw_initial(p, 5, values);
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_NEAR(drawn.find(name)->data.at(i), values[i], 1e-20F) << name;
  }
}

// C11: numbers that no network has are refused, odd ones are said.
TEST_F(Ftrun, convert_refuses_what_is_not_finite_and_warns_of_what_is_odd) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  const std::string file = *dir / "odd.safetensors", out = *dir / "odd.h5";
  const auto converted = [&](const std::string& tensor, float value) {
    WeightFile weights = original;
    for (NamedTensor& t : weights.tensors)
      if (t.name == tensor) std::fill(t.data.begin(), t.data.end(), value);
    write_file(file, as_safetensors(weights));
    return ftrun({"convert", file, out, "--model", "resnet50"});
  };
  expect_error(converted("conv1.weight", std::numeric_limits<float>::quiet_NaN()), 2, "2314",
               "conv1.weight");
  expect_error(converted("fc.bias", std::numeric_limits<float>::infinity()), 2, "2314", "fc.bias");
  expect_error(converted("bn1.running_var", -1e-3F), 2, "2315", "bn1.running_var");
  EXPECT_FALSE(fs::exists(out));
  const ProcessResult zero = converted("layer1.0.conv1.weight", 0);
  EXPECT_EQ(zero.status, 0) << zero.err;
  EXPECT_NE(zero.out.find("warning     layer1.0.conv1.weight"), std::string::npos) << zero.out;
}

}  // namespace
}  // namespace ft::test
