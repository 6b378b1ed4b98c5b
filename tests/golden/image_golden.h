// The form of the stored pictures in this folder: file bytes and the pixels that they must become,
// both in hexadecimal.
#pragma once

namespace ft::test {

struct GoldenImage {
  const char* name;
  int width, height;
  const char* notes;  // words out of: grey alpha sixteen cmyk
  const char* file;
  const char* rgb;
};

}  // namespace ft::test
