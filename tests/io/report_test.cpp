// The pictures: well-formed, honest numbers, hostile names, odd sizes.
#include "io/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <locale>

#include "io/svg.h"
#include "io/ticks.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The first thing wrong with a document's form, or nothing: balanced elements, quoted attributes,
// escaped text, no control characters, nothing that runs or loads.
std::string fault_of(const std::string& xml) {
  std::vector<std::string> open;
  for (const char* word : {"<script", "javascript:", "onload", "href", "<foreignObject", "url("})
    if (xml.find(word) != std::string::npos) return std::string("holds ") + word;
  std::string letters = xml;
  for (char& c : letters)
    if (static_cast<uint8_t>(c) < 0x80) c = 'a';
  if (escape(letters).find('\\') != std::string::npos) return "is not UTF-8, or turns the text";
  for (const char c : xml)
    if (static_cast<uint8_t>(c) < 32 && c != '\n') return "control character";
  for (size_t i = 0; i < xml.size(); ++i) {
    if (xml[i] == '&') {
      const std::string entity = xml.substr(i, xml.find(';', i) - i + 1);
      if (entity != "&amp;" && entity != "&lt;" && entity != "&gt;" && entity != "&quot;" &&
          entity != "&#39;")
        return "bare &";
    }
    if (xml[i] == '>') return "bare >";
    if (xml[i] != '<') continue;
    const size_t end = xml.find('>', i);
    if (end == std::string::npos) return "open tag";
    const std::string tag = xml.substr(i + 1, end - i - 1);
    if (tag.find('<') != std::string::npos) return "tag in a tag";
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return "quote in " + tag;
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "wrong end " + tag;
      open.pop_back();
    } else if (tag[0] != '?' && tag.back() != '/') {
      open.push_back(name);
    }
    i = end;
  }
  if (xml.find("nan") != std::string::npos || xml.find("inf\"") != std::string::npos)
    return "a coordinate is no number";
  return open.empty() ? "" : "not closed: " + open.back();
}

bool says(const std::string& svg, const std::string& text) {
  return svg.find(">" + text + "<") != std::string::npos;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TrainingCurves sample(int epochs) {
  TrainingCurves c;
  c.title = "alexnet on <photos> & \"more\"";
  for (int e = 1; e <= epochs; ++e)
    for (Curve* curve : {&c.train_loss, &c.val_loss, &c.train_accuracy, &c.val_accuracy}) {
      curve->x.push_back(e);
      const bool loss = curve == &c.train_loss || curve == &c.val_loss;
      curve->y.push_back(loss ? 1.0 / e : 1 - 0.5 / e);
    }
  return c;
}

TEST(Curves, have_both_panels_a_legend_and_the_best_value) {
  TrainingCurves c = sample(10);
  c.val_accuracy.y[6] = 0.9876;
  const std::string svg = curves_svg(c);
  EXPECT_EQ(fault_of(svg), "");
  for (const char* text : {"Loss", "Accuracy", "epoch", "training 0.1", "validation 0.1",
                           "training 95.00 %", "best 98.76 %", "100 %", "10"})
    EXPECT_TRUE(says(svg, text)) << text;
  EXPECT_EQ(count_of(svg, "<polyline"), 4u);
  EXPECT_NE(svg.find("&lt;photos&gt; &amp; &quot;more&quot;"), std::string::npos);
}

// Where the ring around the best validation starts in the document.
std::string ring_of(const std::string& svg) {
  const size_t at = svg.find("r=\"7");
  EXPECT_NE(at, std::string::npos);
  const size_t begin = svg.rfind('<', at);
  return svg.substr(begin, svg.find('>', at) - begin);
}

TEST(Curves, of_equal_accuracies_the_lower_loss_is_the_best) {
  TrainingCurves tie = sample(3);
  tie.val_accuracy.y = {0.25, 0.5, 0.5};
  tie.val_loss.y = {2, 1.25, 1.5};
  const std::string second = ring_of(curves_svg(tie));
  tie.val_loss.y = {2, 1.5, 1.25};
  EXPECT_NE(ring_of(curves_svg(tie)), second);
  tie.val_loss.y = {2, 1.25, NAN};  // never the best, however accurate
  tie.val_accuracy.y = {0.25, 0.5, 0.75};
  const std::string not_third = ring_of(curves_svg(tie));
  tie.val_loss.y = {2, 1.25, 1};
  EXPECT_NE(ring_of(curves_svg(tie)), not_third);
}

TEST(Curves, one_point_no_point_and_nothing_finite) {
  const std::string one = curves_svg(sample(1));
  EXPECT_EQ(fault_of(one), "");
  EXPECT_EQ(count_of(one, "<polyline"), 0u);
  EXPECT_GE(count_of(one, "<circle"), 2u);
  const std::string none = curves_svg({});
  EXPECT_EQ(fault_of(none), "");
  EXPECT_EQ(count_of(none, ">no values<"), 2u);
  TrainingCurves odd = sample(2);
  odd.train_loss.y = {kNaN, INFINITY};
  odd.val_loss.y = {-INFINITY, kNaN};
  const std::string svg = curves_svg(odd);
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_EQ(count_of(svg, ">no values<"), 1u);
}

TEST(Curves, gaps_cut_the_line_and_lone_points_stay_visible) {
  TrainingCurves c;
  for (int i = 0; i < 100; ++i) {
    c.train_loss.x.push_back(i);
    c.train_loss.y.push_back(i == 50 || (i > 70 && i != 80) ? kNaN : 2.0);
  }
  const std::string svg = curves_svg(c);
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_EQ(count_of(svg, "<polyline"), 2u);
  EXPECT_EQ(count_of(svg, "<circle"), 2u);  // the lone point and the legend
}

TEST(Curves, long_runs_make_small_files_and_keep_their_extremes) {
  TrainingCurves c;
  for (int i = 0; i < 300'000; ++i) {
    c.train_loss.x.push_back(i);
    c.train_loss.y.push_back(i == 123'456 ? 9.0 : 1.0 + 0.1 * std::sin(i));
  }
  const std::string svg = curves_svg(c);
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_LT(svg.size(), 80'000u);
  const Ticks y = nice_ticks(0, 9, 6, 0);
  ASSERT_EQ(y.high, 10.0);
  const double page_y = 106 + (444 - 106 - 62) * (1 - 9.0 / 10);  // of the spike
  EXPECT_NE(svg.find("," + std::to_string(page_y).substr(0, 5)), std::string::npos);
  EXPECT_NE(svg.find("training (mean of 5001)"), std::string::npos);
}

TEST(Curves, unequal_lengths_are_a_bug) {
  TrainingCurves c = sample(3);
  c.val_loss.y.pop_back();
  EXPECT_THROW(curves_svg(c), Error);
}

TEST(Confusion, shows_the_counts_and_rates_of_the_experiment) {
  const std::vector<int64_t> counts = {12070, 373, 177, 7342};  // rows predicted, columns true
  const std::string svg = confusion_svg({"female", "male"}, counts);
  EXPECT_EQ(fault_of(svg), "");
  for (const char* text : {"12,070", "98.6 %", "373", "4.8 %", "177", "1.4 %", "7,342", "95.2 %",
                           "19,412 of 19,962 correct: 97.24 %", "97.0 %", "97.6 %"})
    EXPECT_TRUE(says(svg, text)) << text;
  EXPECT_NE(svg.find("true male, predicted female: 373 of 7715 (4.8 %)"), std::string::npos);
  EXPECT_NE(svg.find("precision of female: 12070 of 12443 predicted"), std::string::npos);
  EXPECT_NE(svg.find("recall of male: 7342 of 7715 true"), std::string::npos);
}

TEST(Confusion, rounding_never_hides_an_error_or_a_hit) {
  const std::vector<int64_t> counts = {99'999, 0, 1, 500};
  const std::string svg = confusion_svg({"a", "b"}, counts);
  for (const char* text : {"&gt;99.9 %", "&lt;0.1 %", "100 %"})
    EXPECT_TRUE(says(svg, text)) << text;
}

TEST(Confusion, undefined_rates_are_dashes_and_never_nan) {
  const std::vector<int64_t> none(4, 0), one_sided = {3, 0, 1, 0};
  const std::string empty = confusion_svg({"a", "b"}, none);
  EXPECT_EQ(fault_of(empty), "");
  EXPECT_TRUE(says(empty, "No samples"));
  EXPECT_EQ(count_of(empty, ">\xe2\x80\x93<"), 9u);
  const std::string svg = confusion_svg({"a", "b"}, one_sided);
  EXPECT_EQ(count_of(svg, ">\xe2\x80\x93<"), 3u);  // column b and its recall
  EXPECT_NE(svg.find("no samples, undefined"), std::string::npos);
}

TEST(Confusion, two_to_fifty_classes_and_more) {
  for (const size_t n : {1, 2, 3, 7, 13, 20, 21, 50, 51, 200}) {
    std::vector<std::string> names;
    std::vector<int64_t> counts(n * n, 0);
    for (size_t i = 0; i < n; ++i) {
      names.push_back("class " + std::to_string(i));
      counts[i * n + i] = 10;
      counts[i * n] += static_cast<int64_t>(i);
    }
    const std::string svg = confusion_svg(names, counts);
    EXPECT_EQ(fault_of(svg), "") << n;
    EXPECT_LT(svg.size(), 1'200'000u) << n;
    const size_t shown = std::min<size_t>(n, 50);
    EXPECT_EQ(count_of(svg, "<rect"), shown * shown + 2 * shown + 2) << n;
    EXPECT_EQ(svg.find("classes with the most errors") != std::string::npos, n > 50) << n;
    // The classes with errors are never among those left out.
    EXPECT_TRUE(says(svg, "class 0<title>class 0</title>") || svg.find("class 0") != svg.npos);
    EXPECT_NE(svg.find("class " + std::to_string(n - 1) + "<"), std::string::npos) << n;
  }
}

TEST(Confusion, hostile_and_long_names_are_tamed) {
  const std::vector<std::string> names = {"</text><script>alert(1)</script>",
                                          "a\"b'c&d",
                                          "\x1b[31m\xff\n",
                                          std::string(500, 'w'),
                                          "\xe2\x80\xae"
                                          "gpj",
                                          "\xef\xbf\xbf"};
  const std::string svg = confusion_svg(names, std::vector<int64_t>(36, 1));
  EXPECT_EQ(fault_of(svg), "");
  EXPECT_TRUE(svg.find(std::string(19, 'w') + "\xe2\x80\xa6") != std::string::npos);
  EXPECT_NE(svg.find("\\u{202e}gpj"), std::string::npos);
  EXPECT_NE(svg.find("\\u{ffff}"), std::string::npos);
}

TEST(Confusion, mistakes_of_the_caller_are_bugs) {
  EXPECT_THROW(confusion_svg({}, {}), Error);
  EXPECT_THROW(confusion_svg({"a"}, std::vector<int64_t>{1, 2}), Error);
  EXPECT_THROW(confusion_svg({"a"}, std::vector<int64_t>{-1}), Error);
}

TEST(Svg, shorten_counts_columns) {
  EXPECT_EQ(shorten("short", 5), "short");
  EXPECT_EQ(shorten("longer", 5), "long\xe2\x80\xa6");
  EXPECT_EQ(columns("\xe9\x87\x91\xe9\xad\x9a"), 4);
  EXPECT_EQ(shorten("\xe9\x87\x91\xe9\xad\x9a", 3), "\xe9\x87\x91\xe2\x80\xa6");
  EXPECT_EQ(columns("e\xcc\x81"), 1);
  EXPECT_EQ(shorten("\xff", 9), "\\xff");
}

struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
};

TEST(Svg, numbers_are_the_same_in_every_locale) {
  const std::string expected = curves_svg(sample(5));
  const std::locale before = std::locale::global(std::locale(std::locale(), new Comma));
  const std::string svg = curves_svg(sample(5));
  std::locale::global(before);
  EXPECT_EQ(svg, expected);
}

TEST(Ticks, are_round_numbers_that_cover_the_range) {
  const auto check = [](double low, double high, double smallest, Ticks expected) {
    const Ticks t = nice_ticks(low, high, 6, smallest);
    EXPECT_NEAR(t.low, expected.low, 1e-12);
    EXPECT_NEAR(t.high, expected.high, 1e-12);
    EXPECT_NEAR(t.step, expected.step, 1e-12);
  };
  check(0, 1, 0, {0, 1, 0.2});
  check(0.13, 0.86, 0, {0, 1, 0.2});
  check(1, 3, 1, {1, 3, 1});
  check(0, 9, 0, {0, 10, 2});
  check(-3, 12'345, 0, {-5000, 15'000, 5000});
  check(5, 5, 0, {4.4, 5.6, 0.2});
  check(0, 0, 0, {-1, 1, 0.5});
  check(1e-9, 5e-9, 0, {1e-9, 5e-9, 1e-9});
}

TEST(Ticks, labels_have_the_decimals_of_the_step) {
  EXPECT_EQ((Ticks{0, 1, 0.2}.label(0.6)), "0.6");
  EXPECT_EQ((Ticks{0, 1, 0.2}.label(0)), "0.0");
  EXPECT_EQ((Ticks{0, 1, 0.2}.label(0.6, 100)), "60");
  EXPECT_EQ((Ticks{0, 10, 2}.label(4)), "4");
  EXPECT_EQ((Ticks{0, 20'000, 5000}.label(15'000)), "15k");
  EXPECT_EQ((Ticks{0, 10'000, 500}.label(2500)), "2.5k");
  EXPECT_EQ((Ticks{0, 2e6, 5e5}.label(1.5e6)), "1.5M");
  EXPECT_EQ((Ticks{-1, 1, 0.5}.label(-0.5)),
            "\xe2\x88\x92"
            "0.5");
  EXPECT_EQ((Ticks{0, 5e-9, 1e-9}.label(2e-9)), "2e-09");
}

}  // namespace
}  // namespace ft
