// ftrun as a user runs it: the main job on drawn data, the other verbs on what it made, and what is said when
// something is wrong.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "io/run_config.h"
#include "io/weights.h"
#include "tests/apps/ftrun_case.h"

namespace ft::test {
namespace {

TEST_F(Ftrun, leaves_every_promised_file) {
  for (const char* name :
       {"last.h5", "best.h5", "metrics.csv", "metrics.jsonl", "predictions.csv", "run.toml",
        "curves.svg", "confusion.svg", "gradcam.png", "train-set.png", "test-set.png"})
    EXPECT_GT(fs::file_size(*dir / "tuned" / name), 100u) << name;
  const std::string predictions = read_file(*dir / "tuned/predictions.csv");
  EXPECT_EQ(lines(predictions), 1 + 4 * 25 + 4 * 50);
  EXPECT_EQ(predictions.substr(0, 6), "split,");
  const RunConfig record = load_run_config(*dir / "tuned/run.toml");
  EXPECT_EQ(record.get<int64_t>("options", "epochs"), 2);
  EXPECT_EQ(record.get<std::string>("options", "model"), "resnet50");
  EXPECT_EQ(record.get<int64_t>("result", "steps"), 2 * 3);
}

TEST_F(Ftrun, a_frozen_prefix_is_the_same_bit_for_bit_and_the_head_is_not) {
  const WeightFile before = load_weights(*dir / "source/best.h5"),
                   after = load_weights(*dir / "tuned/last.h5");
  EXPECT_EQ(before.recipe, after.recipe);
  EXPECT_EQ(after.classes.size(), 4u);
  int64_t same = 0;
  for (const NamedTensor& t : after.tensors) {
    if (t.name.starts_with("fc.")) continue;
    ASSERT_NE(before.find(t.name), nullptr) << t.name;
    EXPECT_EQ(before.find(t.name)->data, t.data) << t.name;
    ++same;
  }
  EXPECT_EQ(same, 265);
  EXPECT_EQ(after.find("fc.weight")->shape, (std::vector<int64_t>{4, 2048}));
}

TEST_F(Ftrun, the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers) {
  ASSERT_EQ(tune("again", {"--workers", "0", "--print", "none"}).status, 0);
  EXPECT_TRUE(load_weights(*dir / "again/last.h5").sha256 ==
              load_weights(*dir / "tuned/last.h5").sha256);
  EXPECT_EQ(read_file(*dir / "again/predictions.csv"), read_file(*dir / "tuned/predictions.csv"));
  ASSERT_EQ(tune("other", {"--seed", "7", "--print", "none"}).status, 0);
  EXPECT_FALSE(load_weights(*dir / "other/last.h5").sha256 ==
               load_weights(*dir / "tuned/last.h5").sha256);
}

TEST_F(Ftrun, unfreezing_trains_what_the_pattern_names_and_nothing_else) {
  ASSERT_EQ(tune("part", {"--unfreeze", "layer4.2.*", "--print", "none", "--epochs", "1",
                          "--micro-batch", "5"})
                .status,
            0);
  const WeightFile before = load_weights(*dir / "source/best.h5"),
                   after = load_weights(*dir / "part/last.h5");
  for (const NamedTensor& t : after.tensors) {
    if (t.name.starts_with("fc.")) continue;
    EXPECT_EQ(before.find(t.name)->data != t.data, t.name.starts_with("layer4.2.")) << t.name;
  }
}

// Augmented runs depend on the seed alone, differ from the plain one, and validate on the centre; a letterbox and its
// border travel in the weight file.
TEST_F(Ftrun, augmentation_and_letterbox_are_repeatable_and_recorded) {
  const std::vector<std::string> quick{"--print", "none", "--epochs", "1"};
  const auto run = [&](const std::string& out, std::vector<std::string> more) {
    more.insert(more.end(), quick.begin(), quick.end());
    const ProcessResult r = tune(out, more);
    EXPECT_EQ(r.status, 0) << r.err;
    return load_weights(*dir / out / "last.h5");
  };
  const WeightFile plain = run("aug_plain", {});
  const WeightFile crop = run("aug_crop", {"--resize", "crop", "--random-crop", "--workers", "0"});
  const WeightFile again =
      run("aug_again", {"--resize", "crop", "--random-crop", "--workers", "3"});
  const WeightFile flip = run("aug_flip", {"--flip", "--workers", "1"});
  EXPECT_EQ(crop.sha256, again.sha256);
  EXPECT_EQ(flip.sha256, run("aug_flip2", {"--flip", "--workers", "0"}).sha256);
  EXPECT_NE(plain.find("fc.weight")->data, crop.find("fc.weight")->data);
  EXPECT_NE(plain.find("fc.weight")->data, flip.find("fc.weight")->data);
  const WeightFile box = run("aug_box", {"--resize", "letterbox", "--mean", "dataset"});
  EXPECT_EQ(box.recipe.resize, ResizeMode::letterbox);
  EXPECT_EQ(box.recipe.short_side, 0);
  const ProcessResult seen = ftrun({"inspect", (*dir / "aug_box/last.h5").string()});
  EXPECT_NE(seen.out.find("letterbox"), std::string::npos) << seen.out;
  expect_error(tune("aug_wrong", {"--resize", "squash", "--random-crop"}), 2, "2005",
               "--random-crop: the recipe is squash");
}

// The statistics change, the weights do not; what is said of the network is said of the changed one.
TEST_F(Ftrun, population_statistics_replace_the_running_ones_in_the_end) {
  const std::vector<std::string> some{"--unfreeze", "layer4.2.*", "--print",
                                      "none",       "--epochs",   "1"};
  ASSERT_EQ(tune("running", some).status, 0);
  std::vector<std::string> more = some;
  more.insert(more.end(), {"--bn-final", "population"});
  const ProcessResult r = tune("population", more);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("3 in mode batch; in the end: statistics of all training images"),
            std::string::npos)
      << r.out;
  const WeightFile a = load_weights(*dir / "running/last.h5"),
                   b = load_weights(*dir / "population/last.h5");
  for (const NamedTensor& t : a.tensors) {
    const bool settled =
        t.name.starts_with("layer4.2.") && t.name.find("running_") != std::string::npos;
    EXPECT_EQ(t.data != b.find(t.name)->data, settled) << t.name;
  }
  EXPECT_EQ(*load_run_config(*dir / "population/run.toml").find("options", "bn-final"),
            ConfigValue(std::string("population")));
  EXPECT_NE(tune("nothing", {"--bn-final", "population", "--print", "none", "--epochs", "1"})
                .out.find("population does nothing"),
            std::string::npos);
}

TEST_F(Ftrun, the_header_tells_what_will_happen) {
  const ProcessResult r = tune("header", {"--print", "none", "--epochs", "1"});
  for (const char* word :
       {"device", "train       24 images", "val         100 images", "test        200 images",
        "265 loaded, 2 new", "factor 20", "plan        1 epoch of 3 steps", "1 validation",
        "memory", "forecast", "best validation accuracy"})
    EXPECT_NE(r.out.find(word), std::string::npos) << word << "\n" << r.out;
}

TEST_F(Ftrun, from_scratch_says_that_all_layers_train_and_that_a_head_factor_does_nothing) {
  std::vector<std::string> args = source_args("scratch");
  args.insert(args.end(), {"--head-lr-factor", "3"});
  const ProcessResult r = ftrun(args);
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("from scratch, He initialisation, seed 0; all layers train\n"),
            std::string::npos)
      << r.out;
  EXPECT_NE(r.out.find("note        --head-lr-factor does nothing without --weights"),
            std::string::npos)
      << r.out;
  EXPECT_EQ(r.out.find("factor 3"), std::string::npos) << r.out;
  EXPECT_FALSE(load_run_config(*dir / "scratch/run.toml").find("options", "head-lr-factor"));
}

TEST_F(Ftrun, the_columns_of_a_summary_stay_in_line_whatever_the_names) {
  for (const char* model : {"alexnet", "alexnet-tv", "resnet50", "vgg16"}) {
    std::istringstream table(ftrun({"summary", "--model", model, "--batch", "128"}).out);
    std::string line;
    std::getline(table, line);  // what the model is
    std::getline(table, line);
    const size_t output = line.find("output");
    ASSERT_NE(output, std::string::npos);
    while (std::getline(table, line) && line.find(" trainable ") == std::string::npos)
      EXPECT_EQ(line.find(" {128"), output - 1) << line;
  }
}

TEST_F(Ftrun, evaluate_repeats_the_accuracy_of_the_run) {
  const ProcessResult r =
      ftrun({"evaluate", "--weights", *dir / "tuned/best.h5", "--data", *dir / "demo/target",
             "--out", *dir / "evaluated", "--threads", "1"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(lines(read_file(*dir / "evaluated/predictions.csv")), 1 + 200);
  const std::string run = read_file(*dir / "tuned/predictions.csv");
  std::string test_rows;
  for (size_t at = run.find("test,"); at != std::string::npos; at = run.find("\ntest,", at + 1))
    test_rows += run.substr(at + (run[at] == '\n'), run.find('\n', at + 1) - at);
  EXPECT_GT(fs::file_size(*dir / "evaluated/gradcam.png"), 1000u);
  EXPECT_NE(r.out.find("of 200, 95 % interval"), std::string::npos);
}

TEST_F(Ftrun, predict_prints_one_json_object_a_file) {
  const std::string folder = *dir / "demo/target/test/brick";
  const ProcessResult r =
      ftrun({"predict", folder, "--weights", *dir / "tuned/best.h5", "--json", "--top", "2"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(lines(r.out), 50);
  const auto first = nlohmann::json::parse(r.out.substr(0, r.out.find('\n')));
  ASSERT_EQ(first["top"].size(), 2u);
  EXPECT_GE(first["top"][0]["p"].get<double>(), first["top"][1]["p"].get<double>());
  EXPECT_TRUE(first["file"].get<std::string>().ends_with("0000.jpg"));
  EXPECT_TRUE(first["top"][0].contains("index") && first["top"][0].contains("class"));
}

TEST_F(Ftrun, explain_inspect_summary_and_bench_answer) {
  const std::string image = *dir / "demo/target/test/brick/0000.jpg";
  ProcessResult r = ftrun({"explain", image, "--weights", *dir / "tuned/best.h5", "--out",
                           *dir / "cam.png", "--target", "softmax"});
  EXPECT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(read_file(*dir / "cam.png").substr(1, 3), "PNG");
  r = ftrun({"inspect", *dir / "tuned/best.h5", "--tensors"});
  EXPECT_NE(r.out.find("fc.weight"), std::string::npos);
  r = ftrun(
      {"summary", "--model", "resnet50", "--backward", "--input-size", "64", "--device", "ref"});
  EXPECT_NE(r.out.find("layer1.1.conv1"), std::string::npos);
  EXPECT_NE(r.out.find("added to d(layer1.0.relu)"), std::string::npos) << r.out;
  r = ftrun({"summary", "--model", "alexnet", "--dot"});
  EXPECT_EQ(r.out.substr(0, 7), "digraph");
  r = ftrun({"bench", "--model", "resnet50", "--input-size", "32", "--batch", "2", "--steps", "2",
             "--json"});
  const auto json = nlohmann::json::parse(r.out);
  for (const char* key : {"images_per_s", "peak_bytes", "device"})
    EXPECT_TRUE(json.contains(key)) << key;
}

TEST_F(Ftrun, gradcheck_passes_on_every_layer) {
  const ProcessResult r = ftrun({"gradcheck"});
  EXPECT_EQ(r.status, 0) << r.out;
  EXPECT_NE(r.out.find("all gradients agree"), std::string::npos);
}

TEST_F(Ftrun, a_wrong_command_line_is_one_line_with_the_flag_and_the_way_out) {
  expect_error(ftrun({"finetune", "--epohcs", "3", "--out", "x"}), 2, "2001",
               "did you mean --epochs?");
  expect_error(ftrun({"finetun"}), 2, "2001", "did you mean finetune?");
  expect_error(ftrun({"finetune", "--ouut", "x"}), 2, "2001", "did you mean --out?");
  expect_error(ftrun({"--modle", "alexnet", "finetune"}), 2, "2001", "write --model behind");
  expect_error(ftrun({"--xyzzy"}), 2, "2001", "no such command or flag");
  expect_error(ftrun({"finetune"}), 2, "2002", "--out");
  // Whatever is wrong with a value: status 2, the flag, the value, and no word of the parser's own.
  const std::vector<std::pair<std::string, std::string>> bad = {{"--batch", "0"},
                                                                {"--batch", "-1"},
                                                                {"--batch", "12x"},
                                                                {"--batch", "0x10"},
                                                                {"--batch", "010"},
                                                                {"--batch", "99999999999999999999"},
                                                                {"--batch", ""},
                                                                {"--lr", "nan"},
                                                                {"--lr", "inf"},
                                                                {"--lr", "-0.1"},
                                                                {"--lr", "0"},
                                                                {"--lr", "1e9"},
                                                                {"--momentum", "1"},
                                                                {"--epochs", "1.5"},
                                                                {"--bn", "off"},
                                                                {"--print", "cake"},
                                                                {"--print", "none,gradcam"},
                                                                {"--val-every", "0"},
                                                                {"--precision", "f8"},
                                                                {"--lr-factor", "fc=x"},
                                                                {"--lr-factor", "=1"},
                                                                {"--resize", "zoom"},
                                                                {"--seed", "-1"},
                                                                {"--seed", "abc"},
                                                                {"--seed", "9223372036854775808"},
                                                                {"--workers", "1000"},
                                                                {"--threads", "-2"},
                                                                {"--max-bad", "101"},
                                                                {"--l2", "-1"},
                                                                {"--drop-factor", "2"},
                                                                {"--drop-period", "0"},
                                                                {"--input-size", "0"},
                                                                {"--micro-batch", "0"},
                                                                {"--head-lr-factor", "x"},
                                                                {"--decay-factor", "a"},
                                                                {"--shuffle", "often"},
                                                                {"--schedule", "cosine"},
                                                                {"--rule", "adam"},
                                                                {"--mean", "none"},
                                                                {"--protocol", "keras"}};
  for (const auto& [flag, value] : bad) {
    SCOPED_TRACE(flag + " " + value);
    const ProcessResult r = ftrun({"finetune", "--model", "resnet50", "--data", *dir / "nothing",
                                   "--out", *dir / "no", flag, value});
    expect_error(r, 2, "2003", flag + ": ");
    const std::string told =
        value == "none,gradcam" ? "none stands alone" : "\"" + value + "\" is ";
    EXPECT_NE(r.err.find(told), std::string::npos) << r.err;
    EXPECT_NE(r.err.find("ftrun finetune --help"), std::string::npos) << r.err;
  }
  expect_error(ftrun({"finetune", "--out", "x", "--lr"}), 2, "2003", "--lr: has no value");
  expect_error(ftrun({"finetune", "--out", "--force"}), 2, "2003", "--out: has no value");
  expect_error(ftrun({"finetune", "--out", "x", "--lr", "1", "--lr", "2"}), 2, "2003",
               "--lr: is given 2 times");
  expect_error(ftrun({"finetune", "--out", "x", "--flip=maybe"}), 2, "2003", "--flip: is a switch");
  expect_error(ftrun({"finetune", "--out", "x", "y"}), 2, "2001", "y: is one argument too many");
  expect_error(ftrun({"predict"}), 2, "2002", "predict: needs images or folders");
  expect_error(ftrun({"inspect"}), 2, "2002", "inspect: needs a weight file");
  EXPECT_FALSE(fs::exists(*dir / "no"));
}

TEST_F(Ftrun, wrong_models_weights_devices_and_folders_are_told_apart) {
  const std::string data = *dir / "demo/target";
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args{"finetune", "--data", data, "--out", *dir / "wrong"};
    args.insert(args.end(), more.begin(), more.end());
    return ftrun(args);
  };
  expect_error(run({}), 2, "2002", "--model");
  expect_error(run({"--model", "resnet5o"}), 2, "2020", "did you mean resnet50?");
  expect_error(run({"--model", "alexnet", "--input-size", "100"}), 2, "2421", "227");
  expect_error(run({"--weights", *dir / "nothing.h5"}), 2, "2301", "nothing.h5");
  expect_error(run({"--weights", data + "/train/brick/0000.jpg"}), 2, "2308", "0000.jpg");
  expect_error(run({"--model", "alexnet", "--weights", *dir / "source/best.h5"}), 2, "2330",
               "resnet50");
  expect_error(run({"--model", "resnet50", "--unfreeze", "layer9.*"}), 2, "2022", "layer9");
  expect_error(run({"--model", "resnet50", "--freeze", "*"}), 2, "2024", "--freeze");
  expect_error(run({"--model", "resnet50", "--device", "gpu"}), 2, "2010", "gpu");
  expect_error(ftrun({"finetune", "--model", "resnet50", "--data", data, "--out", data + "/run"}),
               2, "2071", "run");
  expect_error(ftrun({"finetune", "--model", "resnet50", "--data", data, "--out", *dir / "tuned"}),
               2, "2072", "tuned");
  EXPECT_FALSE(fs::exists(*dir / "wrong/best.h5"));
}

TEST_F(Ftrun, a_bad_image_stops_the_run_or_is_skipped_and_listed) {
  const fs::path copy = *dir / "bad";
  fs::copy(*dir / "demo/target", copy, fs::copy_options::recursive);
  const std::string whole = read_file(copy / "train/brick/0000.jpg");
  write_file(copy / "train/brick/0001.jpg", whole.substr(0, whole.size() / 2));
  write_file(copy / "train/canvas/0002.png", "");
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args{"finetune",       "--weights",   *dir / "source/best.h5",
                                  "--data",         copy.string(), "--out",
                                  *dir / "skipped", "--epochs",    "1",
                                  "--print",        "none",        "--force"};
    args.insert(args.end(), more.begin(), more.end());
    return ftrun(args);
  };
  const ProcessResult failed = run({});
  expect_error(failed, 2, "2220", "0001.jpg");
  EXPECT_NE(failed.err.find("0002.png"), std::string::npos);
  expect_error(run({"--bad-images", "skip"}), 2, "2221", "train");  // more than 1 % of 24
  const ProcessResult skipped = run({"--bad-images=skip", "--max-bad=10"});
  ASSERT_EQ(skipped.status, 0) << skipped.err;
  EXPECT_NE(skipped.out.find("skipped     2 bad images"), std::string::npos) << skipped.out;
  EXPECT_NE(skipped.out.find("train       22 images"), std::string::npos) << skipped.out;
  EXPECT_EQ(lines(read_file(*dir / "skipped/skipped.csv")), 1 + 2);
  EXPECT_FALSE(fs::exists(*dir / "skipped/problems.txt"));
}

TEST_F(Ftrun, predict_and_explain_name_every_bad_file_or_leave_it_out) {
  const fs::path mixed = *dir / "mixed";
  fs::create_directories(mixed);
  fs::copy(*dir / "demo/target/test/brick/0000.jpg", mixed / "good.jpg");
  write_file(mixed / "bad1.jpg", "no image");
  for (const char* verb : {"predict", "explain"}) {
    const auto run = [&](const std::vector<std::string>& more) {
      std::vector<std::string> args{verb, mixed.string(), "--weights", *dir / "source/best.h5"};
      args.insert(args.end(), more.begin(), more.end());
      if (std::string(verb) == "explain")
        args.insert(args.end(), {"--out", (mixed.parent_path() / "cam.png").string()});
      return ftrun(args);
    };
    fs::remove(mixed / "bad2.png");
    expect_error(run({}), 2, "2105", "bad1.jpg");
    write_file(mixed / "bad2.png", "");
    const ProcessResult both = run({});
    expect_error(both, 2, "2220", "bad1.jpg");
    EXPECT_NE(both.err.find("bad2.png"), std::string::npos) << both.err;
    const ProcessResult skipped = run({"--bad-images", "skip"});
    EXPECT_EQ(skipped.status, 0) << skipped.err;
    EXPECT_NE(skipped.err.find("skipped " + (mixed / "bad2.png").string()), std::string::npos);
    EXPECT_NE(skipped.out.find("good.jpg"), std::string::npos) << skipped.out;
  }
}

// A loss that is far above that of guessing is no success, finite as it may be.
TEST_F(Ftrun, a_loss_far_above_that_of_guessing_is_said) {
  const auto run = [&](const char* rate) {
    const ProcessResult r = ftrun({"finetune",
                                   "--model",
                                   "alexnet-tv",
                                   "--input-size",
                                   "63",
                                   "--data",
                                   *dir / "demo/target",
                                   "--out",
                                   *dir / "far",
                                   "--force",
                                   "--epochs",
                                   "1",
                                   "--batch",
                                   "12",
                                   "--print",
                                   "none",
                                   "--lr",
                                   rate,
                                   "--clip",
                                   "value=1"});
    EXPECT_EQ(r.status, 0) << r.err;
    return r.out.find("far above that of guessing, 1.3863") != std::string::npos;
  };
  EXPECT_TRUE(run("10"));
  EXPECT_FALSE(run("1e-5"));
}

// More than a message shows: all of them are in a file, the run that is refused leaves nothing else, and the same
// folder can be given again.
TEST_F(Ftrun, many_bad_images_are_all_listed_in_a_file) {
  const fs::path copy = *dir / "many_bad";
  fs::copy(*dir / "demo/target", copy, fs::copy_options::recursive);
  for (int i = 0; i < 23; ++i)
    write_file(copy / fmt::format("test/brick/bad{:02}.jpg", i), "no image");
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args = tune_args("many");
    args.insert(args.end(), {"--data", copy.string(), "--epochs", "1", "--print", "none"});
    args.erase(std::ranges::find(args, "--data"), std::ranges::find(args, "--data") + 2);
    args.insert(args.end(), more.begin(), more.end());
    return ftrun(args);
  };
  const ProcessResult refused = run({});
  expect_error(refused, 2, "2220", "many/problems.txt lists all 23");
  const std::string problems = read_file(*dir / "many/problems.txt");
  EXPECT_EQ(lines(problems), 23);
  EXPECT_NE(problems.find("bad22.jpg"), std::string::npos) << problems;
  EXPECT_FALSE(fs::exists(*dir / "many/run.toml"));
  const ProcessResult skipped = run({"--bad-images=skip", "--max-bad=20"});
  ASSERT_EQ(skipped.status, 0) << skipped.err;
  EXPECT_NE(skipped.out.find("and 3 more: "), std::string::npos) << skipped.out;
  const std::string table = read_file(*dir / "many/skipped.csv");
  EXPECT_EQ(lines(table), 1 + 23);
  EXPECT_NE(table.find("bad22.jpg"), std::string::npos) << table;
}

// One step with a finite loss leaves weights whose network has none: no validation of it is the best.
TEST_F(Ftrun, a_network_whose_validation_is_not_finite_is_never_the_best) {
  const ProcessResult r =
      ftrun({"finetune", "--model", "resnet50", "--input-size", "32", "--data",
             (*dir / "demo/target").string(), "--out", (*dir / "unbounded").string(), "--lr", "1e6",
             "--batch", "65536", "--epochs", "1", "--print", "none"});
  expect_error(r, 6, "6003", "not finite");
  EXPECT_FALSE(fs::exists(*dir / "unbounded/best.h5"));
}

TEST_F(Ftrun, flags_that_contradict_each_other_are_named) {
  expect_error(tune("drops", {"--drop-period", "3"}), 2, "2005",
               "--drop-period: is for --schedule step");
  expect_error(tune("drops", {"--drop-factor", "0.5"}), 2, "2005",
               "--drop-factor: is for --schedule step");
  expect_error(ftrun({"gradcheck", "--model", "alexnet", "--layer", "lrn"}), 2, "2005", "--layer");
  expect_error(tune("parts", {"--micro-batch", "11"}), 2, "2005",
               "--micro-batch: 11 images are more than the batch of 10");
  // What is wrong on the command line is told before a device is looked for.
  for (const char* verb : {"bench", "profile", "summary"})
    expect_error(ftrun({verb, "--model", "resnet", "--device", "cuda"}), 2, "2020", "resnet50");
  expect_error(ftrun({"finetune", "--model", "resnet", "--device", "cuda", "--data",
                      *dir / "demo/target", "--out", *dir / "parts"}),
               2, "2020", "resnet50");
}

TEST_F(Ftrun, a_loss_that_is_not_finite_stops_with_status_6_and_changes_nothing) {
  const ProcessResult r = tune(
      "blown", {"--lr", "1e6", "--head-lr-factor", "1000000", "--print", "none", "--epochs", "30"});
  EXPECT_EQ(r.status, 6) << r.err;
  EXPECT_NE(r.err.find("E6001"), std::string::npos);
  EXPECT_NE(r.err.find("the loss is not finite in step"), std::string::npos);
  EXPECT_FALSE(fs::exists(*dir / "blown/curves.svg"));
  // The error is part of the record of the run.
  const std::string line = r.err.substr(r.err.rfind("ftrun: error"));
  const RunConfig record = load_run_config(*dir / "blown/run.toml");
  EXPECT_EQ(record.get<bool>("result", "finished"), false);
  EXPECT_EQ(record.get<std::string>("result", "error").value_or("") + "\n", line);
  const std::string log = read_file(*dir / "blown/metrics.jsonl");
  const std::string last = log.substr(log.rfind('\n', log.size() - 2) + 1);
  EXPECT_NE(last.find("\"error\": 6001,"), std::string::npos) << last;
  EXPECT_NE(last.find("\"remedy\": \""), std::string::npos) << last;
  if (fs::exists(
          *dir /
          "blown/last.h5")) {  // of an earlier validation: whole and finite, or it would not load
    EXPECT_NO_THROW(load_weights(*dir / "blown/last.h5"));
  }
}

// A reader that is gone ends nothing; a full disk behind `>` matters where the output is the result.
TEST_F(Ftrun, lost_output_ends_no_training_and_is_told_where_it_is_the_result) {
  const auto shell = [&](const std::string& command) {
    return run_process("/bin/bash", {"-c", "set -o pipefail; " + command});
  };
  const std::string summary = std::string(FT_PROGRAM) + " summary --model resnet50 --plan";
  EXPECT_EQ(shell(summary + " | head -n 1").status, 0);
  EXPECT_EQ(shell(summary + " >&-").status, 0);
  const ProcessResult full = shell(summary + " >/dev/full");
  EXPECT_EQ(full.status, 5);
  EXPECT_NE(full.err.find("E5045: standard output"), std::string::npos) << full.err;
  std::string tuning = FT_PROGRAM;
  for (const std::string& arg : source_args("lost")) tuning += " '" + arg + "'";
  EXPECT_EQ(shell(tuning + " >/dev/full").status, 0);
  EXPECT_TRUE(std::filesystem::exists(*dir / "lost/best.h5"));
}

TEST_F(Ftrun, demo_data_depends_on_the_seed_alone) {
  for (const char* name : {"a", "b"})
    ASSERT_EQ(ftrun({"demo-data", *dir / name, "--source-per-class", "1", "--target-per-class", "1",
                     "--seed", "3"})
                  .status,
              0);
  int64_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(*dir / "a")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    EXPECT_EQ(read_file(entry.path()),
              read_file(*dir / "b" / fs::relative(entry.path(), *dir / "a").string()));
  }
  EXPECT_EQ(files, 8 * 41 + 4 * 76);
  expect_error(ftrun({"demo-data", *dir / "a"}), 2, "2074", "not empty");
}

}  // namespace
}  // namespace ft::test
