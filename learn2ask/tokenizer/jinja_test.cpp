#include "tokenizer/jinja.h"

#include <gtest/gtest.h>

#include "tokenizer/testing.h"

namespace l2a {
namespace {

const Json kVariables = {
    {"messages",
     {{{"role", "system"}, {"content", " Ask. \n"}},
      {{"role", "user"}, {"content", "It hurts.\u2028"}},
      {{"role", "assistant"}, {"content", "<think>\nno</think>\n\nSince when?"}}}},
    {"n", 7},
    {"nothing", nullptr},
    {"yes", true},
    {"text", "a,b,,c\x1c "}};

// Each a piece of Jinja that chat templates are made of, or a trap beside one.
const std::vector<std::string> kTemplates = {
    "",
    "plain\n",
    "plain\n\n",
    "a {{ n }} b\n  {% if yes %}\n  c\n  {% endif %}\nd\n",
    "a\n   {%- if yes -%}   \n b \n {%- endif %}\n\nc",
    "{% if yes %}\n  {% if yes %}x{% endif %}\n\t{% endif %}\n  {# c #}\n   {{ n }}  {% if yes %}y"
    "{% endif %}",
    "  {%+ if yes %} x{% endif +%}\ny",
    "a{# comment #}\nb {#- another -#}\n  c",
    "\t{% set x = 1 %}\n{{ x }}\n\n{{- x -}}\n x",
    "a\r\n{% if yes %}\r\nb{% endif %}\r\n",
    "{{ nothing }}|{{ yes }}|{{ not yes }}|{{ missing }}|{{ n }}|{{ -n }}",
    "{{ n + 1 }} {{ n - 9 }} {{ n * 3 }} {{ n // 2 }} {{ n % 4 }} {{ -n // 2 }} {{ -n % 4 }}",
    "{{ n - 1 - 1 }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ 10 % 4 + 1 }}",
    "{{ 'a' + 'b' ~ n ~ yes }} {{ 'a' 'b' \"c\" }} {{ 'it\\'s \\\\ \\n' }}",
    "{{ n == 7 }} {{ n != 7 }} {{ n < 8 and n >= 7 }} {{ n > 7 or n <= 7 }} {{ 'a' == 'a' }}",
    "{{ not n == 7 }} {{ not (yes and nothing) }} {{ nothing or 'x' }} {{ n and 0 }}",
    "{{ 'b' in text }} {{ 'z' not in text }} {{ 'role' in messages[0] }} {{ 3 in [1, 2, 3] }}",
    "{{ n is defined }} {{ missing is defined }} {{ missing is not defined }} {{ n is undefined }}",
    "{{ nothing is none }} {{ nothing is not none }} {{ text is string }} {{ messages is string }}",
    "{{ messages is iterable }} {{ text is sequence }} {{ messages[0] is mapping }} {{ n is number "
    "}}",
    "{{ yes is true }} {{ yes is false }} {{ n is equalto 7 }} {{ n is eq(8) }} {{ yes is boolean "
    "}}",
    "{{ 'x' if yes else 'y' }} {{ 'x' if nothing else 'y' }} {{ 'x' if nothing }}|",
    "{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[0].missing }}|{{ messages[9] "
    "}}|",
    "{{ messages[0]['content'] | trim }}|{{ messages[1].content | trim }}|{{ text | trim }}|",
    "{{ 'a' + text | trim + 'b' }}|{{ (text + '  ') | trim }}|{{ n | string + '1' }}",
    "{{ text.split(',')[1] }} {{ text.split(',')[-1].strip() }} {{ text.split(',') | length }}",
    "{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}",
    "{{ messages[2].content.split('</think>')[0].split('<think>')[-1].strip('\\n') }}",
    "{{ '\u00e9\u00e8x\u00e9'.strip('\u00e9') }} {{ 'xxyxx'.rstrip('x') }} {{ ' a '.lstrip() }}|",
    "{{ text.startswith('a,') }} {{ text.endswith('x') }} {{ text.replace(',', '--') }}",
    "{{ 'Ab'.upper() }} {{ 'Ab' | lower }} {{ 'Ab' | upper }}",
    "{{ messages | length }} {{ text | length }} {{ '\u4e2d\u6587' | length }} {{ [] | count }}",
    "{{ missing | default('d') }} {{ nothing | default('d', true) }} {{ n | default('d') }}",
    "{{ messages[0].get('role') }} {{ messages[0].get('x', 'y') }} {{ messages[0].get('x') }}",
    "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ m.role }}{% if not loop.last %}, "
    "{% endif %}{% endfor %}",
    "{% for m in messages %}{{ loop.first }} {{ loop.length }} {{ loop.previtem.role }} "
    "{{ loop.nextitem.role }};{% endfor %}",
    "{% for m in [] %}x{% else %}empty{% endfor %}{% for m in missing %}x{% endfor %}",
    "{% for m in messages if m.role != 'user' %}{{ loop.index }}{{ m.role }}{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in messages[0] | items %}{{ k }}={{ v }};{% endfor %}",
    "{% for m in messages[1:] %}{{ m.role }} {% endfor %}{% for m in messages[::-1] %}{{ m.role }} "
    "{% endfor %}{% for m in messages[-2:9] %}{{ m.role }} {% endfor %}",
    "{% for x in [0, 1, 2, 3, 4][1:-1] %}{{ x }}{% endfor %}{% for x in [0, 1, 2, 3][-9:2] %}{{ x "
    "}}"
    "{% endfor %}{% for x in [0, 1, 2, 3][3:0:-2] %}{{ x }}{% endfor %}{% for x in [0, 1, "
    "2][9::-1] "
    "%}{{ x }}{% endfor %}{% for x in [0, 1][:-9:-1] %}{{ x }}{% endfor %}",
    "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% set ns = namespace(x=1, y='a') %}{% for m in messages %}{% set ns.x = ns.x + 1 %}{% endfor "
    "%}{{ ns.x }}{{ ns.y }}{{ ns.z }}",
    "{% if nothing %}a{% elif n == 8 %}b{% elif n == 7 %}c{% else %}d{% endif %}",
    "{% if nothing %}a{% elif n == 8 %}b{% else %}d{% endif %}{% if nothing %}x{% endif %}",
    "{% set users = messages | selectattr('role', 'equalto', 'user') | list %}{{ users | length }}"
    "{{ (messages | rejectattr('role', 'equalto', 'user') | list)[0].role }}"
    "{{ messages | selectattr('missing') | list | length }}",
    "{{ messages | first == messages[0] }} {{ (messages | last).role }} {{ ['a', 'b'] | join('-') "
    "}}",
    "{{ {'a': 1, 'b': 'x'}['b'] }} {{ ['a'] + ['b', 'c'] | list == ['a', 'b', 'c'] }}",
    "{{ messages == messages[0:] }} {{ messages[0] == messages[1] }}",
    "{% generation %}x{% endgeneration %}y",
    "{{ raise_exception('Not today.') }}",
    "{% if n == 8 %}{{ raise_exception('no') }}{% endif %}fine",
    "{{ missing.x }}",
    "{{ missing.x.y }}",
    "{{ n + 'a' }}",
    "{{ ",
    "{% if yes %}",
    "{% endif %}",
    "{% for %}{% endfor %}",
    "{{ 1 + }}",
    "{{ 'open }}",
    "{# open",
    "{% nonsense %}",
    "{{ n | nonsense }}",
    "{{ n is nonsense }}",
    "{{ text.nonsense() }}",
    "{{ nonsense() }}",
    "{{ a b }}",
    "{{ (1 }}",
    "{{ [1, 2 }}",
    "}} %} #}",
    "{{ '}}' }}{{ '%}' }}{% set x = {'a': {'b': 1}} %}{{ x.a.b }}{{ {'a': {'b': 2}}['a']['b'] }}",
};

TEST(Jinja, WritesWhatTransformersWrites) {
  if (!testing::has_python()) GTEST_SKIP() << "no private Python environment (tools/dev)";
  std::vector<Json> input;
  for (const auto& text : kTemplates) {
    input.push_back({{"template", text}, {"variables", kVariables}});
  }
  const auto expected = testing::reference("jinja", "none", input);
  ASSERT_EQ(expected.size(), kTemplates.size());
  for (size_t i = 0; i < kTemplates.size(); ++i) {
    const auto parsed = JinjaTemplate::parse(kTemplates[i]);
    const auto written = parsed ? parsed->render(kVariables) : Result<std::string>(parsed.error());
    if (expected[i].contains("error")) {
      EXPECT_FALSE(written) << kTemplates[i] << "\n gave " << *written;
    } else {
      ASSERT_TRUE(written) << kTemplates[i] << "\n" << written.error().message;
      EXPECT_EQ(*written, expected[i]["text"].get<std::string>()) << kTemplates[i];
    }
  }
}

TEST(Jinja, TellsWhatATemplateRaisedFromWhatIsNotKnown) {
  const auto error_of = [](const char* text) {
    return JinjaTemplate::parse(text).value_or_throw().render(kVariables).error();
  };
  EXPECT_EQ(error_of("{{ raise_exception('Not ' + 'today.') }}").code, ErrorCode::kInvalidInput);
  EXPECT_EQ(error_of("{{ raise_exception('Not ' + 'today.') }}").message, "Not today.");
  EXPECT_EQ(error_of("{{ n | wordwrap }}").code, ErrorCode::kUnsupported);
  EXPECT_EQ(error_of("{{ n | wordwrap }}").message, "the filter 'wordwrap' is not known");
}

// However a template goes about it: no time, no memory, no stack without end.
TEST(Jinja, BoundsWhatATemplateMayTake) {
  const auto repeated = [](const std::string& text, size_t times) {
    std::string all;
    for (size_t i = 0; i < times; ++i) all += text;
    return all;
  };
  const std::string ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
  const std::string loops = repeated("{% for a in " + ten + " %}", 8);
  const std::string ends = repeated("{% endfor %}", 8);
  std::string pairs;
  for (int i = 0; i < 9'000; ++i) pairs += std::to_string(i).insert(0, "'k") + "': x, ";
  std::string variables;
  for (int i = 0; i < 1'000; ++i) variables += "{% set x" + std::to_string(i) + " = 1 %}";
  const std::string templates[] = {
      loops + "x" + ends,
      "{% set ns = namespace(x='aaaaaaaaaa') %}" + loops + "{% set ns.x = ns.x + ns.x %}" + ends,
      "{% set ns = namespace(x=[1]) %}" + loops + "{% set ns.x = ns.x + ns.x %}" + ends,
      "{% set ns = namespace(x=[1]) %}" + loops + "{% set ns.x = [ns.x] %}" + ends,
      "{% set ns = namespace(x=1) %}" + loops + "{% set ns.x = ns %}" + ends,
      "{% set ns = namespace(x='a') %}" + loops + "{% set ns.x = ns.x.replace('a', 'aa') %}" + ends,
      "{% set ns = namespace(x=9) %}" + loops + "{% set ns.x = ns.x * ns.x %}" + ends,
      "{{ " + repeated("(", 100'000) + "1" + repeated(")", 100'000) + " }}",
      "{{ " + repeated("not ", 100'000) + "1 }}",
      "{{ 1" + repeated(" if 1", 100'000) + " }}",
      "{% set x = 'a' %}" + repeated("{% set x = x ~ x %}", 20) + "{% set y = [" +
          repeated("x, ", 9'000) + "x] %}",
      "{% set x = 'a' %}" + repeated("{% set x = x ~ x %}", 20) + "{{ f(" + repeated("x, ", 9'000) +
          "x) }}",
      "{{ " + repeated("-", 100'000) + "1 }}",
      "{{ 1" + repeated(" + 1", 100'000) + " }}",
      "{{ x" + repeated(".x", 100'000) + " }}",
      repeated("{% if yes %}", 100'000) + repeated("{% endif %}", 100'000),
      "{% if yes %}" + repeated("{% elif yes %}", 100'000) + "{% endif %}",
      "{% set x = 'a' %}" + repeated("{% set x = x ~ x %}", 20) + "{% set y = {" + pairs + "} %}",
      variables,
      "{% set a = '" + std::string(60'000, 'a') + "' %}{% set b = [" + repeated("a, ", 200) +
          "a] %}" + repeated("{% for i in " + ten + " %}", 4) + "{% if b == b %}{% endif %}" +
          repeated("{% endfor %}", 4),
      std::string(2 << 20, 'x'),
  };
  for (const std::string& text : templates) {
    const auto parsed = JinjaTemplate::parse(text);
    const auto written = parsed ? parsed->render(kVariables) : Result<std::string>(parsed.error());
    EXPECT_FALSE(written) << text.substr(0, 200);
  }
}

}  // namespace
}  // namespace l2a
