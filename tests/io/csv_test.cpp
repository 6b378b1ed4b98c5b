// CSV and JSON lines: what comes out is read back by a strict parser, names may hold any bytes.
#include "io/csv.h"

#include <gtest/gtest.h>
#include <locale.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/jsonl.h"
#include "io/run_tables.h"
#include "tests/io/folder_tree.h"

namespace ft::test {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// A reader of RFC 4180, with \n for line ends. Fails the test on anything that is not CSV.
Rows parse_csv(const std::string& text) {
  Rows rows;
  std::vector<std::string> row;
  size_t i = 0;
  while (i < text.size()) {
    std::string cell;
    if (text[i] == '"') {
      for (++i;; ++i) {
        EXPECT_LT(i, text.size()) << "quote not closed";
        if (i >= text.size()) return rows;
        if (text[i] != '"') {
          cell += text[i];
        } else if (i + 1 < text.size() && text[i + 1] == '"') {
          cell += text[i++];
        } else {
          break;
        }
      }
      ++i;
    } else {
      while (text[i] != ',' && text[i] != '\n') {
        EXPECT_NE(text[i], '"') << "quote inside a plain cell";
        cell += text[i++];
      }
    }
    row.push_back(cell);
    EXPECT_TRUE(text[i] == ',' || text[i] == '\n');
    if (text[i++] == '\n') {
      rows.push_back(row);
      row.clear();
    }
  }
  EXPECT_TRUE(row.empty()) << "last line not ended";
  return rows;
}

std::string one_cell(const auto& value) {
  constexpr std::string_view column[] = {"c"};
  CsvWriter csv(column);
  csv.cell(value).end_row();
  return csv.text().substr(2, csv.text().size() - 3);
}

std::vector<std::string> odd_names() {
  return {
      "plain",       "a,b",      "say \"hi\"", "two\nlines",   "=1+1",     "+x",
      "-x",          "@x",       "'x",         " x ",          "\x1b[31m", "\xff\xfe",
      "caf\xc3\xa9", "<b>&amp;", "",           "\xe2\x80\xae", "a\rb\tc",  std::string("a\0b", 3)};
}

}  // namespace

TEST(Csv, quotes_what_needs_it) {
  EXPECT_EQ(one_cell("plain.jpg"), "plain.jpg");
  EXPECT_EQ(one_cell("a,b"), "\"a,b\"");
  EXPECT_EQ(one_cell("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(one_cell(" x"), "\" x\"");
  EXPECT_EQ(one_cell(""), "");
  EXPECT_EQ(one_cell("a\nb"), "a\\x0ab");
}

TEST(Csv, text_is_no_formula_and_numbers_stay_numbers) {
  EXPECT_EQ(one_cell("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
  EXPECT_EQ(one_cell("+1"), "\"'+1\"");
  EXPECT_EQ(one_cell("-1"), "\"'-1\"");
  EXPECT_EQ(one_cell("@SUM(1)"), "\"'@SUM(1)\"");
  EXPECT_EQ(one_cell("'quoted"), "\"''quoted\"");
  EXPECT_EQ(one_cell("\t=1"), "\\x09=1");
  EXPECT_EQ(one_cell(-1), "-1");
  EXPECT_EQ(one_cell(-0.5), "-0.5");
}

TEST(Csv, numbers_read_back_equal_in_any_locale) {
  const char* found = nullptr;
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"})
    if (found == nullptr) found = setlocale(LC_ALL, name);
  EXPECT_EQ(one_cell(0.1), "0.1");
  EXPECT_EQ(one_cell(0.1f), "0.1");
  EXPECT_EQ(one_cell(1e-300), "1e-300");
  EXPECT_EQ(one_cell(int64_t{1} << 62), "4611686018427387904");
  EXPECT_EQ(one_cell(std::optional<double>()), "");
  EXPECT_EQ(one_cell(std::optional<double>(2.5)), "2.5");
  EXPECT_EQ(one_cell(std::nan("")), "nan");
  JsonLines json;
  json.field("x", 1234567.25).end_line();
  EXPECT_EQ(json.text(), "{\"x\": 1234567.25}\n");
  setlocale(LC_ALL, "C");
  if (found == nullptr) std::puts("note: no locale with a decimal comma is installed");
}

TEST(Csv, rows_have_a_cell_for_every_column) {
  constexpr std::string_view columns[] = {"a", "b"};
  CsvWriter csv(columns);
  csv.cell(1);
  EXPECT_HAS(error_of([&] { csv.end_row(); }), "E1001");
  csv.empty();
  EXPECT_HAS(error_of([&] { csv.cell(3); }), "E1001");
  csv.end_row();
  EXPECT_EQ(csv.text(), "a,b\n1,\n");
}

// A27
TEST(Csv, predictions_with_odd_names_stay_one_line_each) {
  std::vector<Prediction> predictions;
  for (const std::string& name : odd_names())
    predictions.push_back({"val", name, name, "ants", 0.25f, 0.1f, 2.302585f});
  const std::string text = predictions_csv(predictions);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'),
            static_cast<int64_t>(predictions.size()) + 1);
  for (const unsigned char c : text) EXPECT_TRUE(c == '\n' || c >= 0x20);
  const Rows rows = parse_csv(text);
  ASSERT_EQ(rows.size(), predictions.size() + 1);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"split", "file", "true_class", "predicted_class",
                                               "correct", "p_predicted", "p_true", "loss"}));
  EXPECT_EQ(rows[1], (std::vector<std::string>{"val", "plain", "plain", "ants", "0", "0.25", "0.1",
                                               "2.302585"}));
  for (size_t i = 0; i < predictions.size(); ++i) {
    const std::string& cell = rows[i + 1][1];
    const std::string back = cell.starts_with('\'') ? cell.substr(1) : cell;
    EXPECT_EQ(back, escape(predictions[i].file));
  }
  predictions = {{"test", "f", "ants", "ants", 1, 1, 0}};
  EXPECT_EQ(parse_csv(predictions_csv(predictions))[1][4], "1");
}

TEST(Csv, skipped_files_have_their_reason_and_the_number_of_the_error) {
  const std::vector<BadFile> skipped{{"a.gif", "this is GIF, not supported", 2108},
                                     {"b.jpg", "a link that leads nowhere", kLeadsNowhere}};
  const Rows rows = parse_csv(skipped_csv(skipped));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"file", "reason", "error"}));
  EXPECT_EQ(rows[1], (std::vector<std::string>{"a.gif", "this is GIF, not supported", "2108"}));
  EXPECT_EQ(rows[2], (std::vector<std::string>{"b.jpg", "a link that leads nowhere", "2121"}));
}

TEST(MetricsLog, a_failure_is_a_line_of_json_alone) {
  MetricsLog log;
  const std::string before = log.csv();
  log.add_failure(7, 1.5, Error(6001, "fc", "the loss is not finite", "use a smaller --lr"));
  EXPECT_EQ(log.csv(), before);
  EXPECT_EQ(
      log.jsonl(),
      "{\"step\": 7, \"seconds\": 1.5, \"error\": 6001, \"where\": \"fc\", \"seen\": \"the loss "
      "is not finite\", \"remedy\": \"use a smaller --lr\"}\n");
}

TEST(JsonLines, a_strict_parser_reads_every_line) {
  JsonLines json;
  for (const std::string& name : odd_names())
    json.field("file", name).field("n", 3).field("ok", true).field("p", 0.1f).end_line();
  std::istringstream lines(json.text());
  std::string line;
  for (const std::string& name : odd_names()) {
    ASSERT_TRUE(std::getline(lines, line));
    for (const unsigned char c : line) EXPECT_TRUE(c >= 0x20 && c < 0x7F);
    const nlohmann::json object = nlohmann::json::parse(line);
    const bool utf8 = name != "\xff\xfe";
    EXPECT_EQ(object["file"], utf8 ? name : "\\xff\\xfe");
    EXPECT_EQ(object["n"], 3);
    EXPECT_EQ(object["ok"], true);
    EXPECT_EQ(object["p"].get<double>(), 0.1);
  }
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(JsonLines, what_is_no_number_is_null) {
  JsonLines json;
  json.field("a", std::nan("")).field("b", INFINITY).field("c", std::optional<double>()).end_line();
  json.end_line();
  EXPECT_EQ(json.text(), "{\"a\": null, \"b\": null, \"c\": null}\n{}\n");
}

TEST(MetricsLog, both_forms_hold_the_same_rows) {
  MetricsLog log;
  log.add({0, 10, "train", 1.5, 0.25, 1e-4, 123.5, 2.25});
  log.add({0, 10, "val", 1.25, std::nullopt, std::nullopt, 200, 3});
  EXPECT_EQ(log.csv(),
            "epoch,step,split,loss,accuracy,rate,images_per_s,seconds\n"
            "0,10,train,1.5,0.25,0.0001,123.5,2.25\n"
            "0,10,val,1.25,,,200,3\n");
  EXPECT_EQ(log.jsonl(),
            "{\"epoch\": 0, \"step\": 10, \"split\": \"train\", \"loss\": 1.5, \"accuracy\": 0.25, "
            "\"rate\": 0.0001, \"images_per_s\": 123.5, \"seconds\": 2.25}\n"
            "{\"epoch\": 0, \"step\": 10, \"split\": \"val\", \"loss\": 1.25, \"accuracy\": null, "
            "\"rate\": null, \"images_per_s\": 200, \"seconds\": 3}\n");
}

}  // namespace ft::test
