// `learn2ask inspect`: a data set as people would want to see it.
#include <cstdio>

#include "cli/command.h"
#include "hindsight/inspect.h"

namespace l2a {
namespace {

struct InspectSettings {
  LabelOptions label;  // for a file of sessions, labelled on the fly

  template <class Visitor>
  void visit(Visitor& v) {
    v.group("label", label);
  }
};

struct InspectArguments {
  std::string file, session;
};

void inspect(const InspectArguments& arguments, const LabelOptions& options) {
  const QuestionForms forms = QuestionForms::load(data_path("prompts/questions"));
  Inspector inspector(forms);
  const InspectedFile file =
      for_each_inspected(arguments.file, options, forms,
                         [&](const LabelledSession& session) { inspector.add(session); });
  if (!file.labelled) {
    std::printf("a file of sessions, labelled here to be looked at (%zu could not be)\n",
                file.passed_over);
  }
  std::printf("%s\n", inspector.report().c_str());

  const std::string wanted =
      arguments.session.empty() ? inspector.median_session().value_or("") : arguments.session;
  bool found = false;  // ids are unique, but a file may be anyone's: the first one is shown
  for_each_inspected(arguments.file, options, forms, [&](const LabelledSession& session) {
    if (found || session.id != wanted) return;
    found = true;
    std::printf("%s", session_to_text(session).c_str());
  });
  if (!found && !arguments.session.empty()) {
    fail(ErrorCode::kNotFound,
         "inspect: " + arguments.file + ": no session '" + arguments.session + "'");
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "inspect", "Show what is in a file of sessions or labels, and what is odd");
  auto arguments = std::make_shared<InspectArguments>();
  command->add_option("FILE", arguments->file, "sessions or labels")->required();
  command
      ->add_option("--session", arguments->session,
                   "the session to show in full (default: the first of median length)")
      ->type_name("ID");
  auto settings = Settings::add<InspectSettings>(*command);
  command->callback([=] { inspect(*arguments, settings->read<InspectSettings>().label); });
}

}  // namespace l2a
