// ftrun plan: FLOPs, bytes and memory against numbers worked out by hand, what fits, the JSON, the report without cuDNN,
// and what is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "apps/ftrun/step_plan.h"
#include "apps/plan/gpu.h"
#include "layers/conv2d.h"
#include "layers/pointwise.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

using app::MemoryPlan;
using app::PlanRow;
using app::StepOptions;
using app::StepPlan;
using Json = nlohmann::json;
using plan::PlanningOptions;

constexpr size_t kMiB = size_t{1} << 20;
const app::Peaks kPeaks{100e12, 200e12, 1e12, 0};

StepOptions alexnet(int64_t batch, const std::string& precision = "f32") {
  StepOptions o;
  o.model = "alexnet-tv";
  o.batch = batch;
  o.common.precision = precision;
  return o;
}

const PlanRow& row_of(const StepPlan& plan, std::string_view layer, std::string_view pass) {
  for (const PlanRow& row : plan.rows)
    if (row.work.layer == layer && row.work.what() == pass) return row;
  throw std::runtime_error(fmt::format("no row {} {}", layer, pass));
}

// Engines with a workspace of so many bytes an image, and none for more than `most` images.
class InventedEngines final : public plan::EngineFinder {
 public:
  InventedEngines(size_t workspace, int64_t most) : workspace_(workspace), most_(most) {}
  plan::Engine find(const Conv2dSpec& spec, PassKind, bool) override {
    ++questions;
    const int64_t images = spec.x.shape.n();
    if (images > most_) return {{}, 0, true, "too many images"};
    return {"cudnn:7", workspace_ * static_cast<size_t>(images), true};
  }
  std::string version() const override { return "invented"; }
  int questions = 0;

 private:
  size_t workspace_;
  int64_t most_;
};

// --- a network of two nodes, by hand -------------------------------------------------------------------

TEST(PlanningBackend, arena_of_a_small_network_by_hand) {
  Graph graph;
  const ValueId image = graph.image_input("image", 3, 8, 8);
  Conv2dConfig config;
  config.out = 8;
  config.kernel = 3;
  config.pad = 1;
  const ValueId y = graph.add("conv", std::make_unique<Conv2d>(config), {image});
  graph.add("relu", std::make_unique<Relu>(), {y});
  InventedEngines engines(500, 1000);
  plan::PlanningBackend backend({&engines, 0, true});
  CompileOptions options;
  options.batch = 2;
  const CompiledGraph compiled(graph, backend, options);
  ASSERT_EQ(backend.convolutions().size(), 1u);
  EXPECT_TRUE(backend.convolutions()[0].relu);  // one node: the ReLU is in the convolution
  // Image 2*3*8*8*4 = 1536, output 2*8*8*8*4 = 4096, workspace 1000 in parts of 256 and 256 to find the first: 1280.
  EXPECT_EQ(compiled.arena_bytes(), 1536u + 4096u + 1280u);
  EXPECT_EQ(backend.kept_bytes(), 0u);  // f32 weights are read as they lie
}

TEST(PlanningBackend, sixteen_bits_pad_the_image_and_keep_copies) {
  plan::PlanningBackend backend;
  Conv2dSpec spec;
  spec.x = {{2, 3, 8, 8}, DType::bf16, backend.image_layout(DType::bf16)};
  spec.k = 8;
  spec.r = spec.s = 3;
  spec.bias = true;
  spec.numerics.compute = DType::bf16;
  const auto conv = backend.make_conv2d(spec);
  EXPECT_EQ(spec.x.bytes(), 2u * 8 * 8 * 8 * 2);                 // 8 channels in memory
  EXPECT_EQ(backend.kept_bytes(), 8u * 8 * 3 * 3 * 2 + 8u * 2);  // w with 8 channels, and the bias
  EXPECT_EQ(conv->kept_bytes(), backend.kept_bytes());
  EXPECT_EQ(conv->describe(PassKind::forward), "unknown");
}

// --- AlexNet, by hand --------------------------------------------------------------------------------

TEST(StepPlan, work_of_the_first_convolution_by_hand) {
  const StepPlan plan = app::plan_step(alexnet(2), {}, kPeaks);
  const PlanRow& row = row_of(plan, "features.0", "forward");
  const double flops = 2.0 * 2 * 64 * (3 * 11 * 11) * 55 * 55;
  const double bytes = 4.0 * (2 * 3 * 224 * 224 + 2 * 64 * 55 * 55 + 64 * 363 + 64);
  EXPECT_DOUBLE_EQ(row.work.flops, flops);
  EXPECT_DOUBLE_EQ(row.work.bytes, bytes);
  EXPECT_DOUBLE_EQ(row.seconds, std::max(flops / 100e12, bytes / 1e12));
  EXPECT_TRUE(row.for_memory);
  const PlanRow& dw = row_of(plan, "features.0", "backward weights");
  EXPECT_DOUBLE_EQ(dw.work.flops, flops);
  EXPECT_DOUBLE_EQ(dw.work.bytes, bytes);
  EXPECT_THROW(row_of(plan, "features.0", "backward data"), std::runtime_error);
}

TEST(StepPlan, work_of_a_product_by_hand) {
  const StepPlan plan = app::plan_step(alexnet(3, "bf16"), {}, kPeaks);
  const PlanRow& row = row_of(plan, "classifier.4", "forward");
  EXPECT_DOUBLE_EQ(row.work.flops, 2.0 * 3 * 4096 * 4096);
  EXPECT_DOUBLE_EQ(row.work.bytes, 2.0 * (2 * 3 * 4096 + 4096 * 4096) + 4.0 * 4096);
  EXPECT_EQ(row.work.algorithm, "cublaslt: algorithm chosen on the device");
  EXPECT_EQ(row.work.workspace, 32 * kMiB + 256);
}

// Weights and biases of torchvision's AlexNet for two classes, each on a multiple of 64 elements.
constexpr size_t kWeights = 64 * 363 + 192 * 64 * 25 + 384 * 192 * 9 + 256 * 384 * 9 +
                            256 * 256 * 9 + 4096 * 9216 + 4096 * 4096 + 2 * 4096;
constexpr size_t kBiases = 64 + 192 + 384 + 256 + 256 + 4096 + 4096 + 64;  // the last is padded

TEST(StepPlan, memory_of_parameters_by_hand) {
  const MemoryPlan m = app::plan_step(alexnet(4), {}, kPeaks).memory;
  EXPECT_EQ(m.parameters, 4 * (kWeights + kBiases));
  EXPECT_EQ(m.gradients, m.parameters);
  EXPECT_EQ(m.velocity, m.parameters);
  EXPECT_EQ(m.pixels, 4u * 3 * 224 * 224);
  EXPECT_LT(m.copies, 1024u);  // the step state
  EXPECT_LT(m.arena, m.unshared);
  EXPECT_EQ(m.total(), 3 * m.parameters + m.copies + m.arena + m.pixels);
}

TEST(StepPlan, a_head_alone_has_gradients_of_the_head) {
  StepOptions o = alexnet(4, "bf16");
  o.head_only = true;
  const MemoryPlan m = app::plan_step(o, {}, kPeaks).memory;
  EXPECT_EQ(m.gradients, 4u * (2 * 4096 + 64));
  EXPECT_EQ(m.parameters, 4 * (kWeights + kBiases));
  // 16-bit copies of all weights and of the biases; the first has 8 channels instead of 3, the last bias is f32 and
  // needs none.
  const size_t copies = 2 * (kWeights + 5 * 64 * 121) + 2 * (kBiases - 64);
  EXPECT_GE(m.copies, copies);
  EXPECT_LT(m.copies, copies + 1024);
}

TEST(StepPlan, an_inference_has_no_gradients_and_one_forward_pass) {
  StepOptions o = alexnet(4);
  o.mode = "infer";
  const StepPlan plan = app::plan_step(o, {}, kPeaks);
  EXPECT_EQ(plan.memory.gradients + plan.memory.velocity, 0u);
  for (const PlanRow& row : plan.rows)
    EXPECT_TRUE(row.work.phase == "forward" || row.work.kind == "normalize") << row.work.title();
}

TEST(StepPlan, workspaces_of_engines_are_in_the_arena) {
  InventedEngines none(0, 100), some(10 * kMiB, 100);
  const MemoryPlan without = app::plan_step(alexnet(8), {&none, 0, true}, kPeaks).memory;
  const StepPlan plan = app::plan_step(alexnet(8), {&some, 0, true}, kPeaks);
  EXPECT_EQ(row_of(plan, "features.3", "forward").work.workspace, 80 * kMiB + 256);
  EXPECT_EQ(row_of(plan, "features.3", "forward").work.algorithm, "cudnn:7");
  EXPECT_EQ(plan.memory.largest_workspace, 80 * kMiB + 256);
  EXPECT_GT(plan.memory.arena, without.arena + 40 * kMiB);
}

// --- what fits --------------------------------------------------------------------------------------

size_t bytes_of(int64_t batch, const PlanningOptions& how) {
  return app::plan_step(alexnet(batch), how, kPeaks).memory.total();
}

TEST(LargestBatch, it_fits_and_the_next_does_not) {
  InventedEngines engines(3 * kMiB, 1000);
  const PlanningOptions how{&engines, 0, true};
  int64_t last = 0;
  for (const size_t memory : {1000 * kMiB, 1100 * kMiB, 1500 * kMiB, 1501 * kMiB}) {
    const int64_t batch = app::largest_batch(alexnet(1), how, memory);
    EXPECT_GE(batch, last);
    ASSERT_GT(batch, 0);
    EXPECT_LE(bytes_of(batch, how), memory);
    EXPECT_GT(bytes_of(batch + 1, how), memory);
    last = batch;
  }
  EXPECT_GT(last, 50);
}

TEST(LargestBatch, none_fits_where_the_parameters_do_not) {
  EXPECT_EQ(app::largest_batch(alexnet(1), {nullptr, 0, true}, 600 * kMiB), 0);
}

TEST(LargestBatch, cudnn_may_end_it_before_memory_does) {
  InventedEngines engines(0, 37);
  EXPECT_EQ(app::largest_batch(alexnet(1), {&engines, 0, true}, 100000 * kMiB), 37);
}

TEST(LargestBatch, without_engines_the_largest_workspace_is_counted) {
  InventedEngines engines(0, 100000);
  const size_t memory = 1500 * kMiB;
  const int64_t sure = app::largest_batch(alexnet(1), {}, memory),
                exact = app::largest_batch(alexnet(1), {&engines, 0, true}, memory);
  EXPECT_LT(sure, exact);
  EXPECT_LE(bytes_of(sure, {nullptr, plan::convolution_workspace_limit(), true}), memory);
}

TEST(LargestBatch, few_questions_are_asked) {
  InventedEngines engines(0, 100000);
  app::largest_batch(alexnet(1), {&engines, 0, true}, 8000 * kMiB);
  EXPECT_LT(engines.questions, 10 * 14);  // at most ten batches of 14 plans
}

// --- descriptions of GPUs ---------------------------------------------------------------------------

std::string line_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.line();
  }
  return "no error";
}

TEST(Gpu, every_stored_description_is_complete) {
  EXPECT_EQ(plan::gpu_names(), (std::vector<std::string>{"a100", "b200", "h100", "h200"}));
  for (const std::string& name : plan::gpu_names()) {
    const plan::Gpu gpu = plan::find_gpu(name);
    ASSERT_TRUE(gpu.peaks) << name;
    EXPECT_GT(gpu.peaks->bf16, gpu.peaks->tf32) << name;
    EXPECT_GT(gpu.peaks->tf32, gpu.peaks->f32) << name;
    EXPECT_GT(gpu.memory_bytes, size_t{70} << 30) << name;
    EXPECT_FALSE(gpu.peaks->source.empty()) << name;
  }
  EXPECT_EQ(plan::find_gpu("h100").architecture, 90);
}

TEST(Gpu, an_unknown_name_gets_the_nearest) {
  const std::string line = line_of([] { plan::find_gpu("h10"); });
  EXPECT_EQ(
      line,
      "ftrun: error E2029: --gpu: there is no description of a GPU \"h10\"; did you mean h100? "
      "known are a100, b200, h100, h200; or give a file, FILE.json");
}

TEST(Gpu, a_broken_description_is_told_where) {
  EXPECT_NE(line_of([] {
              plan::parse_gpu("{\n \"a\": 1,\n}", "g.json");
            }).find("E2050: g.json: it is not JSON: line 3"),
            std::string::npos);
  EXPECT_NE(line_of([] { plan::parse_gpu("[1]", "g.json"); }).find("E2051: g.json: it is not"),
            std::string::npos);
  const std::string good = plan::find_gpu("h100").json;
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return line_of([&] { plan::parse_gpu(text, "g.json"); });
  };
  EXPECT_NE(changed("warpSize", "warp_size").find("\"warpSize\" is missing"), std::string::npos);
  EXPECT_NE(changed("\"isTccDriver\": 0", "\"isTccDriver\": true")
                .find("\"isTccDriver\" is not a whole number"),
            std::string::npos);
  EXPECT_NE(changed("900", "9").find("100 * major"), std::string::npos);
  EXPECT_NE(changed("67000", "-1").find("\"f32_gflop_per_s\" is not a positive number"),
            std::string::npos);
  EXPECT_NE(changed("\"source\"", "\"sauce\"").find("\"source\" is missing"), std::string::npos);
  EXPECT_EQ(changed("\"peaks\"", "\"summits\""), "no error");  // a file need not have any
}

// --- the program ------------------------------------------------------------------------------------

const std::vector<std::string> kSmall{"--model", "alexnet-tv", "--input-size",
                                      "64",      "--batch",    "4"};

ProcessResult plan_with(const std::vector<std::string>& more,
                        const std::string& program = FT_PROGRAM) {
  std::vector<std::string> args{"plan"};
  args.insert(args.end(), kSmall.begin(), kSmall.end());
  args.insert(args.end(), more.begin(), more.end());
  return run_process(program, args);
}

TEST(FtrunPlan, json_adds_up) {
  const ProcessResult r = plan_with({"--gpu", "h100", "--precision", "bf16", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  const Json json = Json::parse(r.out);
  EXPECT_EQ(json["gpu"]["name"], "NVIDIA H100 80GB HBM3");
  double us = 0, kinds = 0;
  for (const Json& row : json["rows"]) us += row["roofline_us"].get<double>();
  for (const Json& kind : json["by_kind"]) kinds += kind["roofline_ms"].get<double>();
  const double ms = json["roofline_ms"];
  EXPECT_NEAR(us, 1e3 * ms, 1e-9 * us);
  EXPECT_NEAR(kinds, ms, 1e-9 * ms);
  EXPECT_NEAR(json["images_per_s"].get<double>() * ms, 4e3, 1e-6);
  const Json& m = json["memory_bytes"];
  size_t sum = 0;
  for (const char* part :
       {"parameters", "gradients", "optimizer", "copies_of_weights", "arena", "pixels"})
    sum += m[part].get<size_t>();
  EXPECT_EQ(m["total"], sum);
  EXPECT_EQ(json["fits"], true);
  EXPECT_GT(json["largest_batch"], 10000);
  EXPECT_LE(json["largest_batch_bytes"], json["gpu"]["memory_bytes"]);
#ifdef FT_WITH_CUDNN
  EXPECT_EQ(json["engines"]["known"], true) << json["engines"].dump();
  size_t engines = 0;
  for (const Json& row : json["rows"])
    engines += row["algorithm"].get<std::string>().starts_with("cudnn:") ? 1 : 0;
  EXPECT_EQ(engines, 14u);  // five convolutions in three passes, less the first one's data gradient
#endif
}

TEST(FtrunPlan, text_says_what_fits) {
  const ProcessResult r = plan_with({"--gpu", "a100"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.err, "");
  for (const char* part :
       {"alexnet-tv train, batch 4, 64x64, f32, planned for NVIDIA A100-SXM4-80GB (sm_80, 79.35 "
        "GiB)",
        "peaks    19.5 TFLOP/s in f32, 2039 GB/s (data sheet, without sparsity)", "\nengines  ",
        "\nfeatures.0 ", "algorithm chosen on the device", "\nby kind ", "images/s", "\nmemory\n",
        "together", "fits: ", "largest batch"})
    EXPECT_NE(r.out.find(part), std::string::npos) << part << "\nin\n" << r.out;
}

TEST(FtrunPlan, what_does_not_fit_is_told) {
  TempDir dir;
  std::string text = plan::find_gpu("h100").json;
  text.replace(text.find("85029027840"), 11, "805306368");
  write_file(dir / "small.json", text);
  const ProcessResult r = run_process(FT_PROGRAM, {"plan", "--gpu", dir / "small.json", "--model",
                                                   "alexnet-tv", "--batch", "2048"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("does NOT fit"), std::string::npos) << r.out;
}

// A copy of the program without its plugins.
TEST(FtrunPlan, without_cudnn_engines_are_unknown_and_all_else_is_there) {
  TempDir dir;
  const std::filesystem::path bin = std::filesystem::path(FT_PROGRAM).parent_path();
  std::filesystem::copy_file(FT_PROGRAM, dir / "ftrun");
  for (const auto& entry : std::filesystem::directory_iterator(bin))
    if (entry.path().filename().string().starts_with("libft.so"))
      std::filesystem::copy(entry.path(), dir / entry.path().filename(),
                            std::filesystem::copy_options::copy_symlinks);
  const ProcessResult r = plan_with({"--gpu", "h100", "--json"}, dir / "ftrun");
  ASSERT_EQ(r.status, 0) << r.err;
  const Json json = Json::parse(r.out);
  EXPECT_EQ(json["engines"]["known"], false);
  EXPECT_NE(json["engines"]["reason"].get<std::string>().find("has no cuDNN"), std::string::npos);
  EXPECT_EQ(json["largest_batch_is_exact"], false);
  size_t unknown = 0;
  for (const Json& row : json["rows"]) unknown += row["algorithm"] == "unknown" ? 1 : 0;
  EXPECT_EQ(unknown, 14u);
  const ProcessResult text = plan_with({"--gpu", "h100"}, dir / "ftrun");
  EXPECT_NE(text.out.find("engines  unknown: this build has no cuDNN"), std::string::npos);
  EXPECT_NE(text.out.find("at least "), std::string::npos);
}

void expect_refusal(const ProcessResult& r, const std::string& text) {
  EXPECT_EQ(r.status, 2);
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find(text), std::string::npos) << r.err;
}

TEST(FtrunPlan, what_is_refused) {
  TempDir dir;
  std::string text = plan::find_gpu("h100").json;
  text.resize(text.find("\"peaks\""));
  text.resize(text.find_last_of(','));
  write_file(dir / "bare.json", text + "}");
  write_file(dir / "broken.json", "{\"deviceVer\": 900");
  expect_refusal(plan_with({}), "E2002: --gpu");
  expect_refusal(plan_with({"--gpu", "h300"}),
                 "E2029: --gpu: there is no description of a GPU \"h300\"");
  expect_refusal(plan_with({"--gpu", dir / "none.json"}), "E2041: ");
  expect_refusal(plan_with({"--gpu", dir / "broken.json"}), "E2050: ");
  expect_refusal(plan_with({"--gpu", dir / "bare.json"}), "E2052: ");
  EXPECT_EQ(plan_with({"--gpu", dir / "bare.json", "--peaks", "1000,2000,300"}).status, 0);
  expect_refusal(plan_with({"--gpu", "h100", "--peaks", "1,2"}), "E2003: --peaks");
}

}  // namespace
}  // namespace ft::test
