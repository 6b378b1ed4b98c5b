// ftrun export: what goes out comes in again bit for bit, and what must not go out does not.
#include <gtest/gtest.h>

#include "io/source_file.h"
#include "io/weights.h"
#include "tests/apps/ftrun_case.h"
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
