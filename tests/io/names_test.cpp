// Guesses of what a name was meant to be, look-alikes, and columns of a terminal.
#include "io/names.h"

#include <gtest/gtest.h>

namespace ft::test {

TEST(Names, edit_distance_counts_single_edits) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("train", "trian"), 1u);   // swapped neighbours
  EXPECT_EQ(edit_distance("trainn", "train"), 1u);  // one letter too many
  EXPECT_EQ(edit_distance("abcd", "dcba"), 3u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // a swapped pair is not edited again
}

TEST(Names, skeletons_ignore_case_accents_and_normal_forms) {
  EXPECT_EQ(skeleton("Caf\xc3\xa9"), skeleton("CAFE\xcc\x81"));
  EXPECT_EQ(skeleton("Vi\xe1\xbb\x87t"), skeleton("viet"));  // precomposed ệ
  EXPECT_EQ(skeleton("\xea\xb0\x81"), skeleton("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"));  // Hangul
  EXPECT_EQ(skeleton("a_b-c d"), skeleton("abcd"));
  EXPECT_EQ(skeleton("a\xe2\x80\x8b"), skeleton("a"));  // zero-width space
  EXPECT_NE(skeleton("stra\xc3\x9f"
                     "e"),
            skeleton("strae"));
  EXPECT_NE(skeleton("\xff"), skeleton("\xfe"));
  EXPECT_NE(skeleton("ants"), skeleton("bees"));
  EXPECT_EQ(skeleton("\xef\xbc\xa1"), skeleton("a"));  // full-width A
}

TEST(Names, guesses_only_what_is_close) {
  const std::vector<std::string> names = {"ants", "bees", "Wasps"};
  EXPECT_EQ(closest_name("antz", names), "ants");
  EXPECT_EQ(closest_name("wasps", names), "Wasps");
  EXPECT_EQ(closest_name("bee", names), "bees");
  EXPECT_EQ(closest_name("whales", names), "");
  EXPECT_EQ(closest_name("", names), "");
  EXPECT_EQ(closest_name("x", std::vector<std::string>{"y"}), "");  // nothing of the name is left
  EXPECT_EQ(closest_name("ants", {}), "");
}

TEST(Names, lists_are_cut) {
  const std::vector<std::string> names = {"a", "b", "c"};
  EXPECT_EQ(list_names(names), "a, b, c");
  EXPECT_EQ(list_names(names, 2), "a, b, … 1 more");
  EXPECT_EQ(list_names({}), "");
}

TEST(Names, columns_are_counted_as_a_terminal_shows_them) {
  EXPECT_EQ(display_width("caf\xc3\xa9"), 4u);
  EXPECT_EQ(display_width("cafe\xcc\x81"), 4u);
  EXPECT_EQ(display_width("\xe7\x8c\xab"), 2u);
  EXPECT_EQ(display_width("\xff"), 1u);
  EXPECT_EQ(fit_left("ab", 4), "ab  ");
  EXPECT_EQ(fit_right("ab", 4), "  ab");
  EXPECT_EQ(fit_left("abcdef", 4), "abc…");
  EXPECT_EQ(fit_left("\xe7\x8c\xab\xe7\x8c\xab\xe7\x8c\xab", 4), "\xe7\x8c\xab… ");
  EXPECT_EQ(fit_left("\xe7\x8c\xab", 1), "…");
  EXPECT_EQ(fit_left("a\nb", 6), "a\\x0ab");
  for (size_t width = 1; width < 9; ++width)
    EXPECT_EQ(display_width(fit_right("na\xc3\xafve \xe7\x8c\xab", width)), width);
}

}  // namespace ft::test
