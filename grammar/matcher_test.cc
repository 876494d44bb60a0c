// Masks against brute force: every token of a small vocabulary, fed byte by byte.
#include "grammar/matcher.h"

#include <gtest/gtest.h>

#include <string>

#include "grammar/random_language.h"
#include "grammar/reference_match.h"

namespace longhaul::grammar {
namespace {

// All texts of up to three of these bytes, some longer ones, and two tokens that end a text; one is
// no text.
struct SmallVocabulary {
  SmallVocabulary() {
    const std::string bytes = "abc\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
    for (const char a : bytes) texts.emplace_back(1, a);
    for (const char a : bytes) {
      for (const char b : bytes) texts.push_back({a, b});
    }
    for (const char* text : {"abc", "aaa", "cba", "bbbb", "aaaaaaaa", "abcabcabcabc",
                             "c\xC3\xA4"
                             "a",
                             "\xF0\x9F\x98\x80",
                             "\xE2\x82\xAC"
                             "b",
                             "ccccccccccccccccccc", "b"})
      texts.emplace_back(text);
    texts.emplace_back();  // no text
    ends = {static_cast<int32_t>(texts.size()), static_cast<int32_t>(texts.size()) + 1};
    texts.emplace_back("</s>");
    texts.emplace_back();
  }

  std::shared_ptr<const TokenTrie> trie() const {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    return std::make_shared<const TokenTrie>(views, ends);
  }

  std::vector<std::string> texts;
  std::vector<int32_t> ends;
};

TokenBits brute_force(Matcher& matcher, TextState state, const SmallVocabulary& vocabulary) {
  TokenBits bits(n_words(vocabulary.texts.size()));
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const bool is_end = id >= vocabulary.ends.front();
    const bool is_allowed =
        is_end ? matcher.is_complete(state)
               : !vocabulary.texts[i].empty() &&
                     !matcher.is_dead(matcher.accept_bytes(state, vocabulary.texts[i]));
    if (is_allowed) set_bit(bits, id);
  }
  return bits;
}

Matcher matcher_of(std::shared_ptr<const Grammar> grammar, const SmallVocabulary& vocabulary) {
  return Matcher(std::make_shared<TokenMasks>(std::move(grammar), vocabulary.trie()));
}

Matcher matcher_of(std::string_view gbnf, const SmallVocabulary& vocabulary) {
  auto grammar = parse_gbnf(gbnf);
  EXPECT_TRUE(grammar) << grammar.error().message;
  return matcher_of(*grammar, vocabulary);
}

TEST(Matcher, ByChanceDerivationsAreAcceptedAndMasksAreBruteForce) {
  const SmallVocabulary vocabulary;
  size_t n_derived = 0, n_masks = 0, n_recursive = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE(seed);
    RandomLanguage random(seed);
    Syntax syntax;
    random.make(syntax);
    auto automaton = compile(syntax, 0);
    ASSERT_TRUE(automaton) << automaton.error().message;
    n_recursive += automaton->callees.size() > 1;
    Matcher matcher =
        matcher_of(std::make_shared<const Grammar>(std::move(*automaton)), vocabulary);
    for (int i = 0; i < 4; ++i) {
      std::string text;
      if (!random.derive(syntax, syntax.rules()[0].body, 30, text)) continue;
      ++n_derived;
      TextState state = matcher.start();
      for (size_t at = 0; at <= text.size(); ++at) {
        ASSERT_EQ(matcher.mask(state), brute_force(matcher, state, vocabulary))
            << text << " " << at;
        ++n_masks;
        if (at == text.size()) break;
        state = matcher.accept_bytes(state, std::string_view(text).substr(at, 1));
        ASSERT_FALSE(matcher.is_dead(state)) << text << " at " << at;
      }
      EXPECT_TRUE(matcher.is_complete(state)) << text;
    }
    ASSERT_TRUE(matcher.status());
  }
  EXPECT_GT(n_derived, 800U);
  EXPECT_GT(n_masks, 4'000U);
  EXPECT_GT(n_recursive, 30U);
}

// A text with a byte changed, left out or doubled is in the language if trying says so.
TEST(Matcher, ByChanceTextsAreAcceptedAsByTrying) {
  const SmallVocabulary vocabulary;
  size_t n_in = 0, n_out = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    RandomLanguage random(seed);
    Syntax syntax;
    random.make(syntax);
    Matcher matcher =
        matcher_of(std::make_shared<const Grammar>(compile(syntax, 0).value()), vocabulary);
    for (int i = 0; i < 20; ++i) {
      std::string text;
      if (!random.derive(syntax, syntax.rules()[0].body, 30, text) || text.size() > 25) continue;
      for (uint32_t n = random.below(3); n > 0 && !text.empty(); --n) {
        const size_t at = random.below(static_cast<uint32_t>(text.size()));
        switch (random.below(3)) {
          case 0:
            text[at] = static_cast<char>('a' + random.below(3));
            break;
          case 1:
            text.erase(at, 1);
            break;
          default:
            text.insert(at, 1, text[at]);
        }
      }
      const bool expected = ReferenceMatch(syntax, text).matches(syntax.rules()[0].body);
      const TextState state = matcher.accept_bytes(matcher.start(), text);
      ASSERT_EQ(matcher.is_complete(state), expected) << text;
      ++(expected ? n_in : n_out);
    }
  }
  EXPECT_GT(n_in, 1'000U);
  EXPECT_GT(n_out, 1'000U);
}

TEST(Matcher, WhatIsNotOfTheLanguageIsDead) {
  const SmallVocabulary vocabulary;
  Matcher matcher = matcher_of("root ::= \"a\" root \"b\" | \"c\"", vocabulary);
  const auto after = [&](std::string_view text) {
    return matcher.accept_bytes(matcher.start(), text);
  };
  EXPECT_TRUE(matcher.is_complete(after("aacbb")));
  EXPECT_FALSE(matcher.is_complete(after("aacb")));
  EXPECT_FALSE(matcher.is_dead(after("aacb")));
  EXPECT_TRUE(matcher.is_dead(after("aacbbb")));
  EXPECT_TRUE(matcher.is_dead(after("ab")));
}

TEST(Matcher, TokensThatEndATextComeWhereItIsWhole) {
  const SmallVocabulary vocabulary;
  Matcher matcher = matcher_of("root ::= \"ab\"", vocabulary);
  const int32_t end = vocabulary.ends.front();
  const TextState begun = matcher.start();
  EXPECT_TRUE(matcher.is_dead(matcher.accept(begun, end)));
  const TextState whole = matcher.accept_bytes(begun, "ab");
  const TextState over = matcher.accept(whole, end);
  EXPECT_TRUE(over.is_over);
  // What comes after an end is an end again, so that a text that runs on meets no error.
  EXPECT_EQ(matcher.mask(over), matcher.mask(whole));
  EXPECT_TRUE(matcher.is_dead(matcher.accept(over, 0)));
}

// Counts that differ by more than the longest token are alike; near the bounds they are not.
TEST(Matcher, LongCountsAreExact) {
  const SmallVocabulary vocabulary;
  Matcher matcher = matcher_of("root ::= [ab]{70,100} \"c\"", vocabulary);
  TextState state = matcher.start();
  for (size_t n = 0; n <= 100; ++n) {
    ASSERT_EQ(matcher.mask(state), brute_force(matcher, state, vocabulary)) << n;
    EXPECT_EQ(matcher.is_complete(matcher.accept_bytes(state, "c")), n >= 70) << n;
    state = matcher.accept_bytes(state, n % 3 == 0 ? "a" : "b");
    EXPECT_EQ(matcher.is_dead(state), n == 100);
  }
}

TEST(Matcher, DeepNestingGrowsByAFrameALevel) {
  const SmallVocabulary vocabulary;
  Matcher matcher = matcher_of("root ::= \"a\" root \"b\" | \"c\"", vocabulary);
  TextState state = matcher.start();
  for (int i = 0; i < 10'000; ++i) state = matcher.accept_bytes(state, "a");
  state = matcher.accept_bytes(state, "c");
  for (int i = 0; i < 10'000; ++i) state = matcher.accept_bytes(state, "b");
  EXPECT_TRUE(matcher.is_complete(state));
  EXPECT_TRUE(matcher.is_dead(matcher.accept_bytes(state, "b")));
}

// A count that never comes back to where it was brings new places with every byte.
TEST(Matcher, LongTextsAreForgotten) {
  const SmallVocabulary vocabulary;
  Matcher matcher = matcher_of("root ::= ([ab] \"c\"){300000} \"a\"", vocabulary);
  std::vector<TextState> last = {matcher.start()};
  size_t n_forgotten = 0;
  for (size_t n = 0; n < 300'000; ++n) {
    if (matcher.is_large()) {
      last.erase(last.begin(), last.end() - 2);
      matcher.forget(last);
      ++n_forgotten;
    }
    last.push_back(matcher.accept_bytes(last.back(), "bc"));
  }
  EXPECT_GT(n_forgotten, 2U);
  ASSERT_TRUE(matcher.status()) << matcher.status().error().message;
  EXPECT_TRUE(matcher.is_complete(matcher.accept_bytes(last.back(), "a")));
  EXPECT_TRUE(matcher.is_dead(matcher.accept_bytes(last.back(), "b")));
  // The one before is as it was.
  const TextState before = last[last.size() - 2];
  EXPECT_FALSE(matcher.is_complete(matcher.accept_bytes(before, "a")));
  EXPECT_EQ(matcher.accept_bytes(before, "bc"), last.back());
}

TEST(Matcher, TooManyStacksAreAnError) {
  const SmallVocabulary vocabulary;
  // Every letter may be a level deeper or one of two ways around it.
  Matcher matcher = matcher_of(
      "root ::= \"a\" root \"b\" | \"a\" x \"c\" | \"a\"\nx ::= \"a\" root \"c\" | \"a\" x \"b\"",
      vocabulary);
  TextState state = matcher.start();
  for (int i = 0; i < 200 && matcher.status(); ++i) state = matcher.accept_bytes(state, "a");
  ASSERT_FALSE(matcher.status());
  EXPECT_NE(matcher.status().error().message.find("ambiguous"), std::string::npos);
  EXPECT_TRUE(matcher.is_dead(state));
}

}  // namespace
}  // namespace longhaul::grammar
