// ftrun export: what goes out comes in again bit for bit, and what must not go out does not.
#include <gtest/gtest.h>

#include <cstring>

#include "io/source_file.h"
#include "io/weights.h"
#include "tests/apps/ftrun_case.h"
#include "tests/apps/weight_samples.h"
#include "tests/io/source_samples.h"

namespace ft::test {
namespace {

TEST_F(Ftrun, export_and_convert_bring_a_tuned_network_back_bit_for_bit) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  for (const char* name : {"out.pth", "out.pt", "out.safetensors"}) {
    const ProcessResult r = ftrun({"export", *dir / "tuned/best.h5", *dir / name});
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_NE(r.out.find("torchvision.models.resnet50(num_classes=4)"), std::string::npos) << r.out;
    ASSERT_EQ(ftrun({"convert", *dir / name, *dir / "back.h5", "--model", "resnet50"}).status, 0);
    const WeightFile back = load_weights(*dir / "back.h5");
    ASSERT_EQ(back.tensors.size(), original.tensors.size());
    for (size_t i = 0; i < back.tensors.size(); ++i) {
      EXPECT_EQ(back.tensors[i].name, original.tensors[i].name);
      EXPECT_EQ(back.tensors[i].shape, original.tensors[i].shape);
      EXPECT_EQ(back.tensors[i].data, original.tensors[i].data) << back.tensors[i].name;
    }
  }
}

// Unlike .pth, whose names say nothing of v1 and v1.5.
TEST_F(Ftrun, convert_of_our_own_safetensors_needs_no_word_and_loses_nothing) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  const std::string out = *dir / "own.safetensors", back = *dir / "own.h5";
  ASSERT_EQ(ftrun({"export", *dir / "tuned/best.h5", out}).status, 0);
  const ProcessResult r = ftrun({"convert", out, back});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("known by    the file, an export of ftrun"), std::string::npos) << r.out;
  const WeightFile file = load_weights(back);
  EXPECT_EQ(file.model, "resnet50");
  EXPECT_EQ(file.recipe, original.recipe);
  EXPECT_EQ(file.classes, original.classes);
  ASSERT_EQ(ftrun({"convert", out, back, "--model", "resnet50"}).status, 0);
  expect_error(ftrun({"convert", out, back, "--model", "resnet50-v1"}), 2, "2355", "resnet50");
}

TEST_F(Ftrun, convert_believes_no_impossible_metadata) {
  const WeightFile original = load_weights(*dir / "tuned/best.h5");
  const std::string plain = as_safetensors(original);
  uint64_t length = 0;
  std::memcpy(&length, plain.data(), sizeof length);
  const auto with = [&](const std::string& model, const std::string& more) {
    const std::string header = R"({"__metadata__":{"ftrun.model":")" + model + "\"" + more + "}," +
                               plain.substr(9, length - 1);
    write_file(*dir / "said.safetensors", safetensors(header, plain.substr(8 + length)));
    return ftrun({"convert", *dir / "said.safetensors", *dir / "said.h5"});
  };
  EXPECT_EQ(with("resnet50-v1", "").status, 0);
  EXPECT_EQ(load_weights(*dir / "said.h5").model, "resnet50-v1");
  expect_error(with("alexnet", ""), 2, "2387", "said.safetensors");
  const std::string recipe = R"(,"ftrun.input_recipe":)", classes = R"(,"ftrun.classes":)";
  const std::string whole =
      R"("{\"height\":H,\"width\":32,\"resize\":\"R\",\"short_side\":0,\"colour_order\":\"rgb\",\"scale\":1,)"
      R"(\"mean\":[0,0,0],\"std\":[1,1,1]}")";
  const auto recipe_of = [&](const std::string& height, const std::string& resize) {
    std::string text = whole;
    text.replace(text.find("H,"), 1, height);
    return recipe + text.replace(text.find("R\\"), 1, resize);
  };
  EXPECT_EQ(with("resnet50", recipe_of("32", "squash")).status, 0);
  for (const std::string& more :
       {recipe + R"("{}")", recipe + R"("[")", recipe_of("0", "squash"), recipe_of("32", "bend"),
        recipe_of("\\\"x\\\"", "squash"), classes + R"("[\"a\"]")", classes + R"("7")",
        classes + R"("[\"a\",\"b\",\"c\",\"d\\u0000\"]")"})
    expect_error(with("resnet50", more), 2, "2387", "said.safetensors");
}

TEST_F(Ftrun, export_has_the_counters_that_torchvision_asks_for) {
  ASSERT_EQ(ftrun({"export", *dir / "tuned/best.h5", *dir / "counted.pth"}).status, 0);
  const std::string bytes = read_file(*dir / "counted.pth");
  const SourceFile file = open_source(as_bytes(bytes), "counted.pth");
  EXPECT_EQ(file.tensors.size(), 320u);  // as torchvision.models.resnet50().state_dict()
  EXPECT_EQ(file.tensors[5].name, "bn1.num_batches_tracked");
  EXPECT_EQ(file.tensors.back().name, "fc.bias");
}

TEST_F(Ftrun, export_says_recipe_and_classes_where_the_format_has_a_place) {
  for (const char* name : {"told.safetensors", "told.onnx"}) {
    const ProcessResult r = ftrun({"export", *dir / "tuned/best.h5", *dir / name});
    ASSERT_EQ(r.status, 0) << r.err;
    const std::string bytes = read_file(*dir / name);
    const bool json = std::string(name).ends_with("safetensors");
    EXPECT_NE(bytes.find(json ? R"({\"height\":32,\"width\":32,)" : R"({"height":32,"width":32,)"),
              std::string::npos);
    for (const std::string& text : load_weights(*dir / "tuned/best.h5").classes)
      EXPECT_NE(bytes.find(text), std::string::npos) << text;
  }
}

TEST_F(Ftrun, export_refuses_a_torchvision_form_of_what_torchvision_does_not_have) {
  WeightFile weights = load_weights(*dir / "tuned/best.h5");
  weights.model = "resnet50-v1";
  save_weights(*dir / "v1.h5", weights);
  expect_error(ftrun({"export", *dir / "v1.h5", *dir / "v1.pth"}), 2, "2397", "resnet50-v1");
  EXPECT_FALSE(fs::exists(*dir / "v1.pth"));
  for (const char* name : {"v1.safetensors", "v1.onnx"}) {
    const ProcessResult r = ftrun({"export", *dir / "v1.h5", *dir / name});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_EQ(r.out.find("torchvision.models"), std::string::npos) << r.out;
    EXPECT_EQ(read_file(*dir / name).find("num_batches_tracked"), std::string::npos);
  }
}

TEST_F(Ftrun, export_goes_by_the_ending_or_by_format_and_writes_all_or_nothing) {
  const std::string h5 = *dir / "tuned/best.h5", out = *dir / "network.bin";
  expect_error(ftrun({"export", h5, out}), 2, "2002", "--format");
  EXPECT_FALSE(fs::exists(out));
  write_file(out, "old");
  ASSERT_EQ(ftrun({"export", h5, out, "--format", "torch"}).status, 0);
  EXPECT_EQ(read_file(out).substr(0, 2), "PK");
  write_file(*dir / "kept.onnx", "old");
  std::string damaged = read_file(h5);
  damaged[damaged.size() / 2] ^= 1;
  write_file(*dir / "damaged.h5", damaged);
  expect_error(ftrun({"export", *dir / "damaged.h5", *dir / "kept.onnx"}), 2, "2311", "damaged.h5");
  EXPECT_EQ(read_file(*dir / "kept.onnx"), "old");
  expect_error(ftrun({"export", h5, *dir / "none/x.onnx"}), 5, "5006", "none");
}

TEST_F(Ftrun, export_refuses_tensors_that_are_not_those_of_the_network) {
  WeightFile weights = load_weights(*dir / "tuned/best.h5");
  weights.tensors.erase(weights.tensors.begin() + 3);
  save_weights(*dir / "less.h5", weights);
  expect_error(ftrun({"export", *dir / "less.h5", *dir / "less.pth"}), 2, "2320",
               "bn1.running_mean");
}

}  // namespace
}  // namespace ft::test
