// Clipping, class weights, patience, --val-subset and --config, each by what it must do to the numbers of a run.
#include <cmath>
#include <limits>
#include <set>

#include "apps/ftrun/class_weights.h"
#include "apps/ftrun/clip.h"
#include "io/run_config.h"
#include "io/weights.h"
#include "tensor/error.h"
#include "tests/apps/ftrun_case.h"
#include "tests/apps/small_network.h"

namespace ft::test {
namespace {

using Values = std::vector<double>;

// One step of plain SGD on the classifier: its change is -rate * gradient.
class OneStep : public Ftrun {
 protected:
  static constexpr double kRate = 20 * 0.01;

  static ProcessResult step(const std::string& out, const std::string& lr,
                            const std::vector<std::string>& more) {
    std::vector<std::string> args{"finetune",
                                  "--weights",
                                  *dir / "source/best.h5",
                                  "--data",
                                  *dir / "demo/target",
                                  "--out",
                                  *dir / out,
                                  "--batch",
                                  "24",
                                  "--epochs",
                                  "1",
                                  "--momentum",
                                  "0",
                                  "--l2",
                                  "0",
                                  "--threads",
                                  "1",
                                  "--print",
                                  "none",
                                  "--lr",
                                  lr,
                                  "--force"};
    args.insert(args.end(), more.begin(), more.end());
    return ftrun(args);
  }
  static Values tensor(const std::string& run, const char* name) {
    const WeightFile file = load_weights(*dir / run / "last.h5");
    return {file.find(name)->data.begin(), file.find(name)->data.end()};
  }
  // Gradient of the classifier as one step with these flags applied it: weight, then bias.
  static std::vector<Values> gradient(const std::vector<std::string>& more) {
    if (!fs::exists(*dir / "before/last.h5")) {
      EXPECT_EQ(step("before", "1e-30", {}).status, 0);
    }
    const ProcessResult r = step("after", "0.01", more);
    EXPECT_EQ(r.status, 0) << r.err;
    std::vector<Values> out;
    for (const char* name : {"fc.weight", "fc.bias"}) {
      const Values before = tensor("before", name), after = tensor("after", name);
      Values g;
      for (size_t i = 0; i < before.size(); ++i) g.push_back((before[i] - after[i]) / kRate);
      out.push_back(std::move(g));
    }
    return out;
  }
  static double norm(const Values& v) {
    double sum = 0;
    for (const double x : v) sum += x * x;
    return std::sqrt(sum);
  }
  // |a - scale * b| relative to |a|
  static double distance(const Values& a, const Values& b, double scale) {
    Values d;
    for (size_t i = 0; i < a.size(); ++i) d.push_back(a[i] - scale * b[i]);
    return norm(d) / norm(a);
  }
};

TEST_F(OneStep, clipping_bounds_what_its_name_says_and_keeps_the_direction) {
  const std::vector<Values> plain = gradient({});
  const double all = std::hypot(norm(plain[0]), norm(plain[1])), limit = all / 3;
  const auto flag = [](const std::string& kind, double x) {
    return std::vector<std::string>{"--clip", kind + "=" + std::to_string(x)};
  };

  const std::vector<Values> global = gradient(flag("global-l2norm", limit));
  EXPECT_NEAR(std::hypot(norm(global[0]), norm(global[1])), limit, 1e-3 * limit);
  for (size_t p = 0; p < 2; ++p) EXPECT_LT(distance(global[p], plain[p], limit / all), 1e-3);

  const double smaller = std::min(norm(plain[0]), norm(plain[1]));
  const double each_limit = (smaller + std::max(norm(plain[0]), norm(plain[1]))) / 2;
  const std::vector<Values> each = gradient(flag("l2norm", each_limit));
  for (size_t p = 0; p < 2; ++p) {
    const double expected = std::min(norm(plain[p]), each_limit);
    EXPECT_NEAR(norm(each[p]), expected, 1e-3 * expected);
    EXPECT_LT(distance(each[p], plain[p], expected / norm(plain[p])), 1e-3);
  }

  double top = 0;
  for (const double g : plain[0]) top = std::max(top, std::abs(g));
  const std::vector<Values> value = gradient(flag("value", top / 2));
  double most = 0;
  for (size_t i = 0; i < plain[0].size(); ++i) {
    most = std::max(most, std::abs(value[0][i]));
    EXPECT_NEAR(value[0][i], std::clamp(plain[0][i], -top / 2, top / 2), 1e-3 * top);
  }
  EXPECT_NEAR(most, top / 2, 1e-3 * top);
}

TEST_F(OneStep, a_limit_that_is_never_reached_changes_no_bit_and_micro_batches_clip_the_sum) {
  ASSERT_EQ(step("free", "0.01", {}).status, 0);
  ASSERT_EQ(step("loose", "0.01", {"--clip", "global-l2norm=1e30"}).status, 0);
  EXPECT_TRUE(load_weights(*dir / "free/last.h5").sha256 ==
              load_weights(*dir / "loose/last.h5").sha256);
  const std::vector<Values> plain = gradient({});
  const std::string limit = std::to_string(std::hypot(norm(plain[0]), norm(plain[1])) / 4);
  const std::vector<Values> whole = gradient({"--clip", "global-l2norm=" + limit});
  const std::vector<Values> parts =
      gradient({"--clip", "global-l2norm=" + limit, "--micro-batch", "7"});
  EXPECT_LT(distance(whole[0], parts[0], 1), 1e-3);
}

TEST_F(OneStep, micro_batches_sum_to_the_gradient_of_the_batch) {
  const std::vector<Values> whole = gradient({});
  for (const char* size : {"1", "7", "12"}) {
    const std::vector<Values> parts = gradient({"--micro-batch", size});
    for (size_t p = 0; p < 2; ++p) EXPECT_LT(distance(whole[p], parts[p], 1), 1e-3) << size;
  }
}

// The gradient is linear in the weights of the images: with n images a class, 6 * g(brick 3, others 1) is
// 4 * g(all 1) + 2 * g(brick alone).
TEST_F(OneStep, class_weights_make_the_weighted_mean) {
  const std::vector<Values> plain = gradient({}), equal = gradient({"--class-weights", "balanced"});
  EXPECT_EQ(plain, equal);
  const std::vector<Values> brick =
      gradient({"--class-weights", "canvas=0,herringbone=0,lattice=0"});
  const std::vector<Values> three = gradient({"--class-weights", "brick=3"});
  for (size_t p = 0; p < 2; ++p) {
    Values sum;
    for (size_t i = 0; i < plain[p].size(); ++i)
      sum.push_back((4 * plain[p][i] + 2 * brick[p][i]) / 6);
    EXPECT_LT(distance(three[p], sum, 1), 1e-3);
    EXPECT_GT(distance(three[p], plain[p], 1), 1e-2);
  }
}

TEST(ClassWeights, balanced_ones_undo_the_counts_and_names_are_found) {
  const std::vector<std::string> classes{"ant", "bee", "c=d"};
  const std::vector<int64_t> counts{10, 30, 20};
  EXPECT_TRUE(app::class_weights("none", classes, counts).empty());
  const std::vector<double> balanced = app::class_weights("balanced", classes, counts);
  for (size_t c = 0; c < 3; ++c) EXPECT_DOUBLE_EQ(balanced[c] * static_cast<double>(counts[c]), 20);
  EXPECT_EQ(app::class_weights("bee=2,c=d=0.5", classes, counts), (std::vector<double>{1, 2, 0.5}));
  for (const char* text : {"bees=2", "ant=0,bee=0,c=d=0"}) {
    try {
      app::class_weights(text, classes, counts);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.number(), 2028);
    }
  }
  for (const char* text : {"", "bee", "bee=", "bee=x", "bee=-1", "bee=1,", "=1", "bee=nan"})
    EXPECT_NE(app::check_class_weights(text), "") << text;
}

TEST(Clip, texts_are_read_or_refused) {
  app::ClipSpec spec;
  EXPECT_TRUE(app::parse_clip("global-l2norm=5", spec));
  EXPECT_EQ(spec.kind, app::ClipSpec::Kind::global_l2norm);
  EXPECT_EQ(spec.limit, 5);
  EXPECT_TRUE(app::parse_clip("none", spec) && spec.kind == app::ClipSpec::Kind::none);
  for (const char* text : {"", "5", "l2norm", "l2norm=", "l2norm=0", "l2norm=-1", "value=inf",
                           "value=nan", "norm=1", "none=1"})
    EXPECT_FALSE(app::parse_clip(text, spec)) << text;
}

TEST_F(Ftrun, patience_ends_the_run_after_so_many_validations_without_a_better_one) {
  // A rate of almost nothing: no validation is better than the first.
  const ProcessResult r =
      tune("patient", {"--epochs", "50", "--patience", "2", "--lr", "1e-30", "--print", "none"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("ended by --patience at step 9: 2 validations without a better one"),
            std::string::npos)
      << r.out;
  const RunConfig record = load_run_config(*dir / "patient/run.toml");
  EXPECT_EQ(record.get<int64_t>("result", "steps"), 9);
  EXPECT_EQ(record.get<int64_t>("result", "best-step"), 3);
  EXPECT_EQ(record.get<bool>("result", "finished"), true);
}

// The run ends early: what was best is settled with the statistics of all images and validated again.
TEST_F(Ftrun, patience_and_population_statistics_go_together) {
  const ProcessResult r =
      tune("patient_population", {"--epochs", "50", "--patience", "1", "--lr", "1e-30", "--print",
                                  "none", "--unfreeze", "layer4.2.*", "--bn-final", "population"});
  ASSERT_EQ(r.status, 0) << r.err;
  const size_t ended = r.out.find("ended by --patience at step ");
  ASSERT_NE(ended, std::string::npos) << r.out;
  const std::string step = r.out.substr(ended + 28, r.out.find(':', ended) - ended - 28);
  int validations = 0;  // at the last step: with running statistics, then with those of all images
  const std::string metrics = read_file(*dir / "patient_population/metrics.csv");
  for (size_t at = 0; (at = metrics.find("," + step + ",val,", at)) != std::string::npos; ++at)
    ++validations;
  EXPECT_EQ(validations, 2) << metrics;
  const WeightFile last = load_weights(*dir / "patient_population/last.h5"),
                   running = load_weights(*dir / "source/best.h5");
  EXPECT_NE(last.find("layer4.2.bn1.running_mean")->data,
            running.find("layer4.2.bn1.running_mean")->data);
}

// The first number that is not finite is told with its parameter, and nothing was updated.
TEST(Clip, a_gradient_that_is_not_finite_is_an_error) {
  const auto backend = make_backend({}, {1});
  const auto stream = backend->make_stream();
  const app::Network network = small_network(*backend, stream->ref(), {"fc2"});
  ParameterSet& parameters = *network.parameters;
  std::vector<float> g(parameters.gradients().bytes() / sizeof(float), 0.5f);
  app::ClipSpec spec;
  ASSERT_TRUE(app::parse_clip("global-l2norm=1", spec));
  app::GradientClip clip(spec, parameters, *backend);
  backend->upload(stream->ref(), g.data(), parameters.gradients());
  EXPECT_TRUE(clip.apply(parameters.gradients(), stream->ref()));
  g[0] = std::numeric_limits<float>::infinity();
  backend->upload(stream->ref(), g.data(), parameters.gradients());
  try {
    clip.apply(parameters.gradients(), stream->ref());
    FAIL() << "an infinite gradient was clipped";
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 6002);
    EXPECT_TRUE(e.where().starts_with("fc2.")) << e.where();
  }
}

TEST_F(Ftrun, a_subset_of_the_validation_images_is_said_and_the_final_result_is_of_all) {
  const ProcessResult r = tune("subset", {"--val-subset", "20", "--print", "none"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("validation  20 of 100 images, the same each time"), std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("\nval (100 images)"), std::string::npos) << r.out;
  EXPECT_EQ(lines(read_file(*dir / "subset/predictions.csv")), 1 + 100 + 200);
  const std::string metrics = read_file(*dir / "subset/metrics.csv");
  const size_t val = metrics.find(",val,");
  const double accuracy = std::stod(metrics.substr(metrics.find(',', val + 5) + 1));
  EXPECT_NEAR(accuracy * 20, std::round(accuracy * 20), 1e-4) << metrics;
  const ProcessResult all =
      tune("all", {"--val-subset", "1000", "--print", "none", "--epochs", "1"});
  EXPECT_EQ(all.out.find("validation  1000"), std::string::npos) << all.out;
}

TEST_F(Ftrun, run_toml_given_back_as_config_repeats_the_run_and_flags_win) {
  std::vector<std::string> args = tune_args("first");
  args.insert(args.end(), {"--epochs",
                           "2",
                           "--print",
                           "none",
                           "--seed",
                           "5",
                           "--lr-factor",
                           "fc.weight=3,1",
                           "--lr-factor",
                           "fc.bias=2",
                           "--clip",
                           "l2norm=0.5",
                           "--flip",
                           "--resize",
                           "squash",
                           "--micro-batch",
                           "4",
                           "--class-weights",
                           "brick=2",
                           "--val-subset",
                           "30",
                           "--schedule",
                           "step",
                           "--drop-period",
                           "1"});
  ASSERT_EQ(ftrun(args).status, 0);
  const ProcessResult r =
      ftrun({"finetune", "--config", *dir / "first/run.toml", "--out", *dir / "second"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(load_weights(*dir / "first/last.h5").sha256 ==
              load_weights(*dir / "second/last.h5").sha256);
  EXPECT_EQ(read_file(*dir / "first/predictions.csv"), read_file(*dir / "second/predictions.csv"));
  const auto options = [&](const char* run) {
    const std::string text = read_file(*dir / run / "run.toml");
    return text.substr(0, text.find("[network]"));
  };
  EXPECT_EQ(options("first"), options("second"));
  ASSERT_EQ(ftrun({"finetune", "--config=" + std::string(*dir / "first/run.toml"), "--epochs", "1",
                   "--out", *dir / "third"})
                .status,
            0);
  EXPECT_EQ(load_run_config(*dir / "third/run.toml").get<int64_t>("options", "epochs"), 1);
}

TEST_F(Ftrun, a_wrong_setting_is_told_with_file_line_and_the_nearest_name) {
  const auto with = [&](const std::string& text) {
    write_file(*dir / "settings.toml", text);
    return ftrun({"finetune", "--config", *dir / "settings.toml", "--out", *dir / "no", "--data",
                  *dir / "absent", "--model", "resnet50"});
  };
  expect_error(with("[options]\nlr = 0.1\nmomentun = 0.5\n"), 2, "2092",
               "settings.toml:3: \"momentun\" is not a setting; did you mean momentum?");
  expect_error(with("[optoins]\nlr = 0.1\n"), 2, "2092", "[optoins] is not a section");
  expect_error(with("flip = 1\n"), 2, "2092", "\"flip\" is a switch");
  expect_error(with("\nbatch = 0\n"), 2, "2003",
               "settings.toml:2: batch: \"0\" is not a whole number");
  expect_error(with("lr = true\n"), 2, "2003", "settings.toml:1: lr: \"true\" is not a number");
  expect_error(with("config = \"x\"\n"), 2, "2092", "\"config\" is not a setting");
  expect_error(with("lr = \n"), 2, "2090", "settings.toml:1:");
  expect_error(with("[result]\nanything = 1\n[options]\nlr = 0.1\n"), 2, "2201",
               "absent");  // read; the data is missing
}

}  // namespace
}  // namespace ft::test
