// Every form of a step: all networks; trained in full, behind a frozen half, the head alone, and inference; batches 1, 32
// and 256; each GPU and precision. Steps are compiled with plans that ask the real cuDNN as `ftrun plan` does, and every
// answer has to keep the rules that were promised.
#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>

#include "apps/plan/engine_process.h"
#include "apps/plan/gpu.h"
#include "apps/plan/planning_backend.h"
#include "layers/compile.h"
#include "models/model.h"

namespace ft::test {
namespace {

// Passes questions on and looks at the answers.
class Judge final : public plan::EngineFinder {
 public:
  explicit Judge(plan::EngineFinder& finder) : finder_(finder) {}

  plan::Engine find(const Conv2dSpec& spec, PassKind pass, bool) override {
    const plan::Engine engine = finder_.find(spec, pass);
    const bool strict = spec.numerics.compute == DType::f32 && !spec.numerics.tf32;
    if (engine.refused()) fault(spec, engine.refusal);
    if (!engine.deterministic) fault(spec, "not deterministic: " + engine.name);
    if (engine.workspace > plan::convolution_workspace_limit())
      fault(spec, "a workspace of " + std::to_string(engine.workspace) + " bytes");
    if (strict && engine.name.find("tensor-core") != std::string::npos)
      fault(spec, "tensor cores in strict f32: " + engine.name);
    return engine;
  }
  std::string version() const override { return finder_.version(); }
  const std::string& faults() const { return faults_; }

 private:
  void fault(const Conv2dSpec& spec, const std::string& what) {
    faults_ += spec.x.str() + ": " + what + "\n";
  }
  plan::EngineFinder& finder_;
  std::string faults_;
};

// How much of a network is frozen: its first nodes.
enum class Form { train, half_frozen, head_only, inference };

void freeze(Graph& graph, Form form) {
  size_t last = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    if (graph.nodes()[i].parameter_count > 0) last = i;
  const size_t first = form == Form::train         ? 0
                       : form == Form::half_frozen ? graph.nodes().size() / 2
                       : form == Form::head_only   ? last
                                                   : graph.nodes().size();
  for (size_t i = 0; i < first; ++i) {
    const Node& node = graph.nodes()[i];
    for (int p = 0; p < node.parameter_count; ++p)
      graph.parameters()[static_cast<size_t>(node.first_parameter + p)].trainable = false;
  }
}

struct Case {
  std::string gpu, precision;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.gpu << " " << c.precision; }

class Matrix : public testing::TestWithParam<Case> {
 protected:
  // Convolutions that the step has.
  static size_t compile(const ModelInfo& info, Form form, int64_t batch, Judge& judge) {
    const int side = info.recipe.input_size;
    Model model = build_model(info, 2, side, side);
    freeze(model.graph, form);
    plan::PlanningBackend backend({&judge, 0, true});
    CompileOptions options;
    options.batch = batch;
    options.mode = form == Form::inference ? Mode::inference : Mode::training;
    if (form == Form::inference) options.to = model.logits;
    options.numerics.compute = GetParam().precision == "bf16" ? DType::bf16 : DType::f32;
    options.numerics.tf32 = GetParam().precision == "tf32";
    const CompiledGraph compiled(model.graph, backend, options);
    return backend.convolutions().size();
  }
};

TEST_P(Matrix, every_step_has_all_its_engines_within_the_rules) {
  plan::EngineProcess process(plan::find_gpu(GetParam().gpu).json);
  Judge judge(process);
  size_t convolutions = 0;
  for (const char* name :
       {"alexnet", "alexnet-tv", "resnet50", "resnet50-v1", "vgg16", "vgg16-keras"})
    for (const Form form : {Form::train, Form::half_frozen, Form::head_only, Form::inference})
      for (const int64_t batch : {1, 32, 256})
        convolutions += compile(find_model(name), form, batch, judge);
  EXPECT_EQ(judge.faults(), "");
  EXPECT_EQ(convolutions, 12u * (5 + 5 + 53 + 53 + 13 + 13));
  EXPECT_GT(process.asked(), 300u);
  std::printf("%zu plans for %zu convolutions\n", process.asked(), convolutions);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* gpu : {"a100", "h100", "b200"})
    for (const char* precision : {"f32", "tf32", "bf16"}) all.push_back({gpu, precision});
  return all;
}

INSTANTIATE_TEST_SUITE_P(SlowCudaPlans, Matrix, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return info.param.gpu + "_" + info.param.precision;
                         });

}  // namespace
}  // namespace ft::test
