// What the tests of ftrun share: drawn data, a source network and a fine-tuned one, made once for all tests of a
// program; running a command and judging its message.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/support.h"

#ifndef FT_PROGRAM  // the build of the tests says where it is
#define FT_PROGRAM "ftrun"
#endif

namespace ft::test {

namespace fs = std::filesystem;

inline ProcessResult ftrun(const std::vector<std::string>& args) {
  return run_process(FT_PROGRAM, args);
}

inline int64_t lines(const std::string& text) { return std::ranges::count(text, '\n'); }

// Drawn data, a source network that saw one epoch, and a fine-tuned one; made once for all tests.
class Ftrun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir = std::make_unique<TempDir>();
    const ProcessResult drawn =
        ftrun({"demo-data", *dir / "demo", "--source-per-class", "4", "--target-per-class", "6"});
    ASSERT_EQ(drawn.status, 0) << drawn.err;
    ASSERT_EQ(source("source").status, 0);
    ASSERT_EQ(tune("tuned").status, 0);
  }
  static void TearDownTestSuite() { dir.reset(); }

  static std::vector<std::string> source_args(const std::string& out) {
    return {"finetune",
            "--model",
            "resnet50",
            "--input-size",
            "32",
            "--data",
            *dir / "demo/source",
            "--out",
            *dir / out,
            "--epochs",
            "1",
            "--batch",
            "16",
            "--threads",
            "1",
            "--print",
            "none"};
  }
  static ProcessResult source(const std::string& out) { return ftrun(source_args(out)); }
  static std::vector<std::string> tune_args(const std::string& out) {
    return {"finetune",
            "--weights",
            *dir / "source/best.h5",
            "--data",
            *dir / "demo/target",
            "--out",
            *dir / out,
            "--batch",
            "10",
            "--threads",
            "1"};
  }
  static ProcessResult tune(const std::string& out, const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = tune_args(out);
    args.insert(args.end(), more.begin(), more.end());
    if (std::ranges::find(more, "--epochs") == more.end())
      args.insert(args.end(), {"--epochs", "2"});
    return ftrun(args);
  }
  // Status and error number, and that the message is one line that names `what`.
  static void expect_error(const ProcessResult& r, int status, const std::string& number,
                           const std::string& what) {
    EXPECT_EQ(r.status, status) << r.err;
    const std::string last = r.err.substr(
        r.err.rfind("ftrun: error") == std::string::npos ? 0 : r.err.rfind("ftrun: error"));
    EXPECT_NE(last.find("E" + number + ": "), std::string::npos) << r.err;
    EXPECT_NE(last.find(what), std::string::npos) << r.err;
    EXPECT_EQ(lines(last), 1) << r.err;
  }

  static inline std::unique_ptr<TempDir> dir;
};

}  // namespace ft::test
