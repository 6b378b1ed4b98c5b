// A run that is stopped, that cannot write, or whose folder another one holds; and what stands in it meanwhile.
#include <fmt/format.h>
#include <signal.h>

#include "io/run_config.h"
#include "io/weights.h"
#include "tests/apps/ftrun_case.h"

namespace ft::test {
namespace {

std::vector<std::string> with(std::vector<std::string> args, const std::vector<std::string>& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

TEST_F(Ftrun, a_signal_ends_the_run_between_two_steps_with_status_75_and_all_files_so_far) {
  for (const int number : {SIGINT, SIGTERM}) {
    const std::string name = "stopped" + std::to_string(number);
    RunningProcess run(FT_PROGRAM,
                       with(tune_args(name), {"--epochs", "100000", "--print", "none"}));
    ASSERT_TRUE(run.says("epoch   2/")) << run.wait().err;
    run.signal(number);
    const ProcessResult r = run.wait();
    EXPECT_EQ(r.status, 75) << r.err;
    EXPECT_EQ(lines(r.err), 2) << r.err;  // at once, and in the end
    EXPECT_NE(r.err.find(": ending after this step"), std::string::npos) << r.err;
    EXPECT_NE(r.err.find(number == SIGINT ? "ftrun: stopped by SIGINT after step "
                                          : "ftrun: stopped by SIGTERM after step "),
              std::string::npos)
        << r.err;
    const RunConfig record = load_run_config(*dir / name / "run.toml");
    EXPECT_EQ(record.get<bool>("result", "finished"), false);
    const int64_t steps = record.get<int64_t>("result", "steps").value_or(0);
    EXPECT_GE(steps, 6);
    EXPECT_EQ(load_weights(*dir / name / "last.h5").notes.at("step"), std::to_string(steps));
    EXPECT_EQ(load_weights(*dir / name / "best.h5").notes.at("step"),
              std::to_string(record.get<int64_t>("result", "best-step").value_or(0)));
    const std::string metrics = read_file(*dir / name / "metrics.csv");
    EXPECT_GE(lines(metrics), 1 + 4);
    EXPECT_EQ(lines(read_file(*dir / name / "metrics.jsonl")), lines(metrics) - 1);
    EXPECT_FALSE(fs::exists(*dir / name / ".ftrun.lock"));
  }
}

// The generated kernels of oneDNN keep no stack: a handler that ran in their thread would write over the heap. Every
// thread blocks the signals, and nothing catches them.
TEST_F(Ftrun, no_thread_of_a_run_can_be_interrupted_by_a_handler) {
  RunningProcess run(
      FT_PROGRAM, with(tune_args("masked"), {"--epochs", "100000", "--print", "none", "--workers",
                                             "3", "--feature-cache", "off"}));
  ASSERT_TRUE(run.says("epoch   1/")) << run.wait().err;
  uint64_t wanted = 0;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) wanted |= uint64_t{1} << (number - 1);
  int threads = 0;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", run.pid()))) {
    ++threads;
    const std::string status = read_file(task.path() / "status");
    const auto mask = [&](const char* key) {
      return std::stoull(status.substr(status.find(key) + 8), nullptr, 16);
    };
    EXPECT_EQ(mask("SigBlk:") & wanted, wanted) << status;
    EXPECT_EQ(mask("SigCgt:") & wanted, 0u) << status;
  }
  EXPECT_GE(threads, 2);  // workers come and go with their epoch
  run.signal(SIGHUP);
  EXPECT_EQ(run.wait().status, 75);
}

TEST_F(Ftrun, a_second_signal_ends_the_process_at_once) {
  RunningProcess run(FT_PROGRAM,
                     with(tune_args("hurried"), {"--epochs", "100000", "--print", "none"}));
  ASSERT_TRUE(run.says("epoch   1/"));
  run.signal(SIGTERM);
  run.signal(SIGINT);
  const int status = run.wait().status;
  EXPECT_TRUE(status == 128 + SIGINT || status == 128 + SIGTERM) << status;
  EXPECT_FALSE(load_weights(*dir / "hurried/best.h5").tensors.empty());
  // The lock died with its owner.
  EXPECT_EQ(tune("hurried", {"--force", "--print", "none", "--epochs", "1"}).status, 0);
}

TEST_F(Ftrun, a_killed_run_leaves_metrics_run_record_and_weights) {
  RunningProcess run(FT_PROGRAM,
                     with(tune_args("killed"), {"--epochs", "100000", "--print", "none"}));
  ASSERT_TRUE(run.says("epoch   1/"));
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait().status, 128 + SIGKILL);
  EXPECT_GE(lines(read_file(*dir / "killed/metrics.csv")), 3);
  EXPECT_EQ(load_run_config(*dir / "killed/run.toml").get<bool>("result", "finished"), false);
  EXPECT_FALSE(load_weights(*dir / "killed/last.h5").tensors.empty());
}

TEST_F(Ftrun, validation_every_n_steps_is_told_with_its_step) {
  // 24 images, batch 10: 3 steps an epoch; validated at 1, 4, 8 and 9.
  const ProcessResult r = tune("every", {"--val-every", "4", "--epochs", "3", "--print", "none"});
  ASSERT_EQ(r.status, 0) << r.err;
  const auto line = [&](const std::string& start) {
    const size_t at = r.out.find(start);
    return at == std::string::npos ? std::string() : r.out.substr(at, r.out.find('\n', at) - at);
  };
  EXPECT_NE(line("epoch   1/3").find(" at step 1"), std::string::npos) << r.out;
  EXPECT_NE(line("epoch   2/3").find(" at step 4"), std::string::npos) << r.out;
  EXPECT_EQ(line("epoch   3/3").find(" at step"), std::string::npos) << r.out;
  const ProcessResult seldom =
      tune("seldom", {"--val-every", "7", "--epochs", "3", "--print", "none"});
  EXPECT_NE(seldom.out.find("not validated"), std::string::npos) << seldom.out;
  EXPECT_EQ(seldom.out.find("not validated *"), std::string::npos) << seldom.out;
}

TEST_F(Ftrun, explain_looks_at_its_output_path_before_the_work) {
  const std::string image = *dir / "demo/target/test/brick/0000.jpg";
  const auto explain = [&](const std::string& out) {
    return ftrun({"explain", image, "--weights", *dir / "nothing.h5", "--out", out});
  };
  expect_error(explain(*dir / "no/such/cam.png"), 5, "5006", "cam.png");
  expect_error(explain(*dir / "demo"), 5, "5007", "demo");
  expect_error(explain(*dir / "cam.png"), 2, "2301", "nothing.h5");
}

TEST_F(Ftrun, a_heat_map_of_one_cell_is_said_to_show_no_place) {
  // ResNet-50 at 32 px ends in a map of 1x1.
  const std::string image = *dir / "demo/target/test/brick/0000.jpg";
  ProcessResult r =
      ftrun({"explain", image, "--weights", *dir / "tuned/best.h5", "--out", *dir / "one.png"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("the map of layer4.2.relu is 1x1 and cannot show a place"),
            std::string::npos)
      << r.out;
  r = ftrun({"explain", image, "--weights", *dir / "tuned/best.h5", "--out", *dir / "four.png",
             "--map", "layer2.3.relu"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.out.find("1x1"), std::string::npos) << r.out;
  r = ftrun({"explain", image, "--weights", *dir / "tuned/best.h5", "--out", *dir / "two.png",
             "--map", "layer3.5.relu"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("is 2x2 and can hardly show a place"), std::string::npos) << r.out;
}

}  // namespace
}  // namespace ft::test
