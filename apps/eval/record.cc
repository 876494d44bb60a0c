#include "apps/eval/record.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/result.h"

namespace longhaul::eval {
namespace {

using Json = nlohmann::ordered_json;

// Six significant digits: what a table or a plot can show, at a third of the bytes.
double rounded(double value) {
  if (value == 0) return 0;
  const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::abs(value))));
  return std::round(value * scale) / scale;
}

std::vector<double> rounded(std::vector<double> values) {
  for (double& value : values) value = rounded(value);
  return values;
}

Json to_json(const AnswerRecord& record) {
  return {{"right", record.right},
          {"steps", record.n_steps},
          {"right_steps", record.n_right_steps},
          {"tokens", record.n_tokens},
          {"hit_limit", record.hit_limit},
          {"decode_s", rounded(record.decode_s)},
          {"decoded", record.n_decoded},
          {"blocks_read", record.blocks_read},
          {"blocks_total", record.blocks_total},
          {"drafted", record.n_drafted},
          {"accepted", record.n_accepted},
          {"text", record.text}};
}

AnswerRecord answer_of(const Json& json) {
  return {json.at("right"),   json.at("steps"),       json.at("right_steps"),
          json.at("tokens"),  json.at("hit_limit"),   json.at("decode_s"),
          json.at("decoded"), json.at("blocks_read"), json.at("blocks_total"),
          json.at("drafted"), json.at("accepted"),    json.at("text")};
}

}  // namespace

std::string record_key(Measure measure, const std::string& setting, const std::string& task,
                       size_t length, size_t item) {
  return fmt::format("{}|{}|{}|{}|{}", to_string(measure), setting, task, length, item);
}

std::string Record::key() const { return record_key(measure, setting, task, length, item); }

Json to_json(const Record& record) {
  Json json = {{"measure", to_string(record.measure)},
               {"setting", record.setting},
               {"task", record.task},
               {"length", record.length},
               {"item", record.item},
               {"context", record.n_context}};
  if (record.depth >= 0) json["depth"] = record.depth;
  if (record.answer) json["answer"] = to_json(*record.answer);
  if (record.forced) {
    json["forced"] = {{"kl", rounded(record.forced->kl)},
                      {"nll", rounded(record.forced->nll)},
                      {"same_top", record.forced->same_top},
                      {"stale", record.forced->stale},
                      {"key_error", rounded(record.forced->key_error)},
                      {"value_error", rounded(record.forced->value_error)}};
  }
  if (record.recall) {
    json["recall"] = {{"selectors", record.recall->selectors},
                      {"recall", rounded(record.recall->recall)},
                      {"tokens", record.recall->n_tokens}};
  }
  return json;
}

Result<Record> parse_record(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    Record record;
    LH_ASSIGN_OR_RETURN(record.measure, parse_measure(json.at("measure").get<std::string>()));
    record.setting = json.at("setting");
    record.task = json.at("task");
    record.length = json.at("length");
    record.item = json.at("item");
    record.n_context = json.at("context");
    record.depth = json.value("depth", -1.0);
    if (json.contains("answer")) record.answer = answer_of(json["answer"]);
    if (json.contains("forced")) {
      const Json& forced = json["forced"];
      record.forced =
          ForcedRecord{forced.at("kl"),    forced.at("nll"),       forced.at("same_top"),
                       forced.at("stale"), forced.at("key_error"), forced.at("value_error")};
    }
    if (json.contains("recall")) {
      const Json& recall = json["recall"];
      record.recall =
          RecallRecord{recall.at("selectors"), recall.at("recall"), recall.at("tokens")};
    }
    return record;
  } catch (const Json::exception& error) {
    return bad_input("{}", error.what());
  }
}

}  // namespace longhaul::eval
