// Error and escape.
#include "tensor/error.h"

#include <gtest/gtest.h>

namespace ft {

TEST(Error, status_is_the_thousands_digit_and_line_has_all_parts) {
  const Error e(2107, "data/a.jpg", "JPEG ends early", "replace it");
  EXPECT_EQ(e.status(), ExitStatus::bad_input);
  EXPECT_EQ(e.line(), "ftrun: error E2107: data/a.jpg: JPEG ends early; replace it");
}

TEST(Error, escape_keeps_utf8_and_neutralises_control_bytes) {
  EXPECT_EQ(escape("gr\xc3\xbc\xc3\x9f \xe2\x9c\x93"), "gr\xc3\xbc\xc3\x9f \xe2\x9c\x93");
  EXPECT_EQ(escape("a\nb\x1b[31m"), "a\\x0ab\\x1b[31m");
  EXPECT_EQ(escape("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(escape("\xe2\x80\xae"
                   "gpj"),
            "\\u{202e}gpj");
  EXPECT_EQ(escape("\xc0\x80"), "\\xc0\\x80");
}

TEST(Error, check_names_file_line_and_condition) {
  try {
    FT_CHECK(1 + 1 == 3, "sums");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.status(), ExitStatus::internal);
    EXPECT_NE(e.line().find("1 + 1 == 3"), std::string::npos);
    EXPECT_NE(e.line().find("error_test.cpp"), std::string::npos);
  }
}

}  // namespace ft
