// GBNF: what it says, and what is refused in words.
#include <gtest/gtest.h>

#include <string>

#include "base/result.h"
#include "grammar/automaton.h"
#include "grammar/machine.h"
#include "longhaul/grammar.h"

namespace longhaul {
namespace {

bool accepts(std::string_view gbnf, std::string_view text) {
  const auto grammar = parse_gbnf(gbnf);
  EXPECT_TRUE(grammar) << grammar.error().message;
  if (!grammar) return false;
  grammar::Machine machine((*grammar)->automaton());
  grammar::PlaceId place = machine.start();
  for (const char byte : text) place = machine.step(place, static_cast<uint8_t>(byte));
  return machine.may_end(place);
}

std::string refusal(std::string_view gbnf) {
  const auto grammar = parse_gbnf(gbnf);
  EXPECT_FALSE(grammar) << gbnf;
  return grammar ? "" : grammar.error().message;
}

void expect_words(std::string_view gbnf, std::initializer_list<const char*> words) {
  const std::string message = refusal(gbnf);
  for (const char* word : words) {
    EXPECT_NE(message.find(word), std::string::npos) << gbnf << "\n" << message;
  }
}

TEST(Gbnf, RulesMayStandInManyLines) {
  const std::string grammar =
      "# a comment\nroot ::=\n  first (\n   \"b\"   # inside\n  | \"c\" )\n  | \"d\"\n\n"
      "first ::= \"a\" |\n \"\"\n";
  for (const char* text : {"ab", "ac", "b", "c", "d"}) EXPECT_TRUE(accepts(grammar, text)) << text;
  for (const char* text : {"", "a", "ad", "bc"}) EXPECT_FALSE(accepts(grammar, text)) << text;
}

TEST(Gbnf, SignsRepeatWhatStandsBefore) {
  EXPECT_TRUE(accepts("root ::= (\"a\"{2})+ \"b\" {1,2} [c] ?", "aaaabbc"));
  EXPECT_FALSE(accepts("root ::= (\"a\"{2})+", "aaa"));
  EXPECT_TRUE(accepts("root ::= \"a\"{0}", ""));
  EXPECT_TRUE(accepts("root ::= \"ab\"{,2}", ""));
  EXPECT_FALSE(accepts("root ::= \"ab\"{,2}", "ababab"));
  // A repetition of what may be empty ends.
  EXPECT_TRUE(accepts("root ::= (\"a\"?){100,2000} \"b\"", "aab"));
  EXPECT_TRUE(accepts("root ::= (\"a\"*)* \"b\"", "aab"));
}

TEST(Gbnf, ClassesAreOfCharacters) {
  EXPECT_TRUE(accepts("root ::= [^a]", "\xE2\x82\xAC"));
  EXPECT_FALSE(accepts("root ::= [^a]", "\xE2\x82"));
  EXPECT_FALSE(accepts("root ::= .", "\xFF"));
  EXPECT_FALSE(accepts("root ::= .", "\xED\xA0\x80"));  // half of a pair
  EXPECT_FALSE(accepts("root ::= .", "\xC0\x80"));      // an overlong form
  EXPECT_TRUE(accepts("root ::= [a\\]\\-x\\x41\\u00e9]{5}", "]-xA\xC3\xA9"));
  EXPECT_TRUE(accepts("root ::= [a-]+", "a-"));
}

TEST(Gbnf, ErrorsNameThePlace) {
  expect_words("root ::= \"a", {"line 1, column 12", "the end"});
  expect_words("root ::= \"a\"\nroot ::= \"b\"", {"line 2, column 1", "root"});
  expect_words("root ::= other", {"line 1, column 10", "other"});
  expect_words("start ::= \"a\"", {"root"});
  expect_words("", {"root"});
  expect_words("root = \"a\"", {"line 1, column 6", "::="});
  expect_words("root ::= [z-a]", {"line 1, column 11", "range"});
  expect_words("root ::= \"a\"{3,2}", {"3", "2"});
  expect_words("root ::= \"a\"{9999999}", {"at most"});
  expect_words("root ::= (\"a\"", {"')'"});
  expect_words("root ::= \"\\q\"", {"\\n"});
  expect_words("root ::= \"\\ud800\"", {"U+D800"});
  expect_words("root ::= <[42]>", {"tokens"});
  expect_words("root ::= \"a\" ) \"b\"", {"line 1, column 14"});
  expect_words(std::string(300, '(').insert(0, "root ::= "), {"groups"});
}

TEST(Gbnf, LeftRecursionIsRefusedByName) {
  expect_words("root ::= root \"a\" | \"b\"", {"'root'", "left recursion"});
  expect_words("root ::= \"x\" list\nlist ::= empty list \"a\" | \"b\"\nempty ::= \"c\"?",
               {"'list'", "left recursion"});
  expect_words("root ::= a{3,5} \"x\"\na ::= b\nb ::= a \"y\" | \"z\"", {"left recursion"});
}

TEST(Gbnf, WhatSaysNothingIsRefusedOrLeftOut) {
  expect_words("root ::= \"a\" root", {"nothing matches 'root'"});
  EXPECT_TRUE(accepts("root ::= \"a\" | \"b\" endless\nendless ::= \"c\" endless", "a"));
  EXPECT_FALSE(accepts("root ::= \"a\" | \"b\" endless\nendless ::= \"c\" endless", "b"));
  EXPECT_TRUE(accepts("root ::= \"a\" []*", "a"));
}

TEST(Gbnf, SizesAreLimited) {
  // Each rule says the one before twice.
  std::string doubling = "r0 ::= [a-z] \"x\"\n";
  for (int i = 1; i < 60; ++i) doubling += fmt::format("r{} ::= r{} r{}\n", i, i - 1, i - 1);
  EXPECT_TRUE(parse_gbnf(doubling + "root ::= r59"));
  std::string counts = "root ::= \"a\"";
  for (int i = 0; i < 100; ++i) counts += "{1,1000}";
  EXPECT_TRUE(parse_gbnf(counts));
  expect_words(std::string((1 << 20) + 1, ' '), {"bytes"});
  // The subsets of what may have been seen are 2^40.
  expect_words("root ::= [ab]* \"a\" " +
                   [] {
                     std::string tail;
                     for (int i = 0; i < 40; ++i) tail += "[ab] ";
                     return tail;
                   }(),
               {"states"});
}

}  // namespace
}  // namespace longhaul
