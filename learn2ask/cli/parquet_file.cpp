#include "cli/parquet_file.h"

#include "base/error.h"

#ifdef L2A_ARROW
#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <parquet/arrow/writer.h>
#endif

namespace l2a {

struct VerlDataset::Row {
  std::vector<std::pair<std::string, std::string>> prompt;
  std::string sample, split;
};

VerlDataset::VerlDataset() = default;
VerlDataset::~VerlDataset() = default;

void VerlDataset::add(const std::vector<std::pair<std::string, std::string>>& prompt,
                      const std::string& sample, const std::string& split) {
  rows_.push_back(std::make_unique<Row>(Row{prompt, sample, split}));
}

#ifndef L2A_ARROW

std::string VerlDataset::parquet() const {
  fail(ErrorCode::kUnsupported,
       "export-dataset --to verl: this build has no Arrow to write Parquet with (tools/dev build "
       "has)");
}

#else

namespace {

// A failure of Arrow's here is one of memory: what is written are texts in memory.
void require(const arrow::Status& status) {
  if (!status.ok()) fail(ErrorCode::kIo, "parquet: " + status.ToString());
}

std::shared_ptr<arrow::DataType> texts(const std::vector<std::string>& names) {
  arrow::FieldVector fields;
  for (const std::string& name : names) fields.push_back(arrow::field(name, arrow::utf8()));
  return arrow::struct_(fields);
}

arrow::StringBuilder& text_of(arrow::StructBuilder& builder, int field) {
  return static_cast<arrow::StringBuilder&>(*builder.field_builder(field));
}

}  // namespace

std::string VerlDataset::parquet() const {
  const auto message = texts({"role", "content"});
  const auto extra =
      arrow::struct_({arrow::field("split", arrow::utf8()), arrow::field("index", arrow::int64())});
  const auto schema = arrow::schema({arrow::field("data_source", arrow::utf8()),
                                     arrow::field("prompt", arrow::list(message)),
                                     arrow::field("ability", arrow::utf8()),
                                     arrow::field("reward_model", texts({"style", "ground_truth"})),
                                     arrow::field("extra_info", extra)});
  auto made = arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool());
  require(made.status());
  arrow::RecordBatchBuilder& batch = **made;
  auto& sources = *batch.GetFieldAs<arrow::StringBuilder>(0);
  auto& prompts = *batch.GetFieldAs<arrow::ListBuilder>(1);
  auto& messages = static_cast<arrow::StructBuilder&>(*prompts.value_builder());
  auto& abilities = *batch.GetFieldAs<arrow::StringBuilder>(2);
  auto& rewards = *batch.GetFieldAs<arrow::StructBuilder>(3);
  auto& extras = *batch.GetFieldAs<arrow::StructBuilder>(4);
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = *rows_[i];
    require(sources.Append("learn2ask"));
    require(prompts.Append());
    for (const auto& [role, text] : row.prompt) {
      require(messages.Append());
      require(text_of(messages, 0).Append(role));
      require(text_of(messages, 1).Append(text));
    }
    require(abilities.Append("ask"));
    require(rewards.Append());
    require(text_of(rewards, 0).Append("rule"));
    require(text_of(rewards, 1).Append(row.sample));
    require(extras.Append());
    require(text_of(extras, 0).Append(row.split));
    require(static_cast<arrow::Int64Builder&>(*extras.field_builder(1))
                .Append(static_cast<int64_t>(i)));
  }
  auto flushed = batch.Flush();
  require(flushed.status());
  auto table = arrow::Table::FromRecordBatches(schema, {*flushed});
  require(table.status());
  auto out = arrow::io::BufferOutputStream::Create();
  require(out.status());
  const auto properties =
      parquet::WriterProperties::Builder().compression(arrow::Compression::ZSTD)->build();
  constexpr int64_t kRowGroup = 10'000;
  require(parquet::arrow::WriteTable(**table, arrow::default_memory_pool(), *out, kRowGroup,
                                     properties));
  auto bytes = (*out)->Finish();
  require(bytes.status());
  return (*bytes)->ToString();
}

#endif

}  // namespace l2a
